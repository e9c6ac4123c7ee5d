//! A recording: a file with a message and its time in each line, as `listen` prints them in a pipe.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use socket_ipc::limits;
use tokio::sync::mpsc;

use crate::failure::{Failure, say};

/// How many messages are read ahead.
const AHEAD: usize = 16;

/// What a line has beside its message at most: a topic, which JSON may write six times as long, a time, and what later
/// versions add.
const BESIDE: usize = 64 * 1024;

/// How long a line may be at most, in bytes.
pub(crate) const LINE_LEN: usize = limits::MESSAGE_LEN + BESIDE;

/// How `record` begins each line.
const BEGINNING: &[u8] = br#"{"time":""#;

/// A recorded message.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) time: Timestamp,
    pub(crate) topic: String,
    pub(crate) message: Box<RawValue>,
    /// How many bytes of the file are read with it.
    pub(crate) read: u64,
}

/// A recording that is being read, on a thread of its own: a file may be a pipe, which makes its reader wait.
#[derive(Debug)]
pub(crate) struct Recording {
    /// How long the file is in bytes, if it is no pipe.
    pub(crate) len: Option<u64>,
    entries: mpsc::Receiver<Result<Entry, Failure>>,
}

impl Recording {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error| unreadable(path, &error);
        let file = File::open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if found.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let (sender, entries) = mpsc::channel(AHEAD);
        let mut reader =
            EntryReader { path: path.to_owned(), input: BufReader::new(file), number: 0, read: 0 };
        std::thread::spawn(move || {
            while let Some(entry) = reader.next().transpose() {
                let last = entry.is_err();
                if sender.blocking_send(entry).is_err() || last {
                    return;
                }
            }
        });
        Ok(Self { len: found.is_file().then_some(found.len()), entries })
    }

    /// The next message; `None` at the end of the file.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>, Failure> {
        self.entries.recv().await.transpose()
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::other(format!("cannot read {}: {error}", path.display()))
}

struct EntryReader<R> {
    path: PathBuf,
    input: R,
    number: u64,
    read: u64,
}

impl<R: BufRead> EntryReader<R> {
    fn next(&mut self) -> Result<Option<Entry>, Failure> {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.number += 1;
            let mut input = self.input.by_ref().take(LINE_LEN as u64 + 1);
            let len = input.read_until(b'\n', &mut line).map_err(|error| unreadable(&self.path, &error))?;
            self.read += len as u64;
            let (path, number) = (self.path.display(), self.number);
            if len == 0 {
                return Ok(None);
            }
            if len > LINE_LEN {
                return Err(Failure::other(format!(
                    "line {number} of {path} is longer than any message: over {LINE_LEN} bytes"
                )));
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            match parse(&line) {
                Ok((time, topic, message)) => {
                    return Ok(Some(Entry { time, topic, message, read: self.read }));
                }
                // What recorded it was killed, or the disk was full, in the middle of the line.
                Err(_) if !line.ends_with(b"\n") => {
                    say(format_args!("line {number} of {path}, its last, is unfinished, and left out"));
                    return Ok(None);
                }
                Err(reason) => {
                    return Err(Failure::other(format!(
                        "line {number} of {path} is no recorded message: {reason}"
                    )));
                }
            }
        }
    }
}

/// Reads a line. Keys that it does not know are ignored, such as the client of a message that `serve` printed.
pub(crate) fn parse(line: &[u8]) -> Result<(Timestamp, String, Box<RawValue>), String> {
    #[derive(Deserialize)]
    struct Line<'l> {
        #[serde(borrow)]
        time: Cow<'l, str>,
        topic: String,
        message: Box<RawValue>,
    }

    let Line { time, topic, message } = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let time = time.parse().map_err(|error| format!("`time`: {error}"))?;
    Ok((time, topic, message))
}

/// Whether bytes without a newline may be the beginning of a line that was being recorded.
pub(crate) fn may_be_unfinished(bytes: &[u8]) -> bool {
    bytes.len() <= LINE_LEN && bytes.iter().zip(BEGINNING).all(|(byte, expected)| byte == expected)
}
