//! How far a file is read, as a bar on a terminal. Elsewhere nothing is shown.

use std::fs::File;
use std::os::fd::AsFd;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error, if that is a terminal. It stays where it is when the work ends early.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// The progress through a file of some length in bytes, if that is known.
    pub(crate) fn of(len: Option<u64>) -> Self {
        let Some(len) = len else { return Self(ProgressBar::hidden()) };
        let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr());
        let form = "{bar:32} {percent:>3} %  {msg}  {elapsed_precise}";
        let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        Self(bar)
    }

    /// The progress through standard input, if that is a file.
    pub(crate) fn of_input() -> Self {
        let input = std::io::stdin().as_fd().try_clone_to_owned().map(File::from);
        let found = input.and_then(|input| input.metadata()).ok().filter(std::fs::Metadata::is_file);
        Self::of(found.map(|found| found.len()))
    }

    /// So many bytes are read, and so many messages sent.
    pub(crate) fn reached(&self, bytes: u64, messages: u64) {
        if !self.0.is_hidden() {
            self.0.set_position(bytes);
            self.0.set_message(format!("{messages} messages"));
        }
    }

    /// All is read.
    pub(crate) fn finish(&self, messages: u64) {
        self.reached(self.0.length().unwrap_or_default(), messages);
        self.0.abandon();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.0.is_finished() {
            self.0.abandon();
        }
    }
}
