//! Running a command to its end, or until a signal.

use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::output;

/// Runs a command that ends by itself.
pub(crate) fn to_the_end<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = started(&mut Builder::new_current_thread())?;
    let outcome = runtime.block_on(work);
    // A thread that reads standard input may be blocked, and is left behind.
    runtime.shutdown_background();
    outcome
}

/// Runs a command until Ctrl-C, SIGTERM, or the end of the program that reads its output. Then `close` runs, and a
/// second signal ends it early.
///
/// The command has a runtime of its own. Its listeners may block while they write to a program that has stopped
/// reading, and a signal still ends the command.
pub(crate) fn until_told(
    work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    mut broken: mpsc::Receiver<io::Error>,
    close: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let unread = async move {
        tokio::select! {
            Some(error) = broken.recv() => output::unwritten(&error),
            () = nobody_reads() => Ok(()),
        }
    };
    until(work, unread, close)
}

/// Runs a command that prints nothing until Ctrl-C or SIGTERM, otherwise as [`until_told`] does.
pub(crate) fn until_signal(
    work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    close: impl Future<Output = ()>,
) -> Result<(), Failure> {
    until(work, pending(), close)
}

fn until(
    work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    unread: impl Future<Output = Result<(), Failure>>,
    close: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let workers = started(Builder::new_multi_thread().worker_threads(2))?;
    let runtime = started(&mut Builder::new_current_thread())?;
    let outcome = runtime.block_on(async {
        let mut told = Told::new()?;
        let mut working = workers.spawn(work);
        let outcome = tokio::select! {
            worked = &mut working => {
                return worked.unwrap_or_else(|error| Err(Failure::other(error.to_string())));
            }
            () = told.next() => Ok(()),
            unread = unread => unread,
        };
        tokio::select! {
            () = close => {}
            () = told.next() => {}
        }
        outcome
    });
    workers.shutdown_background();
    outcome
}

/// Does something with what another thread may hold for a while, once that is done. A signal may come meanwhile.
pub(crate) async fn once_free<T, R>(shared: &Mutex<T>, act: impl FnOnce(&mut T) -> R) -> R {
    loop {
        match shared.try_lock() {
            Ok(mut free) => return act(&mut free),
            Err(TryLockError::Poisoned(poisoned)) => return act(&mut poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn started(builder: &mut Builder) -> Result<Runtime, Failure> {
    builder.enable_all().build().map_err(|error| Failure::other(format!("cannot start: {error}")))
}

/// The signals that end a command.
pub(crate) struct Told {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Told {
    pub(crate) fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::other(format!("cannot receive signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Resolves when standard output is a pipe that no program reads any longer. Otherwise only the next message would show
/// it, and that may never come.
async fn nobody_reads() {
    match output_pipe() {
        // A pipe reports no other error.
        Some(pipe) if pipe.ready(Interest::ERROR).await.is_ok() => {}
        _ => pending().await,
    }
}

fn output_pipe() -> Option<Sender> {
    let output = File::from(io::stdout().as_fd().try_clone_to_owned().ok()?);
    let is_pipe = output.metadata().ok()?.file_type().is_fifo();
    // Unchecked: the checked constructor would make the pipe non-blocking for every program that shares it. This
    // descriptor is never written to.
    is_pipe.then(|| Sender::from_file_unchecked(output).ok())?
}
