//! What an old application is told besides the usual headers: credentials, attributes, another gate's
//! assertion; and that both sides know when a user signs out.

mod attributes;
mod credentials;
mod pomerium;
mod sign_out;
