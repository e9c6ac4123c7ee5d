//! The command `socket-ipc`: speaks to programs that use the library, from a shell.
//!
//! `arguments` parses the arguments into a command, and the command runs. A command that fails prints one line on
//! standard error (`failure`). The exit status says how it ended.

#![forbid(unsafe_code)]

mod arguments;
mod arguments_recording;
mod arguments_watching;
mod bench;
mod bench_report;
mod completions;
mod description;
mod error_reply;
mod failure;
mod first_bytes;
mod json;
mod lines;
mod listen;
mod man;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
mod nats_listen;
#[cfg(feature = "nats")]
mod nats_request;
#[cfg(feature = "nats")]
mod nats_send;
#[cfg(feature = "nats")]
mod nodes;
mod other_wire;
mod output;
mod paint;
mod peer;
mod player;
mod progress;
mod rates;
mod reach;
mod record;
mod recording;
mod replay;
mod request;
mod running;
mod send;
mod serve;
mod status;
mod suggestion;
mod terminal;
mod top;
mod top_look;
mod top_picture;
mod topics;
mod types;
mod unread_input;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use failure::Failure;

fn main() -> ExitCode {
    let outcome =
        Arguments::try_parse().map_or_else(|error| usage::explain(&error), |given| run(given.command));
    outcome.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Listen(arguments) => listen::run(arguments),
        Command::Send(arguments) => send::run(arguments),
        Command::Request(arguments) => request::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Record(arguments) => record::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Topics(arguments) => topics::run(arguments),
        Command::Types(arguments) => types::run(arguments),
        Command::Status(arguments) => status::run(arguments),
        #[cfg(feature = "nats")]
        Command::Nodes(arguments) => nodes::run(arguments),
        Command::Top(arguments) => top::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}
