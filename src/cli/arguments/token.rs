//! The arguments of `vestibule token`.
//!
//! What does not live here: what the commands do and print (`cli/token.rs`).
//!
//! What always holds: no argument takes a token, because every user of the machine can see
//! arguments.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Part, length};
use crate::domain::id::AccessTokenId;

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token for a user, and show it once
    Create(Create),
    /// List the tokens that can be used
    List {
        /// Only tokens of this user: a username, an e-mail address or an id
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        part: Part,
    },
    /// Revoke a token: it opens nothing any more
    Revoke {
        #[arg(value_parser = AccessTokenId::parse)]
        id: AccessTokenId,
    },
    /// Read a token from standard input and print it narrowed; no gateway is asked
    Attenuate(Narrowing),
    /// Read a token from standard input and print what it says; no gateway is asked, and nothing is
    /// checked
    Inspect {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// A username, an e-mail address or an id
    #[arg(long)]
    pub(crate) user: String,
    /// What the token is for, shown in the list
    #[arg(long)]
    pub(crate) name: String,
    /// A route that it opens; may be given more than once
    #[arg(long = "route", value_name = "ROUTE", required = true, num_args = 1..)]
    pub(crate) routes: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// How long the token works, such as 30d
    #[arg(long, value_name = "DURATION", value_parser = length)]
    pub(crate) expires: Duration,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Narrowing {
    /// A route that it still opens
    #[arg(long = "route", value_name = "ROUTE", num_args = 1..)]
    pub(crate) routes: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// How long the narrowed token works, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = length)]
    pub(crate) expires: Option<Duration>,
}

/// Which requests the token is for; each option may be given more than once. Default: all.
#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// A method, such as GET
    #[arg(long = "method", value_name = "METHOD", num_args = 1..)]
    pub(crate) methods: Vec<String>,
    /// A path, with everything below it
    #[arg(long = "path", value_name = "PATH", num_args = 1..)]
    pub(crate) paths: Vec<String>,
    /// A network that the client is in: an address, or CIDR notation
    #[arg(long = "network", value_name = "CIDR", num_args = 1..)]
    pub(crate) networks: Vec<String>,
}
