//! Standard input, line by line.

use std::io::{BufRead, Read};

use socket_ipc::limits;
use tokio::sync::mpsc;

use crate::failure::Failure;

/// How many lines are read ahead.
const AHEAD: usize = 16;

/// A line that is not blank, and its number, from 1.
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) text: Vec<u8>,
}

/// Reads the lines of standard input on a thread of its own, because reading from a terminal can't be cancelled.
pub(crate) fn lines() -> mpsc::Receiver<Result<Line, Failure>> {
    let (sender, lines) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for number in 1.. {
            let line = read(number);
            let last = !matches!(line, Ok(Some(_)));
            let Some(line) = line.transpose() else { return };
            let blank = line.as_ref().is_ok_and(|line| line.text.trim_ascii().is_empty());
            if !blank && sender.blocking_send(line).is_err() || last {
                return;
            }
        }
    });
    lines
}

/// Reads all of standard input.
pub(crate) fn all() -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let limit = limits::MESSAGE_LEN as u64 + 1;
    std::io::stdin().lock().take(limit).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    reject_long("standard input", &text)?;
    Ok(text)
}

fn read(number: u64) -> Result<Option<Line>, Failure> {
    let mut text = Vec::new();
    // One byte more than the limit is read, so that a text at the limit may have its newline.
    let mut input = std::io::stdin().lock().take(limits::MESSAGE_LEN as u64 + 1);
    let len = input.read_until(b'\n', &mut text).map_err(|error| unreadable(&error))?;
    reject_long(&format!("line {number} of standard input"), &text)?;
    Ok((len > 0).then_some(Line { number, text }))
}

/// Rejects a text that is longer than any message: it can't be sent, and reading all of it would fill the memory.
fn reject_long(what: &str, text: &[u8]) -> Result<(), Failure> {
    let limit = limits::MESSAGE_LEN;
    if text.trim_ascii_end().len() <= limit
        && text.len() <= limit + 1
        && (text.len() <= limit || text.ends_with(b"\n"))
    {
        return Ok(());
    }
    Err(Failure::other(format!("{what} is over the limit of {limit} bytes for a message")))
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::other(format!("cannot read standard input: {error}"))
}
