//! The arguments of `vestibule policy`.
//!
//! What does not live here: what the commands do and print (`cli/policy.rs`).
//!
//! What always holds: an unreadable argument is refused before any file is opened.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::length;
use crate::domain::time::Timestamp;

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Print how a request would be decided, and why; fails unless it would be let in
    Explain(Explain),
    /// Compare a file of expected decisions with the rules; fails if one differs
    Test(Test),
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The user: a username, an e-mail address or an id; default: an anonymous client
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// The whole address, such as `https://app.example.com/reports`
    #[arg(long)]
    pub(crate) url: String,
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// The client's address; default none
    #[arg(long, value_name = "IP")]
    pub(crate) client: Option<IpAddr>,
    /// The time of the request, such as 2027-01-31T12:00:00Z; default: now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) at: Option<Timestamp>,
    /// How long ago the user has shown a passkey, such as 24h; default just now
    #[arg(long, value_name = "DURATION", value_parser = length)]
    pub(crate) auth_age: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    pub(crate) file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "write a moment such as 2027-01-31T12:00:00Z".to_owned())
}
