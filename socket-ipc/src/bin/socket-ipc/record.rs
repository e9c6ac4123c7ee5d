//! `record`: every message of a server, into a file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use socket_ipc::RawMessage;
use tokio::sync::mpsc;

use crate::arguments_recording::Record;
use crate::failure::{Failure, Status, say};
use crate::{listen, output, reach, recording, running};

pub(crate) fn run(arguments: Record) -> Result<(), Failure> {
    let Record { server, file, topics, append } = arguments;
    let (failed, mut failure) = mpsc::channel(1);
    let reached = reach::lasting_client(&server)?;
    let recorder = Arc::new(Mutex::new(Some(Recorder::open(file, append)?)));
    let client = &reached.client;
    let record = {
        let recorder = Arc::clone(&recorder);
        move |topic: &str, message: &RawMessage<'_>| {
            let mut recorder = recorder.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            // After a failure, or a signal, nothing more is recorded.
            if let Some(open) = recorder.as_mut()
                && let Err(reason) = open.write(&output::json_line(topic, message))
            {
                *recorder = None;
                let _ = failed.try_send(reason);
            }
        }
    };
    listen::on_topics(client, topics, record);
    listen::say_what_happens(client, server.path.display().to_string());
    let ended = Arc::clone(&recorder);
    let work = async move {
        let recording = async {
            reached.client.connect().await?;
            tokio::select! {
                Some(failure) = failure.recv() => Err(failure),
                () = reached.client.closed() => Ok(()),
            }
        };
        let recorded = reached.or_other_wire(recording).await;
        if recorded.is_err()
            && let Some(Recorder { path, is_new: true, messages: 0, .. }) =
                running::once_free(&ended, Option::take).await
        {
            // A file without a message would only be in the way of the next attempt. If it stays, its name is said then.
            let _ = std::fs::remove_file(path);
        }
        recorded
    };
    running::until_signal(work, async {
        // A line that is being written is waited for.
        if let Some(Recorder { path, messages, .. }) = running::once_free(&recorder, Option::take).await {
            say(format_args!("recorded {messages} messages in {}", path.display()));
        }
    })
}

/// Writes whole lines to a file.
struct Recorder {
    path: PathBuf,
    file: File,
    /// Whether the file is made here.
    is_new: bool,
    /// How long the file is up to its last whole line, in bytes; `None` if it is no regular file.
    len: Option<u64>,
    messages: u64,
}

impl Recorder {
    fn open(path: PathBuf, append: bool) -> Result<Self, Failure> {
        let options =
            OpenOptions::new().read(append).append(true).create_new(!append).create(append).to_owned();
        let file = match options.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Failure::other(format!(
                    "{} exists already; go on at its end with --append, or name another file",
                    path.display()
                )));
            }
            Err(error) => return Err(unwritable(&path, &error)),
        };
        if file.is_terminal() {
            // Topics and messages could control it.
            return Err(Failure::new(
                Status::Usage,
                format!("{} is a terminal: name a file, or see the messages with `listen`", path.display()),
            ));
        }
        let found = file.metadata().map_err(|error| unwritable(&path, &error))?;
        let len = if found.is_file() { Some(end_of_lines(&path, &file, found.len())?) } else { None };
        Ok(Self { path, file, is_new: !append, len, messages: 0 })
    }

    /// Writes a line at once, so that it is in the file whatever happens to this process. What a full disk took of it is
    /// removed again.
    fn write(&mut self, line: &str) -> Result<(), Failure> {
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            if let Some(len) = self.len {
                // If this fails, too, `replay` leaves an unfinished line out.
                let _ = self.file.set_len(len);
            }
            let Self { path, messages, .. } = self;
            return Err(Failure::other(format!(
                "cannot write to {}: {error}; it has the {messages} messages before",
                path.display()
            )));
        }
        self.len = self.len.map(|len| len + line.len() as u64);
        self.messages += 1;
        Ok(())
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::other(format!("cannot write to {}: {error}", path.display()))
}

/// Returns the end of the last whole line of a file that is recorded to again, and removes an unfinished one behind it.
/// Anything else behind it is not of a recording, and stays.
fn end_of_lines(path: &Path, file: &File, len: u64) -> Result<u64, Failure> {
    let failed = |error| unwritable(path, &error);
    let begin = len.saturating_sub(recording::LINE_LEN as u64 + 1);
    let mut tail = vec![0; (len - begin) as usize];
    file.read_exact_at(&mut tail, begin).map_err(failed)?;
    let last = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let unfinished = &tail[last..];
    if unfinished.is_empty() {
        return Ok(len);
    }
    if recording::parse(unfinished).is_ok() {
        (&*file).write_all(b"\n").map_err(failed)?;
        return Ok(len + 1);
    }
    if !recording::may_be_unfinished(unfinished) {
        return Err(Failure::other(format!(
            "{} is no recording: its last line is no recorded message; name another file",
            path.display()
        )));
    }
    say(format_args!("the last line of {} was unfinished, and is removed", path.display()));
    let whole = len - unfinished.len() as u64;
    file.set_len(whole).map_err(failed)?;
    Ok(whole)
}
