//! The command line: arguments in, exit code out.
//!
//! `arguments` says what can be written, `operator` carries out the commands that talk to a running
//! gateway, `answers` prints the answers, `lists` joins pages, and `files` reads files of
//! operators. `people` reads and writes users in files, `declared` applies one and `webauthn_proxy`
//! reads that program's; `policy` asks who may enter, and `token` is about access tokens; `backup`,
//! `webhook`, `doctor` and `demo` are the commands of these names. Data goes to standard output;
//! failures, with what to do about them, go to standard error. Exit codes: 0 done, 1 refused or
//! failed, 2 wrong usage.

mod answers;
mod arguments;
mod backup;
mod declared;
mod demo;
mod doctor;
mod files;
mod lists;
mod operator;
mod people;
mod policy;
mod token;
mod webauthn_proxy;
mod webhook;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use crate::admin::client::{self, CallError};
use crate::admin::{Answer, Request};
use crate::app::{self, Announcement, Offline, Restart, Successor};
use crate::config::{self, Credentials, Environment, Mistakes, Settings};
use crate::system;
use crate::telemetry::logging;
use arguments::{Arguments, Command, Export, Import, Mail, Webhook};

/// A command failed; the text says why and what to do.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// How a command ends.
pub(crate) type Outcome = Result<(), Failure>;

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Runs the command that the arguments of this process ask for.
pub fn run() -> ExitCode {
    system::use_small_pages();
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
        Command::Serve => serve(config),
        Command::Check(options) => check(config, options.as_service.as_deref()),
        Command::Demo(options) => demo::run(&options),
        Command::Backup(arguments) => {
            let settings = || config::load_for_commands(config, &Environment::of_process()).map_err(invalid);
            let socket = config::admin_socket(config, &Environment::of_process()).map_err(invalid)?;
            backup::back_up(&socket, settings, &arguments)
        }
        Command::Restore(arguments) => {
            let settings = config::load_for_commands(config, &Environment::of_process()).map_err(invalid)?;
            backup::restore(&settings.server.admin_socket, &settings, &arguments)
        }
        Command::Doctor(arguments) => doctor::run(&settings(config)?, &arguments),
        Command::Apply(arguments) => asking(config, |ask| declared::apply(&arguments, ask)),
        Command::Import(Import::Users(arguments)) => asking(config, |ask| people::import(&arguments, ask)),
        Command::Import(Import::WebauthnProxy(arguments)) => {
            asking(config, |ask| webauthn_proxy::import(&arguments, ask))
        }
        Command::Export(Export::Users { json }) => asking(config, |ask| people::export(json, ask)),
        Command::Policy(command) => asking(config, |ask| policy::run(&command, ask)),
        Command::Token(command) => asking(config, |ask| token::run(command, ask)),
        Command::Mail(Mail::Test { to }) => {
            app::send_test(&settings(config)?, to.clone())?;
            say(&format!("The mail server accepted a message to {to}. Check that it arrives."));
            Ok(())
        }
        Command::Webhook(Webhook::Test { which, json }) => {
            webhook::test(&settings(config)?, which.as_deref(), json)
        }
        Command::Operator(command) => {
            let socket = config::admin_socket(config, &Environment::of_process()).map_err(invalid)?;
            asking(config, |ask| operator::run(&socket, ask, command))
        }
    }
}

/// Asks the running gateway, or the store itself where none runs.
type Ask<'a> = dyn Fn(Request) -> Result<Answer, Failure> + 'a;

/// Runs a command that asks. A store that it opened is open until its end.
fn asking(config: Option<&Path>, command: impl FnOnce(&Ask<'_>) -> Outcome) -> Outcome {
    let offline = RefCell::new(None);
    let outcome = command(&|request| ask(config, request, &mut offline.borrow_mut()));
    let closed = offline.into_inner().map_or(Ok(()), Offline::close);
    outcome?;
    Ok(closed?)
}

/// The [`Ask`] of the commands.
fn ask(config: Option<&Path>, request: Request, offline: &mut Option<Offline>) -> Result<Answer, Failure> {
    if let Some(offline) = offline {
        return Ok(offline.ask(request)?);
    }
    let socket = config::admin_socket(config, &Environment::of_process()).map_err(invalid)?;
    match client::call(&socket, &request) {
        Err(CallError::NotRunning(_)) => {
            let settings = config::load_for_commands(config, &Environment::of_process()).map_err(invalid)?;
            Ok(offline.insert(Offline::open(&settings, &request)?).ask(request)?)
        }
        answer => Ok(answer?),
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

fn serve(config: Option<&Path>) -> Outcome {
    let settings = settings(config)?;
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
            let ask = format!("No user has an account yet. {ask} within a day,");
            say(&demo::banner::framed(&[&ask, "to become the administrator:", "", shown]));
        }
    };
    let file = config.map(Path::to_path_buf);
    let reread = move || {
        config::load(file.as_deref(), &Environment::of_process()).map_err(|mistakes| mistakes.to_string())
    };
    let restart = Restart { reread: Box::new(reread), successor: successor(config)? };
    Ok(app::serve(settings, Some(restart), Box::new(announce))?)
}

/// The program that will lie at this program's path, with the same arguments.
fn successor(config: Option<&Path>) -> Result<Successor, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure(format!("the path of this program is not known: {error}")))?;
    let file = config.iter().flat_map(|file| [OsString::from("--config"), file.into()]);
    let check = std::iter::once(OsString::from("check")).chain(file).collect();
    Ok(Successor { program, arguments: std::env::args_os().skip(1).collect(), check })
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
    let unusable = app::check_files(&settings);
    if !unusable.is_empty() {
        return Err(Failure(format!("the gateway would not start\n\n{}", unusable.join("\n"))));
    }
    let file = config.map(Path::to_path_buf).or_else(config::found);
    let source = file.map_or_else(|| "No file: the defaults".to_owned(), |file| file.display().to_string());
    say(&format!("{source}: no mistakes."));
    say(&format!("Users sign in at {}{}/login.", settings.origin(), settings.server.prefix));
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

/// Prints a line. A closed output is no reason to fail.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
