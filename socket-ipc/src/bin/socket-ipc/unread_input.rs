//! Standard input where no JSON is given. `null` is sent then, and what a pipe or a file holds must not be ignored in
//! silence.

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::value::RawValue;

use crate::failure::{Failure, Status, say};
use crate::json::Given;

/// How long a pipe that is open and empty is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The message that is given, or `null`. Fails if standard input holds something that nobody would read.
pub(crate) fn or_null(given: Option<Given>) -> Result<Given, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    match of_standard_input() {
        Holds::Something => Err(Failure::new(
            Status::Usage,
            "no JSON is given, and standard input holds something: write `-` to send that, or `null` to send null",
        )),
        Holds::NothingYet => {
            say(format_args!(
                "standard input is open, and nothing came within {PATIENCE:?}: sending null; write `-` to send what it \
                 holds"
            ));
            Ok(Given::Text(RawValue::NULL.to_owned()))
        }
        Holds::Nothing => Ok(Given::Text(RawValue::NULL.to_owned())),
    }
}

enum Holds {
    Nothing,
    Something,
    NothingYet,
}

fn of_standard_input() -> Holds {
    let looked = || -> io::Result<Holds> {
        let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let found = input.metadata()?;
        if found.is_file() {
            let is_read = input.stream_position()? >= found.len();
            return Ok(if is_read { Holds::Nothing } else { Holds::Something });
        }
        let kind = found.file_type();
        if !kind.is_fifo() && !kind.is_socket() {
            return Ok(Holds::Nothing);
        }
        let mut waited = [PollFd::new(&input, PollFlags::IN)];
        Ok(match poll(&mut waited, Some(&Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 }))? {
            0 => Holds::NothingYet,
            // At its end there is nothing to read.
            _ if rustix::io::ioctl_fionread(&input)? == 0 => Holds::Nothing,
            _ => Holds::Something,
        })
    };
    // What can't be looked at can't be read either.
    looked().unwrap_or(Holds::Nothing)
}
