//! What `on…` returns, and how a listener is called without harm to its caller.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Names a listener that was attached, so that `off` can remove it.
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

/// Calls code of the user; `Err` is what its panic said.
///
/// With `panic = "abort"` there is nothing to catch: the process ends, as that setting asks for.
#[inline]
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    // What the panic may have left half done belongs to the user's code, which hears of it by `on_error`.
    catch_unwind(AssertUnwindSafe(call)).map_err(panic_text)
}

fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => {
            let text =
                panic.downcast_ref::<&str>().map_or_else(|| "(no text)".to_owned(), ToString::to_string);
            // What a program panics with may itself panic as it is dropped, and so may what that panics with: it is left.
            if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
                std::mem::forget(another);
            }
            text
        }
    }
}

/// Where an endpoint reports that what a listener owns has panicked as it was dropped. The code that happens to drop a
/// listener last, a connection perhaps, has no part in that.
#[derive(Clone, Default)]
pub(crate) struct DropReport(Arc<OnceLock<Box<ReportDrop>>>);

/// Is given what the listener listened for, and what the panic said.
type ReportDrop = dyn Fn(&str, String) + Send + Sync;

impl DropReport {
    /// Sets where to report to, once.
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
