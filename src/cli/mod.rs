//! The command line: arguments in, exit code out.
//!
//! `arguments` says what can be written, `operator` carries out the commands that talk to a running
//! gateway, `demo` is `vestibule demo`. Data goes to standard output; what went wrong, with what to
//! do about it, to standard error. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

mod arguments;
mod demo;
mod operator;

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use crate::app::{self, Announcement};
use crate::config::{self, Credentials, Environment, Mistakes, Settings};
use crate::telemetry::logging;
use arguments::{Arguments, Command};

/// A command failed; the text says why and what to do.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// Everything a command can come to.
pub(crate) type Outcome = Result<(), Failure>;

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Runs the command that the arguments of this process ask for.
pub fn run() -> ExitCode {
    // Wrong usage ends in here, with exit code 2.
    let arguments = Arguments::parse();
    match execute(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            let _ = writeln!(std::io::stderr(), "vestibule: {text}");
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: Arguments) -> Outcome {
    let config = arguments.config.as_deref();
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(&settings(config)?),
        Command::Check(options) => check(config, options.as_service.as_deref()),
        Command::Demo(options) => demo::run(&options),
        Command::Operator(command) => {
            let settings = || config::load_for_commands(config, &Environment::of_process()).map_err(invalid);
            let socket = config::admin_socket(config, &Environment::of_process()).map_err(invalid)?;
            operator::run(&socket, settings, command)
        }
    }
}

/// Settings, or all mistakes.
fn settings(config: Option<&Path>) -> Result<Settings, Failure> {
    config::load(config, &Environment::of_process()).map_err(invalid)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn invalid(mistakes: Mistakes) -> Failure {
    Failure(format!("invalid configuration\n\n{mistakes}"))
}

fn serve(settings: &Settings) -> Outcome {
    logging::start(&settings.log.level, settings.log.format)?;
    for remark in &settings.remarks {
        tracing::warn!("{remark}");
    }
    let file = app::setup_link_file(&settings.store.path).display().to_string();
    let announce = move |announcement: &Announcement| {
        if let Some(link) = &announcement.setup_link {
            // Under a service manager, standard output is a log that others may read.
            let (ask, shown) = if std::io::stdout().is_terminal() {
                ("Open this link once,", link)
            } else {
                ("Open the link in this file once,", &file)
            };
            let ask = format!("Nobody has an account yet. {ask} within a day,");
            say(&demo::banner::framed(&[&ask, "to become the administrator:", "", shown]));
        }
    };
    Ok(app::serve(settings.clone(), Box::new(announce))?)
}

fn check(config: Option<&Path>, unit: Option<&Path>) -> Outcome {
    let settings = match unit {
        Some(unit) => {
            let credentials = Credentials::of_unit(unit)
                .map_err(|error| Failure(format!("{} cannot be read: {error}", unit.display())))?;
            let environment = Environment::of_process().with_credentials(credentials);
            config::load(config, &environment).map_err(invalid)?
        }
        None => settings(config)?,
    };
    let unusable = app::rehearse(&settings);
    if !unusable.is_empty() {
        return Err(Failure(format!("the gateway would not start\n\n{}", unusable.join("\n"))));
    }
    let file = config.map(Path::to_path_buf).or_else(config::found);
    let source = file.map_or_else(|| "No file: the defaults".to_owned(), |file| file.display().to_string());
    say(&format!("{source}: no mistakes."));
    say(&format!("People sign in at {}{}/login.", settings.origin(), settings.server.prefix));
    let mut routes: Vec<_> = settings.routes.all().collect();
    routes.sort_by(|a, b| a.name.cmp(&b.name));
    for route in routes {
        say(&format!("Route {:?} answers {}{}.", route.name, route.host, route.path));
    }
    for remark in &settings.remarks {
        say(&format!("Note: {remark}."));
    }
    Ok(())
}

/// Prints a line. Nobody listening is no reason to fail.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
