//! Ring 3: code that all our endpoints share on axum.
//!
//! `problem` is the one map from failures to public answers; `guard` identifies the caller and the
//! page; `call` is a request as handlers see it; `hosts` leads it to a dialect; `cookies` and
//! `session_cookie` write ours; `cross_origin` allows pages of related origins; `navigation` tells
//! a person's navigation from a program's request; `headers` has the headers of every answer of
//! ours; `qr` draws a link for a camera. What does not live here: wire formats of an API
//! (`dialects/`) and HTML (`pages/`).

pub mod call;
pub mod cookies;
pub mod cross_origin;
pub mod guard;
pub mod headers;
pub mod hosts;
pub mod json;
pub mod navigation;
pub mod problem;
pub mod qr;
pub mod session_cookie;

pub use problem::{Fault, Problem};
