//! The writing side of a session: from the outbox to the stream, as far as it takes it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::outbox::{Outbox, Segment};
use crate::events::CloseCause;

/// Writes what is queued.
#[derive(Debug)]
pub(super) struct Writer {
    outbox: Arc<Outbox>,
    /// How long the stream may take nothing while there is something to write.
    patience: Duration,
    /// What is being written, and how much of it has been.
    writing: Option<(Segment, usize)>,
    /// Something was written since the stream was last flushed.
    unflushed: bool,
    /// The other side reads no more, or nothing more can be written.
    ended: Option<CloseCause>,
    /// When the stream has to have taken something more.
    stalled_until: Option<Instant>,
}

impl Writer {
    pub(super) fn new(outbox: Arc<Outbox>, patience: Duration) -> Self {
        Self { outbox, patience, writing: None, unflushed: false, ended: None, stalled_until: None }
    }

    /// Writes what is queued. `Pending` while the stream takes no more.
    pub(super) fn poll_write<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncWrite + Unpin,
    {
        while self.ended.is_none() {
            if self.writing.is_none() {
                self.writing = self.outbox.take().map(|segment| (segment, 0));
            }
            let Some((segment, written)) = &mut self.writing else { break };
            match Pin::new(&mut *stream).poll_write(cx, &segment.bytes()[*written..]) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    *written += count;
                    self.unflushed = true;
                    let done = *written == segment.bytes().len();
                    self.stalled_until = None;
                    self.outbox.written(segment, count, done);
                    if done && let Some((segment, _)) = self.writing.take() {
                        segment.reuse();
                    }
                }
                // The other side may have sent something before it went: reading finds out.
                Poll::Ready(Ok(_)) => self.end(CloseCause::PeerClosed),
                // Nothing has gone wrong: it is to be tried again.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => self.end(cause_of(error)),
                Poll::Pending => {
                    self.stall();
                    return Poll::Pending;
                }
            }
        }
        self.poll_flush(stream, cx)
    }

    /// Has the stream pass on what it keeps: one that buffers or encrypts may do so until it is told.
    /// `Pending` while it can't.
    fn poll_flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        if self.unflushed && self.ended.is_none() {
            match Pin::new(stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => (self.unflushed, self.stalled_until) = (false, None),
                Poll::Ready(Err(error)) => self.end(cause_of(error)),
                Poll::Pending => {
                    self.stall();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }

    /// Tells the other side that nothing more comes. `Pending` while the stream can't.
    pub(super) fn poll_shutdown<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let shut = Pin::new(stream).poll_shutdown(cx).map(|_| ());
        if shut.is_ready() {
            // Shutting down includes flushing.
            (self.unflushed, self.stalled_until) = (false, None);
        }
        shut
    }

    /// Finds out whether the other side, which has finished sending, still reads: the kernel says so even of
    /// an empty write.
    pub(super) fn probe<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) {
        if self.ended.is_none() {
            // Asked once, so whatever the runtime still allows this task.
            let mut asked = unconstrained(poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, &[])));
            if let Poll::Ready(Err(error)) = Pin::new(&mut asked).poll(cx) {
                self.end(cause_of(error));
            }
        }
    }

    /// Why nothing more can be written, if so.
    pub(super) fn ended(&self) -> Option<&CloseCause> {
        self.ended.as_ref()
    }

    /// Whether there is nothing left to write, or nobody to write it to.
    pub(super) fn is_done(&self) -> bool {
        self.ended.is_some() || (self.writing.is_none() && self.outbox.is_empty())
    }

    pub(super) fn stalled_until(&self) -> Option<Instant> {
        self.stalled_until
    }

    /// What was being written, and how much of it had been.
    pub(super) fn take_writing(&mut self) -> Option<(Segment, usize)> {
        self.writing.take()
    }

    /// Notes that the stream takes no more, unless that is known.
    fn stall(&mut self) {
        if self.stalled_until.is_none() {
            self.stalled_until = Instant::now().checked_add(self.patience);
        }
    }

    fn end(&mut self, cause: CloseCause) {
        self.ended = Some(cause);
        self.stalled_until = None;
        self.outbox.break_off();
    }
}

/// A reset is how a Unix socket ends when the other side left without reading everything (`unix(7)`).
pub(super) fn cause_of(error: io::Error) -> CloseCause {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => CloseCause::PeerClosed,
        _ => CloseCause::Io(Arc::new(error)),
    }
}
