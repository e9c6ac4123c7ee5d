//! Standard input where no JSON is given. `null` is sent then, and what a pipe or a file holds must not be ignored in
//! silence.

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::value::RawValue;

use crate::failure::{Failure, Status};
use crate::json::Given;

/// How long a pipe that is open and empty is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The message that is given, or `null`. Fails if standard input holds, or may come to hold, something that nobody would
/// read.
pub(crate) fn or_null(given: Option<Given>) -> Result<Given, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    let holds = match of_standard_input() {
        Holds::Nothing => return Ok(Given::Text(RawValue::NULL.to_owned())),
        Holds::Something => "holds something: write `-` to send that",
        Holds::NothingYet => "is open, with nothing in it yet: write `-` to send what comes",
    };
    Err(Failure::new(
        Status::Usage,
        format!("no JSON is given, and standard input {holds}, or `null` to send null"),
    ))
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
