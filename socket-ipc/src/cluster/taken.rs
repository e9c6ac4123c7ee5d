//! The requests of other nodes that this one has taken: each gets signs of life until it is replied to, and may be
//! cancelled. A stream lasts until its end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Subject;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::node::NodeId;
use super::remote_connection::RemoteConnection;
use super::taken_stream::TakenStream;
use crate::sync::lock;

/// How long a request may run before its first sign. Most are replied to earlier, and cost no sign.
const FIRST_SIGN: Duration = Duration::from_millis(20);

/// How often a request that runs gives a sign.
const SIGN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Taken {
    next: AtomicU64,
    requests: Mutex<HashMap<u64, TakenRequest>>,
    /// Tells the task that gives signs that there is a request which is due earlier than it knew.
    earlier: Notify,
    /// It sleeps for longer than a request takes to its first sign.
    sleeps_long: AtomicBool,
}

struct TakenRequest {
    from: Requester,
    sign_due: Instant,
    responder: Responder,
    stream: Option<Arc<TakenStream>>,
}

/// Who waits for the reply to a request.
pub(super) struct Requester {
    /// Where the reply goes.
    pub(super) reply: Subject,
    /// The node that sent it; `None` for a program without this library.
    pub(super) node: Option<NodeId>,
    /// When it is overdue: of a requester that no node is, which would never cancel it.
    pub(super) until: Option<Instant>,
}

/// Where the reply to a request goes, or the end of a stream.
pub(super) struct ReplyAt {
    pub(super) subject: Subject,
    pub(super) stream: Option<Arc<TakenStream>>,
}

/// The requests whose time has come.
#[derive(Default)]
pub(super) struct Due {
    /// Those that give a sign, and where, and the next item of a stream that has begun.
    pub(super) signs: Vec<(u64, Subject, Option<u64>)>,
    /// Those that are overdue, and who sent them.
    pub(super) overdue: Vec<(u64, Option<NodeId>)>,
}

/// What replies to a request.
pub(super) enum Responder {
    /// This server, over a connection in memory.
    Server(Arc<RemoteConnection>),
    /// A client of this server. The task waits for its reply.
    Client(AbortHandle),
}

impl Taken {
    /// The number of the next request.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A request was taken. With a stream, its reply is one.
    pub(super) fn begin(
        &self,
        number: u64,
        from: Requester,
        responder: Responder,
        stream: Option<Arc<TakenStream>>,
    ) {
        let sign_due = Instant::now() + FIRST_SIGN;
        lock(&self.requests).insert(number, TakenRequest { from, sign_due, responder, stream });
        if self.sleeps_long.swap(false, Ordering::AcqRel) {
            self.earlier.notify_one();
        }
    }

    /// Where the reply to a request goes, unless it was cancelled or is done.
    pub(super) fn reply_of(&self, number: u64) -> Option<Subject> {
        lock(&self.requests).get(&number).map(|request| request.from.reply.clone())
    }

    /// The responder of a stream has begun. Returns where its items go, unless it was cancelled. A sign is given now.
    pub(super) fn begin_items(&self, number: u64) -> Option<Subject> {
        let mut requests = lock(&self.requests);
        let request = requests.get_mut(&number)?;
        request.stream.as_ref()?.begin();
        request.sign_due = Instant::now() + SIGN;
        Some(request.from.reply.clone())
    }

    /// Where the items of a stream go, unless it was cancelled.
    pub(super) fn stream(&self, number: u64) -> Option<(Subject, Arc<TakenStream>)> {
        let requests = lock(&self.requests);
        let request = requests.get(&number)?;
        Some((request.from.reply.clone(), Arc::clone(request.stream.as_ref()?)))
    }

    /// The requester of a stream takes this many bytes of items in all. A requester that no node is has until `until` to
    /// say it again.
    pub(super) fn grant(&self, number: u64, limit: u64, until: Option<Instant>) {
        let mut requests = lock(&self.requests);
        let Some(TakenRequest { from, responder, stream: Some(stream), .. }) = requests.get_mut(&number)
        else {
            return;
        };
        if from.until.is_some() {
            from.until = until;
        }
        let (more, is_due) = stream.grant(limit);
        match responder {
            Responder::Server(connection) if is_due => connection.open_window(number, stream),
            Responder::Server(_) => {}
            Responder::Client(_) => {
                let stream = Arc::clone(stream);
                drop(requests);
                // It wakes the task of the stream.
                stream.of_client.open(more);
            }
        }
    }

    /// Where the reply to a request goes, unless it was cancelled. The request is done.
    pub(super) fn finish(&self, number: u64) -> Option<ReplyAt> {
        lock(&self.requests).remove(&number).map(TakenRequest::into_reply)
    }

    /// The requester has given up, or is overdue. Returns where the reply would have gone.
    pub(super) fn cancel(&self, number: u64) -> Option<ReplyAt> {
        let request = lock(&self.requests).remove(&number)?;
        Some(request.cancelled(number))
    }

    /// All streams are cancelled. Returns where their ends go.
    pub(super) fn cancel_streams(&self) -> Vec<ReplyAt> {
        let is_stream = |request: &TakenRequest| request.stream.is_some();
        let streams: Vec<_> = lock(&self.requests).extract_if(|_, request| is_stream(request)).collect();
        streams.into_iter().map(|(number, request)| request.cancelled(number)).collect()
    }

    /// The requester of a request is a node: it cancels it itself.
    pub(super) fn keep(&self, number: u64) {
        if let Some(request) = lock(&self.requests).get_mut(&number) {
            request.from.until = None;
        }
    }

    /// All requests of a node are cancelled: it is gone.
    pub(super) fn cancel_of(&self, node: &NodeId) {
        let is_of = |request: &TakenRequest| request.from.node.as_ref() == Some(node);
        let gone: Vec<_> = lock(&self.requests).extract_if(|_, request| is_of(request)).collect();
        for (number, request) in gone {
            drop(request.cancelled(number));
        }
    }

    /// Takes the requests of a connection that has ended, and returns where their replies go.
    pub(super) fn take_of(&self, connection: &Arc<RemoteConnection>) -> Vec<ReplyAt> {
        let is_of = |request: &TakenRequest| matches!(&request.responder, Responder::Server(server) if Arc::ptr_eq(server, connection));
        lock(&self.requests)
            .extract_if(|_, request| is_of(request))
            .map(|(_, request)| request.into_reply())
            .collect()
    }

    /// Waits for the time of the next signs, or of a request that is overdue.
    pub(super) async fn due(&self) -> Due {
        let when = |request: &TakenRequest| {
            request.from.until.map_or(request.sign_due, |until| until.min(request.sign_due))
        };
        loop {
            // Before it looks: a request that comes from now on tells it.
            self.sleeps_long.store(true, Ordering::Release);
            let next = lock(&self.requests).values().map(when).min();
            let wait = next.map(|next| next.saturating_duration_since(Instant::now()));
            match wait {
                None => self.earlier.notified().await,
                Some(Duration::ZERO) => break,
                Some(wait) if wait > FIRST_SIGN => {
                    // An error means that it is time.
                    let _ = tokio::time::timeout(wait, self.earlier.notified()).await;
                }
                // However many requests come, this looks no more often.
                Some(_) => {
                    self.sleeps_long.store(false, Ordering::Release);
                    tokio::time::sleep(FIRST_SIGN).await;
                }
            }
        }
        self.sleeps_long.store(false, Ordering::Release);
        let now = Instant::now();
        let mut due = Due::default();
        for (number, request) in lock(&self.requests).iter_mut() {
            if request.from.until.is_some_and(|until| until <= now) {
                due.overdue.push((*number, request.from.node.clone()));
            } else if request.sign_due <= now {
                request.sign_due = now + SIGN;
                let next = request.stream.as_ref().and_then(|stream| stream.next());
                due.signs.push((*number, request.from.reply.clone(), next));
            }
        }
        due
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.requests).is_empty()
    }
}

impl TakenRequest {
    fn into_reply(self) -> ReplyAt {
        ReplyAt { subject: self.from.reply, stream: self.stream }
    }

    fn cancelled(self, number: u64) -> ReplyAt {
        let Self { from, responder, stream, .. } = self;
        responder.cancel(number);
        ReplyAt { subject: from.reply, stream }
    }
}

impl Responder {
    fn cancel(self, number: u64) {
        match self {
            Self::Server(connection) => connection.cancel(number),
            Self::Client(task) => task.abort(),
        }
    }
}
