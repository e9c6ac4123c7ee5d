//! The thread that a blocking client runs on.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::{self, ThreadId};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::connection::Closing;
use crate::sync::lock;

/// What the thread is called; the kernel keeps 15 bytes of it.
const NAME: &str = "socket-ipc";

/// The thread of one client: it starts when it is first needed, and ends with the client.
#[derive(Debug, Default)]
pub(super) struct Thread {
    running: Mutex<Option<Running>>,
    own: Own,
}

#[derive(Debug)]
struct Running {
    runtime: Handle,
    /// Dropping it ends the thread. Nothing joins the thread, since a listener may block it.
    _stop: oneshot::Sender<Infallible>,
}

/// Tells a client's thread from others. Keeps no thread alive.
#[derive(Clone, Debug, Default)]
pub(super) struct Own(Arc<OnceLock<ThreadId>>);

impl Thread {
    /// Returns the runtime of the thread, and starts the thread if it has not started. The thread also ends when
    /// `closed` resolves.
    pub(super) fn runtime(&self, closed: Closing) -> io::Result<Handle> {
        let mut running = lock(&self.running);
        if let Some(Running { runtime, .. }) = &*running {
            return Ok(runtime.clone());
        }
        let (stop, stopped) = oneshot::channel();
        let (made, runtime) = mpsc::sync_channel(1);
        // Made on the thread and not here: if the thread can't start, the runtime is dropped, and a runtime must not be
        // dropped inside another.
        let thread = thread::Builder::new().name(NAME.into()).spawn(move || run(&made, stopped, closed))?;
        let runtime = runtime.recv().map_err(io::Error::other)??;
        // The id is known before anything runs on the thread.
        let _ = self.own.0.set(thread.thread().id());
        *running = Some(Running { runtime: runtime.clone(), _stop: stop });
        Ok(runtime)
    }

    pub(super) fn own(&self) -> &Own {
        &self.own
    }
}

impl Own {
    /// Whether this is the client's own thread.
    pub(super) fn is_current(&self) -> bool {
        self.0.get() == Some(&thread::current().id())
    }

    /// Panics on the client's own thread, which would wait for itself.
    #[track_caller]
    pub(super) fn must_not_wait(&self) {
        assert!(
            !self.is_current(),
            "a listener of a blocking client must not wait for the client: it would wait for its own thread; send with \
             `handle()`, or have another thread wait"
        );
    }
}

fn run(made: &mpsc::SyncSender<io::Result<Handle>>, stopped: oneshot::Receiver<Infallible>, closed: Closing) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = made.send(Err(error));
            return;
        }
    };
    let _ = made.send(Ok(runtime.handle().clone()));
    runtime.block_on(async {
        tokio::select! {
            _ = stopped => {}
            () = closed => {}
        }
    });
    // Blocking tasks that a listener spawned do not keep the thread.
    runtime.shutdown_background();
}
