//! `man`: the man pages of the command and of each of its subcommands.

use clap::{Command, CommandFactory};

use crate::arguments::Arguments;
use crate::arguments_watching::Man;
use crate::failure::Failure;

pub(crate) fn run(arguments: &Man) -> Result<(), Failure> {
    let directory = &arguments.directory;
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(with_lines(Arguments::command()), directory))
        .map_err(|error| {
            Failure::other(format!("cannot write man pages to {}: {error}", directory.display()))
        })
}

/// Keeps each example in a line of its own: a page joins lines that are not indented.
fn with_lines(command: Command) -> Command {
    let help = command.get_after_help().map(|help| help.to_string().replace("Example: ", "  Example: "));
    let command = command.mut_subcommands(with_lines);
    match help {
        Some(help) => command.after_help(help),
        None => command,
    }
}
