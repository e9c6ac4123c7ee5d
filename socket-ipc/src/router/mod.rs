//! From topic to listeners: which of them receive a message, in which order. No I/O, no async.
//!
//! The listeners are in a table that is never changed in place: a connection keeps the table it saw last and checks for
//! a newer one by a single atomic load for each message.

mod cached;
mod calls;
mod dispatch;
mod entry;
#[cfg(feature = "nats")]
mod fallback_responders;
mod listener;
mod open_window;
mod report;
mod responder;
mod stream_responder;
mod subscription;
mod subscription_queue;
mod table;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use foldhash::fast::FixedState;

use crate::error::RegisterError;
use crate::listener::{DropReport, ListenerId};
use crate::metrics::Metrics;
use crate::sync::lock;
use crate::wire::Wire;

pub(crate) use cached::Cached;
pub(crate) use calls::{PendingCall, ResponderCall};
use entry::Entry;
#[cfg(feature = "nats")]
use fallback_responders::FallbackResponders;
pub(crate) use listener::{CallResult, Listener, OnCancel, Owned, Raw, RawWaiting, Typed, Wait};
pub(crate) use open_window::{MaySend, OpenWindow, TooLong, cost, signed};
pub(crate) use report::Report;
pub(crate) use responder::{Responding, RespondingRaw};
pub(crate) use stream_responder::{RespondingRawStream, RespondingStream, Streaming};
pub use subscription::Subscription;
pub(crate) use subscription::{Detach, subscription, subscription_of_sender};
pub(crate) use subscription_queue::{Counted, Put, Sender, Stay};
use table::Table;
pub(crate) use topics::ComesBack;

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
    /// The fallback responders of topics that have another one.
    #[cfg(feature = "nats")]
    fallbacks: FallbackResponders<F>,
}

impl<F> Current<F> {
    fn empty() -> Self {
        Self {
            table: Arc::new(Table::empty()),
            places: HashMap::default(),
            #[cfg(feature = "nats")]
            fallbacks: FallbackResponders::default(),
        }
    }
}

/// Where in the table a listener is.
enum Place {
    Every,
    Topic(Arc<str>),
    Fallback,
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

impl<F> Router<F> {
    pub(crate) fn new(
        wire: Wire,
        max_topic_len: usize,
        raw_len: usize,
        metrics: Arc<Metrics>,
        report: DropReport,
    ) -> Self {
        Self {
            current: Mutex::new(Current::empty()),
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
        let entry = self.entry(token, Audience::Topic(topic), listener);
        let already_registered = |taken: &Entry<F>| {
            let (existing, rejected) = (taken.listener.type_name(), entry.listener.type_name());
            Err(RegisterError::AlreadyRegistered { topic: topic.to_owned(), existing, rejected })
        };
        let mut current = lock(&self.current);
        #[cfg(feature = "nats")]
        if let Some(taken) = current.fallback_in_the_way_of(topic, &entry) {
            return already_registered(taken);
        }
        #[cfg(feature = "nats")]
        if !current.make_way(topic, &entry) {
            return Ok(());
        }
        let taken = current.table.topics.get(topic).into_iter().flatten().find(|entry| entry.responds());
        if let Some(taken) = taken.filter(|_| entry.responds()) {
            return already_registered(taken);
        }
        self.add(&mut current, Audience::Topic(topic), &entry);
        Ok(())
    }

    /// Attaches listeners of several topics under one token, all at once: no message comes in between. None of them is a
    /// responder.
    pub(crate) fn attach_set(&self, listeners: Vec<(&'static str, Box<dyn Listener<F>>)>) -> ListenerId {
        let token = ListenerId::next();
        let entries: Vec<_> = listeners
            .into_iter()
            .map(|(topic, listener)| (topic, self.entry(token, Audience::Topic(topic), listener)))
            .collect();
        let mut current = lock(&self.current);
        for (topic, entry) in &entries {
            self.add(&mut current, Audience::Topic(topic), entry);
        }
        drop(current);
        token
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
        let Current { table, places, .. } = current;
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
        #[cfg(feature = "nats")]
        if let Some(fallback) = current.fallbacks.take(token) {
            drop(current);
            fallback.attached.store(false, Ordering::Release);
            return true;
        }
        let Current { table, places, .. } = &mut *current;
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
        #[cfg(feature = "nats")]
        current.restore_fallbacks(&removed);
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

    /// The topics that have a listener, in alphabetical order, each with what comes back.
    pub(crate) fn topics(&self) -> Vec<(Arc<str>, ComesBack)> {
        let table = Arc::clone(&lock(&self.current).table);
        let mut topics: Vec<_> = table
            .topics
            .iter()
            .map(|(topic, entries)| {
                let responder = entries.iter().find(|entry| entry.listener.responds());
                let comes_back = responder.map_or(ComesBack::Nothing, |entry| match &entry.listener {
                    listener if listener.streams() => ComesBack::Stream,
                    listener => ComesBack::ReplyUnder(listener.reply_topic().unwrap_or(topic).to_owned()),
                });
                (Arc::clone(topic), comes_back)
            })
            .collect();
        topics.sort();
        topics
    }

    /// Whether the responder of a topic also replies to plain messages: its replies have a topic of their own.
    pub(crate) fn replies_to_messages(&self, topic: &str) -> bool {
        let table = Arc::clone(&lock(&self.current).table);
        table.of_topic(topic).iter().any(|entry| entry.listener.reply_topic().is_some())
    }

    /// Whether a topic has a listener, or a responder that is no fallback.
    #[cfg(feature = "nats")]
    pub(crate) fn takes(&self, topic: &str) -> bool {
        let table = Arc::clone(&lock(&self.current).table);
        table.topics.get(topic).into_iter().flatten().any(|entry| !entry.listener.yields())
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
        let before = std::mem::replace(&mut *lock(&self.current), Current::empty());
        self.generation.fetch_add(1, Ordering::Release);
        drop(before);
    }

    pub(crate) fn cached(&self) -> Cached<F> {
        let current = lock(&self.current);
        Cached {
            generation: self.generation.load(Ordering::Acquire),
            table: Arc::clone(&current.table),
            only: None,
            front: String::new(),
            may_run: false,
            responder_calls: Vec::new(),
            uncounted: 0,
            uncounted_bytes: 0,
        }
    }
}
