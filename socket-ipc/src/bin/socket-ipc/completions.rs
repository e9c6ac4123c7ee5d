//! `completions`: a script with which a shell completes the arguments of the command.

use clap::CommandFactory;

use crate::arguments::{Arguments, Completions};
use crate::failure::Failure;
use crate::output::{self, Reader};

pub(crate) fn run(arguments: &Completions) -> Result<(), Failure> {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    // Written to memory first, because `clap_complete` panics when it writes to a pipe that no program reads.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    output::print(&Reader::find().source(String::from_utf8_lossy(&script).into_owned()))
}
