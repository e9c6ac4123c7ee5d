//! The signals that ask a process to end.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::sync::lock;

/// Waits for SIGINT (Ctrl-C) or SIGTERM (a service manager): for [`Server::listen_until`](crate::Server::listen_until).
/// Needs the feature `signal`.
///
/// It takes the signals from the call on. The first one makes it resolve; another one, of either kind, ends the process
/// at once, even if the program is stuck. Where several of these wait, the first signal reaches all of them. If it is
/// dropped before a signal comes, and no other one waits, the signals end the process as they do without it. A program
/// that calls this again after a signal has come, as all earlier ones are done, waits for a signal anew.
///
/// # Panics
///
/// Outside of a tokio runtime with I/O, and where the system has no descriptor left for the signals.
///
/// # Examples
///
/// ```no_run
/// use socket_ipc::{Server, shutdown_signal};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let server = Server::new("/tmp/myApp.sock");
///     server.listen_until(shutdown_signal()).await?;
///     println!("served every request that had begun");
///     Ok(())
/// }
/// ```
#[expect(clippy::expect_used, reason = "a program that can't be asked to end should not begin")]
pub fn shutdown_signal() -> ShutdownSignal {
    ShutdownSignal::new().expect("the signals that ask the process to end can't be received")
}

/// The future of [`shutdown_signal`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct ShutdownSignal {
    interrupt: Signal,
    terminate: Signal,
}

/// What all of them share: the handlers, which are installed once.
struct Shared {
    /// Whether a signal ends the process at once: none of them waits, or the signal is not the first.
    ends_at_once: Arc<AtomicBool>,
    waiting: usize,
}

static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

impl Shared {
    fn install() -> io::Result<Self> {
        let ends_at_once = Arc::new(AtomicBool::new(false));
        for kind in [SIGINT, SIGTERM] {
            // In this order: a signal takes effect by what the one before has set.
            flag::register_conditional_default(kind, Arc::clone(&ends_at_once))?;
            flag::register(kind, Arc::clone(&ends_at_once))?;
        }
        Ok(Self { ends_at_once, waiting: 0 })
    }
}

impl ShutdownSignal {
    fn new() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut shared = lock(&SHARED);
        let shared = match &mut *shared {
            Some(shared) => shared,
            none => none.insert(Shared::install()?),
        };
        if shared.waiting == 0 {
            shared.ends_at_once.store(false, Ordering::Release);
        }
        shared.waiting += 1;
        Ok(Self { interrupt, terminate })
    }
}

impl Future for ShutdownSignal {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Both are polled, so that both wake the task.
        let interrupted = self.interrupt.poll_recv(cx).is_ready();
        let terminated = self.terminate.poll_recv(cx).is_ready();
        if !interrupted && !terminated {
            return Poll::Pending;
        }
        let signal = if terminated { "SIGTERM" } else { "SIGINT" };
        tracing::info!(signal, "asked to end; another signal ends the process at once");
        Poll::Ready(())
    }
}

impl Drop for ShutdownSignal {
    fn drop(&mut self) {
        if let Some(shared) = &mut *lock(&SHARED) {
            shared.waiting -= 1;
            if shared.waiting == 0 {
                shared.ends_at_once.store(true, Ordering::Release);
            }
        }
    }
}

impl fmt::Debug for ShutdownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownSignal").finish_non_exhaustive()
    }
}
