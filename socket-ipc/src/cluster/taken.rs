//! The requests of other nodes that this one has taken: each gets signs of life until it is replied to, and may be
//! cancelled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Subject;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::node::NodeId;
use super::remote_connection::RemoteConnection;
use crate::sync::lock;

/// How long a request may run before its first sign. Most are replied to earlier, and cost no sign.
const FIRST_SIGN: Duration = Duration::from_millis(20);

/// How often a request that runs gives a sign.
const SIGN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Taken {
    next: AtomicU64,
    requests: Mutex<HashMap<u64, TakenRequest>>,
    /// Tells the task that gives signs that there is a request again.
    filled: Notify,
}

struct TakenRequest {
    reply: Subject,
    /// The node that sent it; `None` for a program without this library.
    requester: Option<NodeId>,
    sign_due: Instant,
    /// When it is overdue: of a requester that no node is, which would never cancel it.
    until: Option<Instant>,
    responder: Responder,
}

/// The requests whose time has come.
#[derive(Default)]
pub(super) struct Due {
    /// Those that give a sign, and where.
    pub(super) signs: Vec<(u64, Subject)>,
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

    pub(super) fn begin(
        &self,
        number: u64,
        reply: Subject,
        requester: Option<NodeId>,
        until: Option<Instant>,
        responder: Responder,
    ) {
        let sign_due = Instant::now() + FIRST_SIGN;
        let is_first = {
            let mut requests = lock(&self.requests);
            requests.insert(number, TakenRequest { reply, requester, sign_due, until, responder });
            requests.len() == 1
        };
        if is_first {
            self.filled.notify_one();
        }
    }

    /// Where the reply to a request goes, unless it was cancelled or is done.
    pub(super) fn reply_of(&self, number: u64) -> Option<Subject> {
        lock(&self.requests).get(&number).map(|request| request.reply.clone())
    }

    /// Where the reply to a request goes, unless it was cancelled. The request is done.
    pub(super) fn finish(&self, number: u64) -> Option<Subject> {
        lock(&self.requests).remove(&number).map(|request| request.reply)
    }

    /// The requester has given up, or is overdue. Returns where the reply would have gone.
    pub(super) fn cancel(&self, number: u64) -> Option<Subject> {
        let request = lock(&self.requests).remove(&number)?;
        request.responder.cancel(number);
        Some(request.reply)
    }

    /// The requester of a request is a node: it cancels it itself.
    pub(super) fn keep(&self, number: u64) {
        if let Some(request) = lock(&self.requests).get_mut(&number) {
            request.until = None;
        }
    }

    /// All requests of a node are cancelled: it is gone.
    pub(super) fn cancel_of(&self, node: &NodeId) {
        let is_of = |request: &TakenRequest| request.requester.as_ref() == Some(node);
        let gone: Vec<_> = lock(&self.requests).extract_if(|_, request| is_of(request)).collect();
        for (number, request) in gone {
            request.responder.cancel(number);
        }
    }

    /// Takes the requests of a connection that has ended, and returns where their replies go.
    pub(super) fn take_of(&self, connection: &Arc<RemoteConnection>) -> Vec<Subject> {
        let is_of = |request: &TakenRequest| matches!(&request.responder, Responder::Server(server) if Arc::ptr_eq(server, connection));
        lock(&self.requests)
            .extract_if(|_, request| is_of(request))
            .map(|(_, request)| request.reply)
            .collect()
    }

    /// Waits for the time of the next signs, or of a request that is overdue.
    pub(super) async fn due(&self) -> Due {
        let when = |request: &TakenRequest| {
            request.until.map_or(request.sign_due, |until| until.min(request.sign_due))
        };
        loop {
            let next = lock(&self.requests).values().map(when).min();
            match next {
                None => self.filled.notified().await,
                // A request that comes meanwhile may be due earlier. However many come, this looks no more often.
                Some(next) if next > Instant::now() => tokio::time::sleep(FIRST_SIGN).await,
                Some(_) => break,
            }
        }
        let now = Instant::now();
        let mut due = Due::default();
        for (number, request) in lock(&self.requests).iter_mut() {
            if request.until.is_some_and(|until| until <= now) {
                due.overdue.push((*number, request.requester.clone()));
            } else if request.sign_due <= now {
                request.sign_due = now + SIGN;
                due.signs.push((*number, request.reply.clone()));
            }
        }
        due
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.requests).is_empty()
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
