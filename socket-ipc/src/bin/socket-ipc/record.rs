//! `record`: every message of a server, into a file.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use socket_ipc::RawMessage;
use tokio::sync::mpsc;

use crate::arguments_recording::Record;
use crate::failure::{Failure, say};
use crate::{listen, output, reach, recording, running};

pub(crate) fn run(arguments: Record) -> Result<(), Failure> {
    let Record { server, file, topics, append } = arguments;
    let (failed, mut failure) = mpsc::channel(1);
    let recorder = Arc::new(Mutex::new(Some(Recorder::open(file, append)?)));
    let reached = reach::lasting_client(&server)?;
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
    if topics.is_empty() {
        client.on_message(move |message, topic| record(topic, &message));
    } else {
        let record = Arc::new(record);
        for topic in BTreeSet::from_iter(topics) {
            let record = Arc::clone(&record);
            client.on_topic(&topic.clone(), move |message| record(&topic, &message));
        }
    }
    listen::say_what_happens(client, server.path.display().to_string());
    let work = async move {
        let recording = async {
            reached.client.connect().await?;
            tokio::select! {
                Some(failure) = failure.recv() => Err(failure),
                () = reached.client.closed() => Ok(()),
            }
        };
        reached.or_other_wire(recording).await
    };
    running::until_signal(work, finish(&recorder))
}

/// Waits for the line that is being written, and says how many there are.
async fn finish(recorder: &Mutex<Option<Recorder>>) {
    loop {
        let recorder = match recorder.try_lock() {
            Ok(mut recorder) => recorder.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            Err(TryLockError::WouldBlock) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
        };
        if let Some(Recorder { path, messages, .. }) = recorder {
            say(format_args!("recorded {messages} messages in {}", path.display()));
        }
        return;
    }
}

/// Writes whole lines to a file.
struct Recorder {
    path: PathBuf,
    file: File,
    /// How long the file is up to its last whole line, in bytes; `None` if it is no regular file.
    len: Option<u64>,
    messages: u64,
}

impl Recorder {
    fn open(path: PathBuf, append: bool) -> Result<Self, Failure> {
        let options =
            OpenOptions::new().read(append).append(true).create_new(!append).create(append).to_owned();
        let opened = options.open(&path).and_then(|file| {
            let found = file.metadata()?;
            let len = if found.is_file() { Some(end_of_lines(&path, &file, found.len())?) } else { None };
            Ok((file, len))
        });
        match opened {
            Ok((file, len)) => Ok(Self { path, file, len, messages: 0 }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Failure::other(format!(
                "{} exists already; go on at its end with --append, or name another file",
                path.display()
            ))),
            Err(error) => Err(unwritable(&path, &error)),
        }
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
fn end_of_lines(path: &Path, file: &File, len: u64) -> io::Result<u64> {
    const PIECE: u64 = 64 * 1024;
    let mut tail = Vec::new();
    let mut begin = len;
    while begin > 0 && !tail.contains(&b'\n') {
        let piece = PIECE.min(begin);
        begin -= piece;
        let mut bytes = vec![0; piece as usize];
        file.read_exact_at(&mut bytes, begin)?;
        bytes.append(&mut tail);
        tail = bytes;
    }
    let last = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let unfinished = &tail[last..];
    if unfinished.is_empty() {
        return Ok(len);
    }
    if recording::parse(unfinished).is_ok() {
        (&*file).write_all(b"\n")?;
        return Ok(len + 1);
    }
    say(format_args!("the last line of {} was unfinished, and is removed", path.display()));
    let whole = len - unfinished.len() as u64;
    file.set_len(whole)?;
    Ok(whole)
}
