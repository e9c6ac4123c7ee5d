//! The token that `on…` returns, and calls of listeners whose panics are caught.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Names an attached listener, so that `off` can remove it.
///
/// It is a token, unique in the process, not a guard: dropping it removes nothing.
///
/// ```
/// use socket_ipc::{ListenerId, Server};
///
/// let server = Server::new("/tmp/myApp.sock");
/// let listener: ListenerId = server.on_message(|message, topic, client_id| println!("{client_id} {topic} {message}"));
/// assert!(server.off(listener));
/// assert!(!server.off(listener), "it was removed before");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

impl ListenerId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Calls code of the user; `Err` is the text of its panic.
///
/// With `panic = "abort"` there is nothing to catch: the process ends, as that setting asks for.
#[inline]
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    // Only state of the user can be left half changed; `on_error` reports the panic.
    catch_unwind(AssertUnwindSafe(call)).map_err(panic_text)
}

fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => {
            let text =
                panic.downcast_ref::<&str>().map_or_else(|| "(no text)".to_owned(), ToString::to_string);
            // Dropping the payload may panic, and so may dropping the payload of that panic: the second one is leaked.
            if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
                std::mem::forget(another);
            }
            text
        }
    }
}

/// Where an endpoint reports a listener whose drop panicked. The code that drops a listener last, such as a connection,
/// does not see that panic.
#[derive(Clone, Default)]
pub(crate) struct DropReport(Arc<OnceLock<Box<ReportDrop>>>);

/// Takes what the listener listened for, and the text of the panic.
type ReportDrop = dyn Fn(&str, String) + Send + Sync;

impl DropReport {
    /// Sets the report, once.
    pub(crate) fn set(&self, report: impl Fn(&str, String) + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(report));
    }

    /// Drops a listener.
    pub(crate) fn drop_listener<L>(&self, listener: L, listens_for: impl FnOnce() -> String) {
        let Err(panic) = caught(|| drop(listener)) else { return };
        match self.0.get() {
            Some(report) => report(&listens_for(), panic),
            None => tracing::error!(panic, "a listener of {} panicked as it was dropped", listens_for()),
        }
    }
}
