//! Policy: which route a request belongs to, and who may enter it.
//!
//! `route` is the table of routes, `path` says whether a request path has one reading, `public`
//! holds literal paths open to anonymous clients, `identity` the headers an application is told.
//! `decide` says who may enter, by rules (`rule`) about people (`who`), requests, and hours
//! (`times`), or by a policy in `datalog`. What always holds: no default route and no default
//! permission. A request that nothing matches is refused.

pub mod credentials;
pub mod datalog;
pub mod decide;
pub mod defined;
pub mod explain;
pub mod facts;
pub mod headers;
pub mod identity;
pub mod logout;
pub mod path;
pub mod public;
pub mod review;
pub mod route;
pub mod rule;
pub mod times;
pub mod who;
