//! Playing a recording: its messages, each when it is due.

use std::future::pending;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::arguments_recording::{From, Selection};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::recording::{Entry, Recording};

/// The messages of a recording that are selected, at its pace.
pub(crate) struct Player {
    recording: Recording,
    selection: Selection,
    /// The time from which messages are played, once the first one is read.
    from: Option<Timestamp>,
    clock: Option<Clock>,
    progress: Progress,
    played: u64,
}

/// The time of the recording, and when that is.
struct Clock {
    time: Timestamp,
    /// `None` if it is further away than this machine counts.
    due: Option<Instant>,
}

impl Player {
    /// Opens a recording. Its progress may be shown where nothing else is printed meanwhile.
    pub(crate) fn open(file: &Path, selection: Selection, shows_progress: bool) -> Result<Self, Failure> {
        let recording = Recording::open(file)?;
        let progress = Progress::of(recording.len.filter(|_| shows_progress));
        Ok(Self { recording, selection, from: None, clock: None, progress, played: 0 })
    }

    /// How many messages it has returned.
    pub(crate) fn played(&self) -> u64 {
        self.played
    }

    /// Returns the next message, as soon as it is due; `None` at the end of the recording.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>, Failure> {
        while let Some(entry) = self.recording.next().await? {
            self.progress.reached(entry.read, self.played);
            let selected = self.is_selected(&entry);
            self.tick(&entry, selected);
            if selected {
                match self.clock.as_ref().map(|clock| clock.due) {
                    Some(Some(due)) => tokio::time::sleep_until(due).await,
                    Some(None) => pending().await,
                    None => {}
                }
                self.played += 1;
                return Ok(Some(entry));
            }
        }
        self.progress.finish(self.played);
        Ok(None)
    }

    fn is_selected(&mut self, entry: &Entry) -> bool {
        let Selection { topics, from, .. } = &self.selection;
        let begins = *self.from.get_or_insert_with(|| match from {
            Some(From::Time(time)) => *time,
            Some(From::Passed(passed)) => entry.time.saturating_add(*passed).unwrap_or(Timestamp::MAX),
            None => Timestamp::MIN,
        });
        // What comes after the first message that is played is played, whatever its time: a clock may be set back.
        (self.clock.is_some() || entry.time >= begins) && (topics.is_empty() || topics.contains(&entry.topic))
    }

    /// Moves the clock to a message. It starts with the first one that is played, and never goes back.
    fn tick(&mut self, entry: &Entry, selected: bool) {
        match &mut self.clock {
            Some(clock) => {
                let passed = entry.time.duration_since(clock.time).try_into().unwrap_or(Duration::ZERO);
                let passed = Duration::try_from_secs_f64(passed.as_secs_f64() / self.selection.speed);
                clock.time = entry.time;
                clock.due = clock.due.zip(passed.ok()).and_then(|(due, passed)| due.checked_add(passed));
            }
            None if selected => self.clock = Some(Clock { time: entry.time, due: Some(Instant::now()) }),
            None => {}
        }
    }
}
