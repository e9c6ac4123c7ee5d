//! From topic to listeners: which of them receive a message, in which order. No I/O, no async.
//!
//! The listeners are in a table that is never changed in place: a connection keeps the table it saw last and checks for
//! a newer one by a single atomic load for each message.

mod dispatch;
mod listener;
mod responder;
mod subscription;
mod subscription_queue;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use foldhash::fast::FixedState;

use crate::error::error_reply::ErrorReply;
use crate::error::{MessageError, RegisterError};
use crate::listener::{DropReport, ListenerId};
use crate::metrics::{Metrics, TopicCounters};
use crate::sync::lock;
use crate::wire::{EnvelopeError, EnvelopeKind, EnvelopeText, RequestId, Wire, utf8};

pub(crate) use dispatch::{PendingCall, ResponderCall};
use listener::Gone;
pub(crate) use listener::{CallResult, Listener, Owned, Raw, RawWaiting, Typed, Wait};
pub(crate) use responder::{Responding, RespondingRaw};
pub use subscription::Subscription;
pub(crate) use subscription::{Detach, subscription};
use topics::Topics;

/// The listeners of an endpoint. `F` says where a message is from: a client's id on a server, nothing on a client.
pub(crate) struct Router<F> {
    current: Mutex<Current<F>>,
    /// The number of the newest table.
    generation: AtomicU64,
    closed: AtomicBool,
    /// Whether every connection is about to be told to check the table.
    sweeping: AtomicBool,
    wire: Wire,
    max_topic_len: usize,
    raw_len: usize,
    metrics: Arc<Metrics>,
    report: DropReport,
}

/// The newest table, and where in it each listener is.
struct Current<F> {
    table: Arc<Table<F>>,
    /// Several listeners may have one token.
    places: HashMap<ListenerId, Vec<Place>, FixedState>,
}

/// Where in the table a listener is.
enum Place {
    Every,
    Topic(Arc<str>),
    Fallback,
}

/// The listeners at one moment.
pub(crate) struct Table<F> {
    /// Listeners of every message, called before those of its topic.
    every: Vec<Arc<Entry<F>>>,
    topics: Topics<F>,
    /// Listeners of messages whose topic has none.
    fallback: Vec<Arc<Entry<F>>>,
}

/// What a listener receives.
#[derive(Clone, Copy)]
pub(crate) enum Audience<'t> {
    /// Every message.
    Every,
    /// The messages of a topic.
    Topic(&'t str),
    /// The messages of topics that have no listener.
    Fallback,
}

/// One listener.
pub(crate) struct Entry<F> {
    token: ListenerId,
    /// The topic it is registered for; `None` where it is not bound to one.
    topic: Option<Arc<str>>,
    attached: AtomicBool,
    listener: Box<dyn Listener<F>>,
    /// The counters of its topic, or of all other messages.
    counters: Arc<TopicCounters>,
    report: DropReport,
}

/// The table that a connection saw last.
pub(crate) struct Cached<F> {
    table: Arc<Table<F>>,
    generation: u64,
    /// The listener of the last message, if it was the only one: most messages have the topic of the one before.
    only: Option<Arc<Entry<F>>>,
    /// How the envelope of that message began, up to the message itself. An envelope that begins the same way has the
    /// same topic, and comparing takes less time than reading the topic and looking it up.
    front: Vec<u8>,
    /// Responders called since the last look that are still running.
    pub(crate) responder_calls: Vec<ResponderCall<F>>,
    /// Messages, and their bytes, that `only` received and that are not counted yet.
    uncounted: (u64, usize),
}

impl<F> Cached<F> {
    /// Switches to the newest table.
    fn renew(&mut self, router: &Router<F>) {
        self.count();
        let responder_calls = std::mem::take(&mut self.responder_calls);
        *self = Self { responder_calls, ..router.cached() };
    }

    /// Switches to the newest table if listeners have been attached or removed since, and drops the removed ones, also
    /// from the pending message, which comes with its bytes. Called in each poll of a connection: a running listener
    /// may wait until a removed one is dropped.
    #[inline]
    pub(crate) fn refresh(&mut self, router: &Router<F>, pending: Option<(&mut PendingCall<F>, &[u8])>)
    where
        F: Copy,
    {
        if self.generation != router.generation.load(Ordering::Acquire) {
            self.renew(router);
            if let Some((pending, bytes)) = pending {
                pending.retain_attached(router.wire, bytes);
            }
        }
    }

    /// Reads how a message begins.
    #[inline]
    fn front<'m>(&mut self, wire: Wire, max_topic_len: usize, bytes: &'m [u8]) -> Front<'_, 'm, F> {
        if self.only.is_some()
            && let Some(rest) = bytes.strip_prefix(self.front.as_slice())
        {
            return match (&self.only, utf8(rest)) {
                (Some(only), Ok(rest)) => Front::Only(only, rest),
                _ => Front::Other(wire.text(bytes)),
            };
        }
        let read = match wire.text(bytes) {
            Ok(read) => read,
            Err(error) => return Front::Other(Err(error)),
        };
        let Some(head) = read.head.filter(|head| head.topic.len() <= max_topic_len) else {
            return Front::Other(Ok(read));
        };
        self.count();
        self.only = match self.table.topics.get(head.topic) {
            Some([only]) if self.table.every.is_empty() => Some(Arc::clone(only)),
            _ => None,
        };
        self.front.clear();
        self.front.extend_from_slice(&bytes[..bytes.len() - head.rest.len()]);
        match &self.only {
            Some(only) => Front::Only(only, head.rest),
            None => Front::Other(Ok(read)),
        }
    }
}

/// What the front of a message shows.
enum Front<'c, 'm, F> {
    /// The message has one listener, which is called with the text from the message on.
    Only(&'c Arc<Entry<F>>, &'m str),
    /// It has none or several, or the envelope has to be read whole to tell.
    Other(Result<EnvelopeText<'m>, EnvelopeError>),
}

impl<F> Cached<F> {
    /// Adds what was counted to the shared counters. Not message by message: other threads add to them, too.
    #[inline]
    pub(crate) fn count(&mut self) {
        if let (messages @ 1.., bytes) = std::mem::take(&mut self.uncounted)
            && let Some(only) = &self.only
        {
            only.counters.received.add(messages, bytes);
        }
    }
}

/// Where a router reports errors, panics and replies, and sends error replies.
pub(crate) trait Report<F> {
    fn message_error(&self, error: MessageError, from: F);
    /// `listens_for` names what the listener is registered for.
    fn listener_panicked(&self, listens_for: String, from: F, panic: String);
    /// A reply to the request `re` arrived, in this envelope.
    fn reply_arrived(&self, re: &RequestId, topic: &str, envelope: &[u8], from: F);
    /// Sends an error reply to a request, or to a message whose topic has a responder.
    fn refuse(&self, kind: &EnvelopeKind, topic: &str, error_reply: ErrorReply, from: F);
}

impl<F> Table<F> {
    /// The listeners of a topic.
    fn of_topic(&self, topic: &str) -> &[Arc<Entry<F>>] {
        self.topics.get(topic).unwrap_or(&self.fallback)
    }

    fn empty() -> Self {
        Self { every: Vec::new(), topics: Topics::new(), fallback: Vec::new() }
    }
}

// Not derived: `F` itself need not be `Clone`.
impl<F> Clone for Table<F> {
    fn clone(&self) -> Self {
        Self { every: self.every.clone(), topics: self.topics.clone(), fallback: self.fallback.clone() }
    }
}

/// What a listener is registered for, in words.
fn listens_for(topic: Option<&str>) -> String {
    topic.map_or_else(|| "every message".to_owned(), |topic| format!("`{topic}`"))
}

impl<F> Entry<F> {
    fn listens_for(&self) -> String {
        listens_for(self.topic.as_deref())
    }

    fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }

    fn responds(&self) -> bool {
        self.listener.responds() && self.is_attached()
    }
}

impl<F> Drop for Entry<F> {
    fn drop(&mut self) {
        let listener = std::mem::replace(&mut self.listener, Box::new(Gone));
        self.report.drop_listener(listener, || self.listens_for());
    }
}

impl<F> Router<F> {
    pub(crate) fn new(
        wire: Wire,
        max_topic_len: usize,
        raw_len: usize,
        metrics: Arc<Metrics>,
        report: DropReport,
    ) -> Self {
        Self {
            current: Mutex::new(Current { table: Arc::new(Table::empty()), places: HashMap::default() }),
            generation: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            sweeping: AtomicBool::new(false),
            wire,
            max_topic_len,
            raw_len,
            metrics,
            report,
        }
    }

    /// Attaches a listener.
    pub(crate) fn attach(&self, audience: Audience<'_>, listener: Box<dyn Listener<F>>) -> ListenerId {
        let token = ListenerId::next();
        let entry = self.entry(token, audience, listener);
        self.add(&mut lock(&self.current), audience, &entry);
        token
    }

    /// Attaches a listener that may be a responder; a topic has at most one. Several listeners may share a token: `off`
    /// then removes them all.
    pub(crate) fn attach_as(
        &self,
        token: ListenerId,
        topic: &str,
        listener: Box<dyn Listener<F>>,
    ) -> Result<(), RegisterError> {
        if listener.reply_topic() == Some(topic) {
            // A peer that does the same would take each reply for a request and reply to it in turn, without end.
            return Err(RegisterError::RepliesToItself { topic: topic.to_owned() });
        }
        self.attach_own(token, topic, listener)
    }

    /// [`attach_as`](Self::attach_as) for a responder of the library's own, whose reply may have the topic of its
    /// request.
    pub(crate) fn attach_own(
        &self,
        token: ListenerId,
        topic: &str,
        listener: Box<dyn Listener<F>>,
    ) -> Result<(), RegisterError> {
        let entry = self.entry(token, Audience::Topic(topic), listener);
        let mut current = lock(&self.current);
        let taken = current.table.topics.get(topic).into_iter().flatten().find(|entry| entry.responds());
        if let Some(taken) = taken.filter(|_| entry.responds()) {
            let (existing, refused) = (taken.listener.type_name(), entry.listener.type_name());
            return Err(RegisterError::AlreadyRegistered { topic: topic.to_owned(), existing, refused });
        }
        self.add(&mut current, Audience::Topic(topic), &entry);
        Ok(())
    }

    fn entry(
        &self,
        token: ListenerId,
        audience: Audience<'_>,
        listener: Box<dyn Listener<F>>,
    ) -> Arc<Entry<F>> {
        let (topic, counters) = match audience {
            Audience::Topic(topic) => (Some(topic.into()), self.metrics.of_topic(topic)),
            Audience::Every | Audience::Fallback => (None, Arc::clone(&self.metrics.others)),
        };
        let (attached, report) = (AtomicBool::new(true), self.report.clone());
        Arc::new(Entry { token, topic, attached, listener, counters, report })
    }

    /// Adds a listener to a table, whose lock is held. The caller keeps `entry` until it has released the lock: an
    /// entry that is not added is dropped, which may run code of the user.
    fn add(&self, current: &mut Current<F>, audience: Audience<'_>, entry: &Arc<Entry<F>>) {
        // Checked under the lock of the table, so that none is attached after `clear`: it would never be dropped.
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        let entry = Arc::clone(entry);
        let Current { table, places } = current;
        let (table, token) = (Arc::make_mut(table), entry.token);
        let place = match (entry.topic.clone(), audience) {
            (Some(topic), _) => {
                table.topics.push(Arc::clone(&topic), entry);
                Place::Topic(topic)
            }
            (None, Audience::Fallback) => {
                table.fallback.push(entry);
                Place::Fallback
            }
            (None, _) => {
                table.every.push(entry);
                Place::Every
            }
        };
        places.entry(token).or_default().push(place);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Removes all listeners that have the token, and says whether there was one. Once it returns, no call of them
    /// starts.
    ///
    /// The time does not depend on the number of topics: the place is looked up, and only the listeners in that place
    /// are searched.
    pub(crate) fn off(&self, token: ListenerId) -> bool {
        let is_it = |entry: &mut Arc<Entry<F>>| entry.token == token;
        let mut current = lock(&self.current);
        let Current { table, places } = &mut *current;
        let Some(places) = places.remove(&token) else { return false };
        let table = Arc::make_mut(table);
        let mut removed = Vec::new();
        for place in places {
            match place {
                Place::Topic(topic) => removed.append(&mut table.topics.remove(&topic, token)),
                Place::Every => removed.extend(table.every.extract_if(.., is_it)),
                Place::Fallback => removed.extend(table.fallback.extract_if(.., is_it)),
            }
        }
        self.generation.fetch_add(1, Ordering::Release);
        drop(current);
        // The listeners themselves are dropped here, without the lock: that may run code of the user.
        for entry in &removed {
            entry.attached.store(false, Ordering::Release);
        }
        true
    }

    /// Announces that every connection will be told to check the table, and to drop its removed listeners. `false` if
    /// that is announced already: the announced sweep covers everything that is removed before it.
    pub(crate) fn begin_sweep(&self) -> bool {
        !self.sweeping.swap(true, Ordering::AcqRel)
    }

    /// The connections are told now: a listener removed from now on needs another sweep.
    pub(crate) fn sweep(&self) {
        self.sweeping.store(false, Ordering::Release);
    }

    /// The topics that have a listener, in alphabetical order, each with the topic of its replies.
    pub(crate) fn topics(&self) -> Vec<(Arc<str>, Option<String>)> {
        let table = Arc::clone(&lock(&self.current).table);
        let mut topics: Vec<_> = table
            .topics
            .iter()
            .map(|(topic, entries)| {
                let reply = entries.iter().find_map(|entry| entry.listener.reply_topic());
                (Arc::clone(topic), reply.map(str::to_owned))
            })
            .collect();
        topics.sort();
        topics
    }

    /// From now on no listener is called.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Drops every listener, for good.
    pub(crate) fn clear(&self) {
        self.close();
        let empty = Current { table: Arc::new(Table::empty()), places: HashMap::default() };
        let before = std::mem::replace(&mut *lock(&self.current), empty);
        self.generation.fetch_add(1, Ordering::Release);
        drop(before);
    }

    pub(crate) fn cached(&self) -> Cached<F> {
        let current = lock(&self.current);
        Cached {
            generation: self.generation.load(Ordering::Acquire),
            table: Arc::clone(&current.table),
            only: None,
            front: Vec::new(),
            responder_calls: Vec::new(),
            uncounted: (0, 0),
        }
    }
}
