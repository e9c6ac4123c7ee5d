//! The items of a stream of a client anywhere in the domain.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use tokio::task::consume_budget;
use tokio::time::{Instant, Sleep};

use super::error::ClusterError;
use super::remote_stream::RemoteStream;
use super::requests::Sent;
use super::shared::Shared;
use crate::connection::ReplyStream;
use crate::error::RequestError;
use crate::error::error_reply::ErrorReply;

/// The items of a stream that was requested of a client of any node: a `Stream` of `Result<I, ClusterError<E>>`, which
/// [`Cluster::request_stream`](super::Cluster::request_stream) returns.
///
/// The request is sent when the stream is first polled, or by [`started`](Self::started). It ends with `None` when the
/// responder's stream ends. Every other end is one last error. The items are numbered on their way: one that is lost
/// ends the stream with [`ClusterError::ItemsLost`].
///
/// # Windows
///
/// The client sends items until they take as many bytes as the [`window`](Self::window) says, and goes on as this stream
/// reads them, as on one machine ([`ReplyStream`]). What counts between the nodes is the
/// length of the items' JSON text, at least [`limits::ITEM_COST`](crate::limits::ITEM_COST) (64) bytes an item.
///
/// # Cancel safety
///
/// Dropping the stream cancels the request: the node of the client is told, and the client drops the responder's stream.
/// [`next`](Self::next) loses no item when it is dropped before it resolves.
#[must_use = "the request is sent when the stream is polled"]
pub struct ClusterStream<I, E = ErrorReply> {
    phase: Phase<I, E>,
    read: Read<I, E>,
    options: Options,
}

/// How items and ends are read.
pub(super) struct Read<I, E> {
    pub(super) item: fn(&[u8]) -> Result<I, RequestError<E>>,
    pub(super) end: Box<dyn Fn(Sent) -> ClusterError<E> + Send + Sync>,
    /// The error that the stream of a client of this node ends with.
    pub(super) own: Box<dyn Fn(RequestError<E>) -> ClusterError<E> + Send + Sync>,
    pub(super) topic: &'static str,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    window: u64,
    timeout: Duration,
    idle_timeout: Option<Duration>,
}

enum Phase<I, E> {
    /// Of a client of this node.
    Own(ReplyStream<I, E>),
    Unsent {
        shared: Arc<Shared>,
        subject: String,
        payload: Vec<u8>,
    },
    Opening {
        open: Pin<Box<dyn Future<Output = Result<RemoteStream, Sent>> + Send>>,
        wait: Wait,
    },
    Open {
        stream: RemoteStream,
        wait: Wait,
    },
    /// The request can't be sent.
    Failed(ClusterError<E>),
    Done,
}

/// The deadline of the present wait.
struct Wait {
    /// Makes timers of the runtime that the node runs on: the stream may be polled on any executor.
    runtime: tokio::runtime::Handle,
    deadline: Option<Pin<Box<Sleep>>>,
    /// It is the deadline for the responder to begin.
    is_first: bool,
    /// How many items may be read before the budget of tokio's scheduler is charged.
    free: usize,
}

/// How many items are read for one unit of the budget of tokio's scheduler.
const ITEMS_A_UNIT: usize = 16;

impl Wait {
    fn new(runtime: tokio::runtime::Handle, timeout: Duration) -> Self {
        let mut wait = Self { runtime, deadline: None, is_first: true, free: ITEMS_A_UNIT };
        wait.set(timeout);
        wait
    }

    /// Sets the deadline, unless it is beyond the range of the clock.
    fn set(&mut self, timeout: Duration) {
        let _guard = self.runtime.enter();
        let deadline = Instant::now().checked_add(timeout);
        self.deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
    }

    /// Nothing has come. Returns how long the wait was, once that is too long.
    fn poll(&mut self, cx: &mut Context<'_>, has_started: bool, options: Options) -> Poll<Duration> {
        if has_started && std::mem::take(&mut self.is_first) {
            self.deadline = None;
        }
        if has_started
            && self.deadline.is_none()
            && let Some(timeout) = options.idle_timeout
        {
            self.set(timeout);
        }
        let Some(deadline) = &mut self.deadline else { return Poll::Pending };
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(options.idle_timeout.filter(|_| has_started).unwrap_or(options.timeout))
    }

    /// An item has come.
    fn ends(&mut self) {
        (self.deadline, self.is_first) = (None, false);
    }
}

impl<I, E> ClusterStream<I, E> {
    pub(super) fn own(stream: ReplyStream<I, E>, read: Read<I, E>) -> Self {
        Self::made(Phase::Own(stream), read, 1, Duration::ZERO)
    }

    pub(super) fn failed(error: ClusterError<E>, read: Read<I, E>) -> Self {
        Self::made(Phase::Failed(error), read, 1, Duration::ZERO)
    }

    pub(super) fn remote(shared: &Arc<Shared>, subject: String, payload: Vec<u8>, read: Read<I, E>) -> Self {
        let limits = shared.server.limits();
        let (window, timeout) = (limits.stream_window.max(1), limits.request_timeout);
        Self::made(Phase::Unsent { shared: Arc::clone(shared), subject, payload }, read, window, timeout)
    }

    fn made(phase: Phase<I, E>, read: Read<I, E>, window: u64, timeout: Duration) -> Self {
        Self { phase, read, options: Options { window, timeout, idle_timeout: None } }
    }

    /// Sets how many bytes of items may lie unread, as [`ReplyStream::window`] does: `stream_window` of this server
    /// unless set. It has no effect once the request is sent.
    pub fn window(mut self, bytes: u64) -> Self {
        self.options.window = bytes.max(1);
        self.with(|stream| stream.window(bytes))
    }

    /// Sets how long the responder may take to begin, as [`ReplyStream::timeout`] does: `request_timeout` of this server
    /// unless set. It has no effect once the request is sent.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self.with(|stream| stream.timeout(timeout))
    }

    /// Sets how long each item may take, from when it is waited for, as [`ReplyStream::idle_timeout`] does: any time
    /// unless set.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.idle_timeout = Some(timeout);
        self.with(|stream| stream.idle_timeout(timeout))
    }

    fn with(mut self, change: impl FnOnce(ReplyStream<I, E>) -> ReplyStream<I, E>) -> Self {
        if let Phase::Own(_) = self.phase
            && let Phase::Own(stream) = std::mem::replace(&mut self.phase, Phase::Done)
        {
            self.phase = Phase::Own(change(stream));
        }
        self
    }

    /// Sends the request, if that was not done, and waits until the responder has begun to reply.
    ///
    /// # Errors
    ///
    /// [`ClusterError`], if there is no such client or responder, or it fails before it has begun. Then the stream has
    /// ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn started(&mut self) -> Result<(), ClusterError<E>> {
        if let Phase::Own(stream) = &mut self.phase {
            let started = stream.started().await;
            return started.map_err(&self.read.own);
        }
        match poll_fn(|cx| self.poll_started(cx)).await {
            Ok(()) | Err(None) => Ok(()),
            Err(Some(error)) => Err(error),
        }
    }

    /// Waits for the next item; `None` once the stream has ended. An error is the last item.
    ///
    /// # Errors
    ///
    /// [`ClusterError`], for every end but that of the responder's stream.
    pub async fn next(&mut self) -> Option<Result<I, ClusterError<E>>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Waits until the request is sent. `Err` is the end.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Option<ClusterError<E>>>> {
        loop {
            match &mut self.phase {
                Phase::Own(_) | Phase::Open { .. } => return Poll::Ready(Ok(())),
                Phase::Opening { open, wait } => match open.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => {
                        let Phase::Opening { wait, .. } = std::mem::replace(&mut self.phase, Phase::Done)
                        else {
                            continue;
                        };
                        self.phase = Phase::Open { stream, wait };
                    }
                    Poll::Ready(Err(sent)) => return self.end(Some(sent)),
                    Poll::Pending => {
                        let timeout = ready!(wait.poll(cx, false, self.options));
                        return self.time_out(timeout);
                    }
                },
                Phase::Unsent { .. } => {
                    let Phase::Unsent { shared, subject, payload } =
                        std::mem::replace(&mut self.phase, Phase::Done)
                    else {
                        continue;
                    };
                    let wait = Wait::new(shared.runtime.clone(), self.options.timeout);
                    let open = Box::pin(RemoteStream::open(shared, subject, 0, payload, self.options.window));
                    self.phase = Phase::Opening { open, wait };
                }
                Phase::Failed(_) | Phase::Done => {
                    // Otherwise a program that tries again in a loop would let no other task run.
                    ready!(pin!(consume_budget()).poll(cx));
                    return Poll::Ready(Err(match std::mem::replace(&mut self.phase, Phase::Done) {
                        Phase::Failed(error) => Some(error),
                        _ => None,
                    }));
                }
            }
        }
    }

    fn poll_started(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Option<ClusterError<E>>>> {
        ready!(self.poll_open(cx))?;
        let Phase::Open { stream, wait } = &mut self.phase else { return Poll::Ready(Ok(())) };
        match stream.poll_started(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(end)) => self.end(end),
            Poll::Pending => {
                let timeout = ready!(wait.poll(cx, false, self.options));
                self.time_out(timeout)
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<I, ClusterError<E>>>> {
        if let Err(end) = ready!(self.poll_open(cx)) {
            return Poll::Ready(end.map(Err));
        }
        let (stream, wait) = match &mut self.phase {
            Phase::Own(stream) => {
                let item = ready!(Pin::new(stream).poll_next(cx));
                if !matches!(item, Some(Ok(_))) {
                    self.phase = Phase::Done;
                }
                return Poll::Ready(item.map(|item| item.map_err(&self.read.own)));
            }
            Phase::Open { stream, wait } => (stream, wait),
            _ => return Poll::Ready(None),
        };
        if wait.free == 0 {
            ready!(pin!(consume_budget()).poll(cx));
            wait.free = ITEMS_A_UNIT;
        }
        let ended = match stream.poll_item(cx) {
            Poll::Ready(Ok(item)) => {
                wait.free -= 1;
                wait.ends();
                let item = (self.read.item)(item);
                if item.is_err() {
                    // Its node is told that nobody reads on.
                    self.phase = Phase::Done;
                }
                return Poll::Ready(Some(item.map_err(ClusterError::Request)));
            }
            Poll::Ready(Err(end)) => self.end(end),
            Poll::Pending => {
                let timeout = ready!(wait.poll(cx, stream.has_started(), self.options));
                self.time_out(timeout)
            }
        };
        ended.map(|ended| ended.err().flatten().map(Err))
    }

    fn end(&mut self, sent: Option<Sent>) -> Poll<Result<(), Option<ClusterError<E>>>> {
        self.phase = Phase::Done;
        Poll::Ready(Err(sent.map(&self.read.end)))
    }

    fn time_out(&mut self, timeout: Duration) -> Poll<Result<(), Option<ClusterError<E>>>> {
        self.phase = Phase::Done;
        Poll::Ready(Err(Some(ClusterError::Timeout { topic: self.read.topic.to_owned(), timeout })))
    }
}

impl<I, E> Stream for ClusterStream<I, E> {
    type Item = Result<I, ClusterError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl<I, E> FusedStream for ClusterStream<I, E> {
    fn is_terminated(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }
}

// Nothing of it is ever pinned.
impl<I, E> Unpin for ClusterStream<I, E> {}

impl<I, E> fmt::Debug for ClusterStream<I, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match &self.phase {
            Phase::Own(_) => "of this node",
            Phase::Unsent { .. } => "unsent",
            Phase::Opening { .. } | Phase::Open { .. } => "open",
            Phase::Failed(_) => "failed",
            Phase::Done => "done",
        };
        f.debug_struct("ClusterStream")
            .field("topic", &self.read.topic)
            .field("phase", &phase)
            .finish_non_exhaustive()
    }
}
