//! Stand-ins for a socket, an endpoint, and the listeners of a program.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::reply::{Outcome, reply};
use crate::connection::{EndpointState, InboxBudget, ItemSender, Limits, Outbox};
use crate::error::error_reply::ErrorReply;
use crate::error::{Error, MessageError};
use crate::events::CloseCause;
use crate::listener::DropReport;
use crate::metrics::Metrics;
use crate::router::{
    Audience, CallResult, OnCancel, OpenWindow, Owned, RespondingRaw, RespondingRawStream, Router, Streaming,
};
use crate::sync::lock;
use crate::topic::TopicName;
use crate::wire::ReplyTo;

/// Whether a task was woken since it was last polled.
#[derive(Debug, Default)]
pub(super) struct Woken(Mutex<bool>);

impl Woken {
    pub(super) fn take(&self) -> bool {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        *lock(&self.0) = true;
    }
}

/// The state of the socket, which the peer controls.
#[derive(Debug, Default)]
pub(super) struct Socket {
    pub(super) arriving: VecDeque<u8>,
    /// The peer sends no more.
    pub(super) finished: bool,
    /// The peer has closed both directions.
    pub(super) gone: bool,
    /// The connection was reset: a read fails as well.
    pub(super) reset: bool,
    /// The next read is interrupted by a signal.
    pub(super) interrupted: bool,
    /// The peer does not read.
    pub(super) blocked: bool,
    /// This end was shut down: the peer reads the end of the stream, and nothing more can be written.
    pub(super) shut: bool,
    /// How often the session has probed whether the peer is there.
    pub(super) probes: usize,
    pub(super) written: Vec<u8>,
    reading: Option<Waker>,
    writing: Option<Waker>,
    /// Never wakes a session that waits for bytes: a mistake that the walk must notice.
    pub(super) forgets: bool,
}

impl Socket {
    /// Wakes as the kernel does when something has happened.
    pub(super) fn wake(&mut self) {
        let reads = !self.arriving.is_empty() || self.finished || self.gone || self.reset;
        let writes = !self.blocked || self.gone || self.reset;
        for waker in [self.reading.take_if(|_| reads), self.writing.take_if(|_| writes)].into_iter().flatten()
        {
            waker.wake();
        }
    }
}

/// The session's end of the socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream(pub(super) Arc<Mutex<Socket>>);

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut socket = lock(&self.0);
        if std::mem::take(&mut socket.interrupted) {
            return Poll::Ready(Err(io::ErrorKind::Interrupted.into()));
        }
        if socket.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if socket.arriving.is_empty() && !socket.finished && !socket.gone {
            if !socket.forgets {
                socket.reading = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let count = socket.arriving.len().min(buf.remaining());
        let bytes: Vec<u8> = socket.arriving.drain(..count).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut socket = lock(&self.0);
        socket.probes += usize::from(bytes.is_empty());
        if socket.gone || socket.reset || socket.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if socket.blocked {
            socket.writing = Some(cx.waker().clone());
            return Poll::Pending;
        }
        socket.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).shut = true;
        Poll::Ready(Ok(()))
    }
}

/// A gate that listeners or responders wait at, until the walk opens it.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// How many may pass now.
    open: usize,
    wakers: Vec<Waker>,
    /// How many wait now.
    inside: usize,
    /// How many have waited since the start.
    entered: usize,
}

impl Gate {
    /// Lets one pass if one waits, or lets all pass from now on.
    pub(super) fn open(&self, all: bool) {
        let wakers = {
            let mut waiting = lock(&self.0);
            if all {
                waiting.open = usize::MAX;
            } else if waiting.inside > waiting.open {
                waiting.open += 1;
            }
            std::mem::take(&mut waiting.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn inside(&self) -> usize {
        lock(&self.0).inside
    }

    pub(super) fn entered(&self) -> usize {
        lock(&self.0).entered
    }

    fn enter(self: &Arc<Self>) -> Pass {
        let mut waiting = lock(&self.0);
        waiting.inside += 1;
        waiting.entered += 1;
        drop(waiting);
        Pass(Arc::clone(self))
    }
}

/// The future of a listener or a responder that waits at a gate. Dropping it leaves the gate.
struct Pass(Arc<Gate>);

impl Future for Pass {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = lock(&self.0.0);
        if waiting.open == 0 {
            waiting.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        waiting.open = if waiting.open == usize::MAX { usize::MAX } else { waiting.open - 1 };
        Poll::Ready(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut waiting = lock(&self.0.0);
        waiting.inside -= 1;
        // Where one that may pass was dropped instead, no other passes in its place.
        if waiting.open != usize::MAX {
            waiting.open = waiting.open.min(waiting.inside);
        }
    }
}

/// An endpoint with a listener of `note`, an asynchronous listener of `wait`, an asynchronous responder to `request`, and
/// a responder to `stream` whose streams never end.
pub(in crate::connection) struct Fake {
    router: Router<()>,
    limits: Limits,
    metrics: Arc<Metrics>,
    inbox: Arc<InboxBudget>,
    /// It has another connection.
    pub(super) has_another: AtomicBool,
    pub(super) noted: Mutex<usize>,
    pub(super) errors: Mutex<Vec<String>>,
    /// Owned by the endpoint, which outlives its connection.
    pub(super) listening: Arc<Gate>,
    pub(super) responding: Arc<Gate>,
    /// Counts the streams.
    pub(super) streaming: Arc<Gate>,
}

impl Fake {
    pub(in crate::connection) fn new(limits: Limits, outbox: &Arc<Outbox>) -> Arc<Self> {
        Self::with_inbox(limits, outbox, InboxBudget::new(usize::MAX, usize::MAX))
    }

    /// An endpoint whose connections share this budget.
    pub(super) fn with_inbox(limits: Limits, outbox: &Arc<Outbox>, inbox: Arc<InboxBudget>) -> Arc<Self> {
        let metrics = Metrics::new();
        let (listening, responding) = (Arc::<Gate>::default(), Arc::<Gate>::default());
        let fake = Arc::new(Self {
            router: Router::new(
                limits.wire,
                limits.max_topic_len,
                limits.raw_len,
                Arc::clone(&metrics),
                DropReport::default(),
            ),
            limits,
            metrics,
            inbox,
            has_another: AtomicBool::new(false),
            noted: Mutex::default(),
            errors: Mutex::default(),
            listening: Arc::clone(&listening),
            responding: Arc::clone(&responding),
            streaming: Arc::default(),
        });
        let noting = Arc::downgrade(&fake);
        let note = move |(): (), _, ()| {
            if let Some(fake) = noting.upgrade() {
                *lock(&fake.noted) += 1;
            }
            CallResult::Done
        };
        fake.router.attach(Audience::Topic("note"), Owned::new(note));
        let wait = move |(): (), _, ()| CallResult::Wait(Box::pin(listening.enter()));
        fake.router.attach(Audience::Topic("wait"), Owned::new(wait));
        fake.attach_stream(outbox);
        let (endpoint, outbox) = (Arc::downgrade(&fake), Arc::clone(outbox));
        let respond = move |_: crate::RawMessage<'_>, (), to: &ReplyTo| {
            let (to, requester) = (to.clone(), to.clone());
            let (endpoint, outbox, pass) = (endpoint.clone(), Arc::clone(&outbox), responding.enter());
            let wait = Box::pin(async move {
                pass.await;
                let Some(endpoint) = endpoint.upgrade() else { return };
                let outcome = Outcome::<(), ErrorReply>::Reply(&());
                reply(&*endpoint, &outbox, &requester, TopicName::AtRunTime("reply"), outcome);
            });
            CallResult::Responding { wait, to, on_cancel: OnCancel::Drop }
        };
        let attached = fake.router.attach_as(
            crate::ListenerId::next(),
            "request",
            RespondingRaw::new(Some("reply".into()), respond),
        );
        assert!(attached.is_ok());
        fake
    }

    fn attach_stream(self: &Arc<Self>, outbox: &Arc<Outbox>) {
        let (endpoint, outbox) = (Arc::downgrade(self), Arc::clone(outbox));
        let respond = move |_: crate::RawMessage<'_>, (), id: crate::wire::RequestId, window| {
            let Some(endpoint) = endpoint.upgrade() else { return CallResult::Done };
            let (window, to) = (Arc::new(OpenWindow::new(window)), ReplyTo::Request(id.clone()));
            let streaming = Arc::clone(&endpoint.streaming);
            let sender = ItemSender::new(endpoint, Arc::clone(&outbox), id, Arc::clone(&window));
            let wait = Box::pin(async move {
                let make = || {
                    let pass = streaming.enter();
                    futures_util::stream::poll_fn(move |_| {
                        let _ = &pass;
                        Poll::Ready(Some(Ok(())))
                    })
                };
                let topic = TopicName::AtRunTime("stream");
                sender.run::<(), ErrorReply, _>(topic, make, |error| Outcome::ErrorReply(error)).await;
            });
            CallResult::Streaming(Box::new(Streaming { wait, to, window }))
        };
        let attached =
            self.router.attach_as(crate::ListenerId::next(), "stream", RespondingRawStream::new(respond));
        assert!(attached.is_ok());
    }
}

impl EndpointState for Fake {
    type From = ();

    const SLOW_CONSUMER: CloseCause = CloseCause::SlowClient;

    fn router(&self) -> &Router<()> {
        &self.router
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn inbox(&self) -> &Arc<InboxBudget> {
        &self.inbox
    }

    fn has_one_connection(&self) -> bool {
        !self.has_another.load(Ordering::Relaxed)
    }

    fn user_of(&self, (): ()) -> Option<u32> {
        None
    }

    fn message_error(&self, error: MessageError, (): ()) {
        lock(&self.errors).push(error.to_string());
    }

    fn listener_panicked(&self, listens_for: String, (): (), panic: String) {
        lock(&self.errors).push(format!("{listens_for}: {panic}"));
    }

    fn error(&self, error: Error) {
        lock(&self.errors).push(error.to_string());
    }

    fn late_reply(&self, _: &crate::wire::RequestId, _: &str, (): ()) {}
}
