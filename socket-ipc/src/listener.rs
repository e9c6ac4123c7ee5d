//! What `on…` returns, and how a listener is called without harm to its caller.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Names a listener that was attached, so that `off` can remove it.
///
/// It is a token, unique in the process, not a guard: dropping it removes nothing.
///
/// ```
/// use socket_ipc::{Listener, Server};
///
/// let server = Server::new("/tmp/myApp.sock");
/// let listener: Listener = server.on_message(|message, topic, client_id| println!("{client_id} {topic} {message}"));
/// assert!(server.off(listener));
/// assert!(!server.off(listener), "it was removed before");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listener(u64);

impl Listener {
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
            panic.downcast_ref::<&str>().map_or_else(|| "(no text)".to_owned(), ToString::to_string)
        }
    }
}
