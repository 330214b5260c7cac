//! The administrator's pages, below `{prefix}/admin`: rendered whole, so that they can be read
//! without a script. A change needs one, and goes through the admin API like the changes of any
//! other client.
//!
//! `routes` loads the data of a page, `views` are the pages, `chart` draws the overview's bars,
//! `text` has the sentences. What always holds: only a full session of an administrator gets a
//! page; every other client gets 404. Reading a page asks for no passkey, because it changes
//! nothing; every change does.

mod bans;
mod chart;
mod forward_test;
mod preview;
pub mod routes;
pub mod settings;
pub mod text;
mod views;
mod why;
