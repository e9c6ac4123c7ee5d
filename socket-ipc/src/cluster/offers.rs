//! The topics that this node offers to the domain: its responders reply to requests of any node.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_nats::{Message, Subject, Subscriber};
use futures_util::StreamExt as _;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;

use super::headers::{self, Kind};
use super::leave::closing;
use super::node::{ClientRef, NodeId};
use super::offer_end;
use super::remote_connection::{RemoteConnection, server_closes};
use super::shared::Shared;
use super::taken::Requester;
use crate::endpoint::origin::Origin;
use crate::error::error_reply::ErrorReply;
use crate::sync::lock;

/// NATS hands each request to one of the subscribers of this group.
const QUEUE_GROUP: &str = "socket-ipc";

#[derive(Default)]
pub(super) struct Offers {
    topics: Mutex<BTreeMap<String, Offer>>,
    connections: Mutex<Connections>,
    /// Tells the tasks that take requests to take no more.
    ends: watch::Sender<bool>,
    /// How many of these tasks there are.
    open: AtomicUsize,
}

/// A topic that is offered.
struct Offer {
    /// The subject of its requests.
    subject: String,
    /// This node has subscribed to it. Until then no other node is told of it: its requests would find nobody.
    is_subscribed: bool,
}

/// A task that takes requests.
pub(super) struct Open(Arc<Offers>);

impl Open {
    fn new(shared: &Shared) -> Self {
        shared.offers.open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(&shared.offers))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The connections in memory to this server.
#[derive(Default)]
struct Connections {
    /// One for each node that is known, so that none keeps another's requests waiting.
    nodes: HashMap<NodeId, Arc<RemoteConnection>>,
    /// The one for all other requesters.
    others: Option<Arc<RemoteConnection>>,
}

impl Offers {
    /// The topics that other nodes are told of.
    pub(super) fn topics(&self) -> Vec<String> {
        let topics = lock(&self.topics);
        topics.iter().filter(|(_, offer)| offer.is_subscribed).map(|(topic, _)| topic.clone()).collect()
    }

    /// Takes no further request.
    pub(super) fn end(&self) {
        self.ends.send_replace(true);
    }

    /// The NATS server reports an error. A topic whose subscription it refuses is not offered.
    pub(super) fn on_error(&self, error: &str) {
        if let Some((_, refused)) = error.split_once("Permissions Violation for Subscription to ") {
            lock(&self.topics)
                .retain(|_, Offer { subject, .. }| !refused.starts_with(&format!("\"{subject}\"")));
        }
    }

    /// Whether the end has begun.
    pub(super) fn have_ended(&self) -> bool {
        *self.ends.borrow()
    }

    /// Whether NATS hands over nothing more.
    pub(super) fn are_closed(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// A node is gone, and so is what it requested.
    pub(super) fn forget(&self, node: &NodeId) {
        let connection = lock(&self.connections).nodes.remove(node);
        drop(connection);
    }
}

/// Subscribes to the requests of a topic, and takes them until the node leaves.
pub(super) fn offer(shared: &Arc<Shared>, topic: &str) {
    let subject = shared.subjects.requests(topic);
    match lock(&shared.offers.topics).entry(topic.to_owned()) {
        Entry::Occupied(_) => return,
        Entry::Vacant(new) => new.insert(Offer { subject: subject.clone(), is_subscribed: false }),
    };
    let (taking, topic) = (Arc::clone(shared), topic.to_owned());
    let open = Open::new(shared);
    shared.spawn(async move {
        match taking.nats.queue_subscribe(subject, QUEUE_GROUP.to_owned()).await {
            Ok(requests) => take_all(&taking, &topic, requests, open).await,
            Err(error) => {
                taking.hub.report(super::ClusterEvent::Error(format!("cannot offer `{topic}`: {error}")))
            }
        }
    });
}

async fn take_all(shared: &Arc<Shared>, topic: &str, mut requests: Subscriber, open: Open) {
    // The other nodes are told at once.
    if let Some(offer) = lock(&shared.offers.topics).get_mut(topic) {
        offer.is_subscribed = true;
    }
    shared.beat_now.notify_one();
    let (mut ends, mut received) = (shared.offers.ends.subscribe(), 0);
    loop {
        tokio::select! {
            biased;
            // An error is not possible: the sender is here.
            () = async { drop(ends.wait_for(|ends| *ends).await) } => break,
            message = requests.next() => match message {
                Some(message) => {
                    received += 1;
                    take(shared, topic, message).await;
                }
                None => return,
            },
        }
    }
    lock(&shared.offers.topics).remove(topic);
    shared.beat_now.notify_one();
    offer_end::end(shared, topic, requests, received, open).await;
}

pub(super) async fn take(shared: &Arc<Shared>, topic: &str, message: Message) {
    let kind = Kind::of(&message);
    let requester = match message.reply.as_deref().map(|reply| shared.check_reply(reply)).transpose() {
        Ok(requester) => requester.flatten(),
        Err(reason) => return shared.hub.report_refused(&message.subject, reason),
    };
    match hand_over(shared, topic, kind, requester, &message) {
        // The sender of a message may want to know that this server has it.
        Ok(()) if kind == Kind::Message => {
            if let Some(reply) = message.reply {
                shared.reply(reply, b"null".to_vec()).await;
            }
        }
        Ok(()) => {}
        Err((Some(reply), error)) => shared.reply_error(reply, &error).await,
        Err((None, error)) => shared.hub.report_refused(&message.subject, error.text()),
    }
}

/// Hands a message or request to the server. `Err` has the error, and the subject that it is replied to, if there is
/// one.
fn hand_over(
    shared: &Arc<Shared>,
    topic: &str,
    kind: Kind,
    requester: Option<NodeId>,
    message: &Message,
) -> Result<(), (Option<Subject>, ErrorReply)> {
    let reply = message.reply.clone();
    let refused = |error| (reply.clone(), error);
    let text: &RawValue = serde_json::from_slice(&message.payload).map_err(|error| {
        refused(ErrorReply::new(ErrorReply::UNDECODABLE, format!("the payload is not JSON: {error}")))
    })?;
    let connection = shared.connection_of(requester.as_ref()).ok_or_else(|| refused(server_closes()))?;
    let trace = headers::trace(message);
    match (kind, &reply) {
        (Kind::Message, _) => connection.message(topic, text).map_err(refused),
        (Kind::Request, Some(to)) => {
            let from = shared.requester(to.clone(), requester);
            connection.request(&shared.taken, topic, text, from, trace.as_deref(), None).map_err(refused)
        }
        (Kind::Stream, Some(to)) => {
            let window = shared.window_of(message).map_err(refused)?;
            let from = shared.requester(to.clone(), requester);
            connection
                .request(&shared.taken, topic, text, from, trace.as_deref(), Some(window))
                .map_err(refused)
        }
        (Kind::Request | Kind::Stream, None) => {
            Err(refused(ErrorReply::new(ErrorReply::FAILED, "a request without a reply subject")))
        }
        (Kind::More | Kind::Cancel | Kind::Other, _) => {
            Err(refused(ErrorReply::new(ErrorReply::FAILED, "a kind that has no meaning here")))
        }
    }
}

impl Shared {
    /// The node that a reply subject names; `None` for the inbox of a program without this library. `Err` says why a
    /// subject is refused: a requester could have this node publish whatever it is allowed to.
    pub(super) fn check_reply(&self, reply: &str) -> Result<Option<NodeId>, String> {
        if let Some((node, _)) = self.subjects.read_reply(reply) {
            return Ok(Some(node));
        }
        match (reply.starts_with("_INBOX."), self.accepts_foreign_inboxes) {
            (true, true) => Ok(None),
            (true, false) => Err(format!(
                "the reply subject `{reply}` is of a program without this library: see `accept_foreign_inboxes`"
            )),
            (false, _) => Err(format!("the reply subject `{reply}` is no inbox of this domain")),
        }
    }

    /// Where a request that this node has taken comes from; without a number, a message. `None` for a request that was
    /// cancelled meanwhile.
    pub(super) fn origin(&self, number: Option<u64>) -> Option<Origin> {
        // Nothing in a message names a node: no reply to it goes anywhere.
        let Some(number) = number else { return Some(Origin::Engine) };
        let reply = self.taken.reply_of(number)?;
        // No request of this node comes back to it: one that names it is not of its clients.
        let requester = self.subjects.read_reply(&reply).filter(|(node, _)| *node != self.node);
        Some(requester.map_or(Origin::Engine, |(node, client)| Origin::Node(ClientRef { node, client })))
    }

    /// Whether a requester is a node that is up: one that cancels its requests, and is missed when it is gone.
    pub(super) fn is_up(&self, requester: Option<&NodeId>) -> bool {
        requester.is_some_and(|node| lock(&self.members).is_up(node))
    }

    pub(super) fn requester(&self, reply: Subject, node: Option<NodeId>) -> Requester {
        let timeout = self.server.limits().request_timeout;
        let until = if self.is_up(node.as_ref()) { None } else { Instant::now().checked_add(timeout) };
        Requester { reply, node, until }
    }

    /// The window of the request of a stream. `Err` says why it is refused.
    pub(super) fn window_of(&self, message: &Message) -> Result<u64, ErrorReply> {
        if self.is_leaving() {
            return Err(closing());
        }
        let window = headers::window(message).map_err(|value| {
            let text = format!("the window of a stream is a number of bytes, not `{value}`");
            ErrorReply::new(ErrorReply::STREAM, text)
        })?;
        Ok(window.unwrap_or(self.server.limits().stream_window))
    }

    /// The connection for the requests of a node, or of a program without this library. It is made where there is none.
    fn connection_of(self: &Arc<Self>, requester: Option<&NodeId>) -> Option<Arc<RemoteConnection>> {
        // Anyone may make up nodes that never give a sign of life. They share a connection.
        let node = requester.filter(|node| self.is_up(Some(node)));
        let mut connections = lock(&self.offers.connections);
        let existing = match node {
            Some(node) => connections.nodes.get(node),
            None => connections.others.as_ref(),
        };
        if let Some(existing) = existing.filter(|connection| !connection.has_ended()) {
            return Some(Arc::clone(existing));
        }
        let made = RemoteConnection::open(self)?;
        match node {
            Some(node) => drop(connections.nodes.insert(node.clone(), Arc::clone(&made))),
            None => connections.others = Some(Arc::clone(&made)),
        }
        Some(made)
    }
}
