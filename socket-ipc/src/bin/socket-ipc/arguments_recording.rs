//! The arguments of `record` and `replay`, and how a recording is played.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::ValueHint;
use jiff::Timestamp;

use crate::arguments::{Patience, Place};

pub(crate) const RECORD: &str = "\
Each message is a line of the file, as `listen` prints it in a pipe. It is in the file at once: what
kills this command later takes nothing of it. It waits for the server, and comes back to it after it
was lost; standard error says so, and how many messages the file has in the end.

Example: socket-ipc record /tmp/myApp.sock day.jsonl
Example: timeout 60 socket-ipc record /tmp/myApp.sock minute.jsonl news weather";

/// The arguments of `record`.
#[derive(Args, Debug)]
pub(crate) struct Record {
    #[command(flatten)]
    pub(crate) server: Place,
    /// The file to write; there must be none yet, unless with --append
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The topics to record: all, unless some are given
    #[arg(value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// Go on at the end of the recording, if there is one
    #[arg(long)]
    pub(crate) append: bool,
}

pub(crate) const REPLAY: &str = "\
It sends each message as a client does, at the pace of the recording, and ends when all has been
written, with exit status 0 unless the server has shown by then that it speaks another wire. The file
is one of `record`, or what `listen` or `serve` printed in a pipe. A wrong line is an error with its
number; the lines before it are sent. Progress is shown on a terminal.
To play the messages of a server to clients: `serve --replay`.

Example: socket-ipc replay day.jsonl /tmp/myApp.sock --speed 10 --topic news
Example: socket-ipc replay day.jsonl /tmp/myApp.sock --from 2026-01-31T12:00:00Z --speed max";

/// The arguments of `replay`.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// The recording
    #[arg(id = "replay", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) server: Place,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// Which messages of a recording are played, and how fast.
#[derive(Args, Clone, Debug)]
pub(crate) struct Selection {
    /// How many times as fast as it was recorded, such as 10 or 0.5; `max` waits for nothing
    #[arg(long, value_name = "FACTOR", value_parser = speed, default_value = "1", requires = "replay")]
    pub(crate) speed: f64,
    /// Leave out what is before a time, or before so many seconds of the recording
    #[arg(long, value_name = "TIME", value_parser = from, requires = "replay")]
    pub(crate) from: Option<From>,
    /// Play this topic only; may be given several times
    #[arg(long = "topic", value_name = "TOPIC", requires = "replay")]
    pub(crate) topics: Vec<String>,
}

/// Where in a recording to begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    Time(Timestamp),
    /// So long after its first message.
    Passed(Duration),
}

fn speed(text: &str) -> Result<f64, String> {
    if text == "max" {
        return Ok(f64::INFINITY);
    }
    let number = text.parse().ok().filter(|number: &f64| number.is_normal() && *number > 0.0);
    number.ok_or_else(|| "expected a factor, such as 10 or 0.5, or max".to_owned())
}

fn from(text: &str) -> Result<From, String> {
    let seconds = text.parse().ok().and_then(|number| Duration::try_from_secs_f64(number).ok());
    let time = || text.parse().map(From::Time);
    seconds
        .map_or_else(time, |passed| Ok(From::Passed(passed)))
        .map_err(|_| "expected seconds, such as 90, or a time, such as 2026-01-31T12:00:00Z".to_owned())
}
