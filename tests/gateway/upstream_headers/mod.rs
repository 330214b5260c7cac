//! Further headers for applications: credentials, attributes, another gateway's assertion; and
//! signing out on both sides.

mod attributes;
mod credentials;
mod pomerium;
mod sign_out;
