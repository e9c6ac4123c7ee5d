//! A mistake in the arguments, in one line. Clap reports help and the version as errors, too.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error};

use crate::arguments::Arguments;
use crate::failure::{Failure, Status};
use crate::json::shortened;
use crate::output;

const WITHOUT_NATS: &str =
    "this build of socket-ipc knows no NATS; build it with the features `cli` and `nats`";

/// Prints help where it was requested, and otherwise says what is wrong with the arguments.
pub(crate) fn explain(error: &Error) -> Result<(), Failure> {
    if let ErrorKind::DisplayHelp | ErrorKind::DisplayVersion = error.kind() {
        return error.print().or_else(|error| output::unwritten(&error));
    }
    Err(Failure::new(Status::Usage, one_line(error)))
}

/// The parts of clap's error, put together in one line.
fn one_line(error: &Error) -> String {
    let usage = text(error, ContextKind::Usage);
    let usage = usage.trim().trim_start_matches("Usage: ");
    let argument = || text(error, ContextKind::InvalidArg);
    let value = || shortened(&text(error, ContextKind::InvalidValue));
    match error.kind() {
        ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::InvalidSubcommand => {
            let commands: Vec<_> =
                Arguments::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
            let found = text(error, ContextKind::InvalidSubcommand);
            let known = did_you_mean(error, ContextKind::SuggestedSubcommand);
            if cfg!(not(feature = "nats")) && found == "nodes" {
                return WITHOUT_NATS.to_owned();
            }
            let found =
                if found.is_empty() { String::new() } else { format!(", found '{}'", shortened(&found)) };
            let found = found + &known;
            format!("expected one of {}{found}; --help says more", commands.join(", "))
        }
        ErrorKind::InvalidValue => {
            let expected = text(error, ContextKind::ValidValue);
            let found = value();
            let found = if found.is_empty() { "nothing".to_owned() } else { format!("'{found}'") };
            let expected =
                if expected.is_empty() { "a value".to_owned() } else { format!("one of {expected}") };
            let known = did_you_mean(error, ContextKind::SuggestedValue);
            format!("{}: expected {expected}, found {found}{known}; --help says more", argument())
        }
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("{}: {reason}, found '{}'; --help says more", argument(), value())
        }
        ErrorKind::UnknownArgument => {
            if cfg!(not(feature = "nats")) && argument().starts_with("--nats") {
                return WITHOUT_NATS.to_owned();
            }
            let known = did_you_mean(error, ContextKind::SuggestedArg);
            format!(
                "unexpected argument '{}'{known}; expected {usage}; --help says more",
                shortened(&argument())
            )
        }
        ErrorKind::MissingRequiredArgument => {
            format!("missing {}; expected {usage}; --help says more", argument())
        }
        _ => {
            // Only its first paragraph says what is wrong.
            let rendered = error.to_string();
            let said = rendered.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            format!("{said}; --help says more")
        }
    }
}

/// The name that is meant, where clap knows one that is near.
fn did_you_mean(error: &Error, kind: ContextKind) -> String {
    let known = match error.get(kind) {
        // Of several ones the nearest is the last.
        Some(ContextValue::Strings(names)) => names.last().cloned().unwrap_or_default(),
        _ => text(error, kind),
    };
    if known.is_empty() { String::new() } else { format!(", did you mean '{known}'?") }
}

/// The values of one kind in clap's error, as plain text.
fn text(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        _ => String::new(),
    }
}
