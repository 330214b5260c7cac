//! Ring 3: what all our endpoints share on axum.
//!
//! `problem` is the one map from failures to public answers; `guard` says who is calling and from
//! where; `call` is a request as handlers see it; `hosts` leads it to a dialect; `cookies` and
//! `session_cookie` write ours; `cross_origin` says what pages of related origins may do;
//! `navigation` tells a person's navigation from a program's request; `headers` says what every
//! answer of ours carries; `qr` draws a link for a camera. What does not live here: wire formats of
//! an API (`dialects/`) and HTML (`pages/`).

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
