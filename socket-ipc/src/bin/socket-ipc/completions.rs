//! `completions`: what a shell reads to complete the command's arguments.

use clap::CommandFactory;

use crate::arguments::{Arguments, Completions};
use crate::failure::Failure;
use crate::output::{self, Reader};

pub(crate) fn run(arguments: &Completions) -> Result<(), Failure> {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    // Into memory first: writing to a pipe that no program reads would be a panic inside.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    output::print(&Reader::find().source(String::from_utf8_lossy(&script).into_owned()))
}
