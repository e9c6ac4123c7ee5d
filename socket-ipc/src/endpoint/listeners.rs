//! Listeners of messages: attaching them to the router, and removing them from it.
//!
//! A listener here takes the peer as its last argument. A server passes on what it is given; a client, whose listeners
//! take no peer, wraps them.

use std::sync::{Arc, Weak};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::events::EventLists as _;
use super::state::Endpoint;
use crate::error::RegisterError;
use crate::events::stream::EventStream;
use crate::listener::ListenerId;
use crate::router::{
    Audience, CallResult, Detach, Listener, Owned, Raw, RawWaiting, Subscription, Typed, subscription,
};
use crate::topic::Topic;
use crate::topic::set::{Members, TopicSet};
use crate::wire::raw_message::RawMessage;
use crate::wire::topic_or_none;

pub(crate) fn on<T, E: Endpoint>(
    endpoint: &Arc<E>,
    listener: impl for<'m> Fn(T::Message<'m>, E::Peer) + Send + Sync + 'static,
) -> ListenerId
where
    T: Topic + 'static,
    for<'m> T::Message<'m>: Deserialize<'m>,
{
    endpoint.core().router.attach(Audience::Topic(T::NAME), Typed::<T, _>::new(listener))
}

/// [`on`] under a token that other listeners may have, too.
pub(crate) fn on_as<T, E: Endpoint>(
    endpoint: &Arc<E>,
    token: ListenerId,
    listener: impl for<'m> Fn(T::Message<'m>, E::Peer) + Send + Sync + 'static,
) -> Result<(), RegisterError>
where
    T: Topic + 'static,
    for<'m> T::Message<'m>: Deserialize<'m>,
{
    endpoint.core().router.attach_as(token, T::NAME, Typed::<T, _>::new(listener))
}

pub(crate) fn on_async<T, E: Endpoint, F>(
    endpoint: &Arc<E>,
    listener: impl Fn(T, E::Peer) -> F + Send + Sync + 'static,
) -> ListenerId
where
    T: Topic + DeserializeOwned + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    endpoint.core().router.attach(Audience::Topic(T::NAME), waiting(listener))
}

/// [`on_async`] under a token that other listeners may have, too.
pub(crate) fn on_async_as<T, E: Endpoint, F>(
    endpoint: &Arc<E>,
    token: ListenerId,
    listener: impl Fn(T, E::Peer) -> F + Send + Sync + 'static,
) -> Result<(), RegisterError>
where
    T: Topic + DeserializeOwned + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    endpoint.core().router.attach_as(token, T::NAME, waiting(listener))
}

fn waiting<T, P, F>(listener: impl Fn(T, P) -> F + Send + Sync + 'static) -> Box<dyn Listener<P>>
where
    T: DeserializeOwned + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    Owned::<T, _>::new(move |message, _len, peer| CallResult::of(listener(message, peer)))
}

pub(crate) fn on_topic<E: Endpoint>(
    endpoint: &Arc<E>,
    topic: &str,
    listener: impl Fn(RawMessage<'_>, E::Peer) + Send + Sync + 'static,
) -> ListenerId {
    let call = Raw(move |message: RawMessage<'_>, _topic: &str, peer| listener(message, peer));
    endpoint.core().router.attach(Audience::Topic(topic_or_none(topic)), Box::new(call))
}

pub(crate) fn on_message<E: Endpoint>(
    endpoint: &Arc<E>,
    listener: impl Fn(RawMessage<'_>, &str, E::Peer) + Send + Sync + 'static,
) -> ListenerId {
    endpoint.core().router.attach(Audience::Every, Box::new(Raw(listener)))
}

pub(crate) fn on_fallback<E: Endpoint>(
    endpoint: &Arc<E>,
    listener: impl Fn(RawMessage<'_>, &str, E::Peer) + Send + Sync + 'static,
) -> ListenerId {
    endpoint.core().router.attach(Audience::Fallback, Box::new(Raw(listener)))
}

/// Makes a stream of the messages of a set, each as `item` makes it.
pub(crate) fn subscribe<S, E: Endpoint, I>(
    endpoint: &Arc<E>,
    item: impl Fn(S, E::Peer) -> I + Send + Sync + 'static,
) -> Subscription<I>
where
    S: TopicSet,
    I: Send + 'static,
{
    let (hand_over, subscription) = subscription();
    let listener = attach_set(endpoint, move |message: S, len, peer| hand_over(item(message, peer), len));
    subscription.attached(detach_from(endpoint), vec![listener])
}

/// Attaches `hand_over` to the messages of a set, and the length of their text.
pub(crate) fn attach_set<S: TopicSet, E: Endpoint>(
    endpoint: &Arc<E>,
    hand_over: impl Fn(S, usize, E::Peer) -> CallResult + Send + Sync + 'static,
) -> ListenerId {
    let mut members = Listeners { hand_over: Arc::new(hand_over), listeners: Vec::new() };
    S::members(&mut members);
    endpoint.core().router.attach_set(members.listeners)
}

/// A listener for each topic of a set, and what gets their messages.
struct Listeners<H, F> {
    hand_over: Arc<H>,
    listeners: Vec<(&'static str, Box<dyn Listener<F>>)>,
}

impl<S, H, F> Members<S> for Listeners<H, F>
where
    H: Fn(S, usize, F) -> CallResult + Send + Sync + 'static,
    F: 'static,
    S: 'static,
{
    fn member<T>(&mut self, into_set: impl Fn(T) -> S + Send + Sync + 'static)
    where
        T: Topic + DeserializeOwned + 'static,
    {
        let hand_over = Arc::clone(&self.hand_over);
        let call = Owned::<T, _>::new(move |message, len, peer| hand_over(into_set(message), len, peer));
        self.listeners.push((T::NAME, call));
    }
}

/// Makes a stream of all messages, each as `item` makes it of its topic and text.
pub(crate) fn subscribe_raw<E: Endpoint, I: Send + 'static>(
    endpoint: &Arc<E>,
    item: impl Fn(String, RawMessage<'static>, E::Peer) -> I + Send + Sync + 'static,
) -> Subscription<I> {
    let (hand_over, subscription) = subscription();
    let call = RawWaiting(move |message: RawMessage<'_>, topic: &str, peer| {
        let len = message.as_str().len();
        hand_over(item(topic.to_owned(), message.into_owned(), peer), len)
    });
    let listener = endpoint.core().router.attach(Audience::Every, Box::new(call));
    subscription.attached(detach_from(endpoint), vec![listener])
}

/// Ties a stream of events to the listeners that fill it.
pub(crate) fn attached<E: Endpoint, I>(
    endpoint: &Arc<E>,
    stream: EventStream<I>,
    listeners: Vec<ListenerId>,
) -> EventStream<I> {
    stream.attached(detach_from(endpoint), listeners)
}

pub(crate) fn detach_from<E: Endpoint>(endpoint: &Arc<E>) -> Weak<dyn Detach> {
    Arc::<E>::downgrade(endpoint)
}

impl<E: Endpoint> Detach for E {
    fn detach(self: Arc<Self>, listener: ListenerId) {
        off(&self, listener);
    }
}

/// Removes a listener, of messages or of an event; says whether it was there.
pub(crate) fn off<E: Endpoint>(endpoint: &Arc<E>, listener: ListenerId) -> bool {
    let core = endpoint.core();
    if !core.router.off(listener) {
        return core.events.off(listener);
    }
    // What it owns is dropped once no connection has a table with it any more. An idle connection looks at the newer
    // table only when it is woken, once for all listeners that are removed by then.
    if core.router.begin_sweep() {
        let sweep = Sweep(Arc::downgrade(endpoint));
        match core.runtime.get() {
            Some(runtime) => drop(runtime.spawn(async move { drop(sweep) })),
            // There was no connection yet.
            None => drop(sweep),
        }
    }
    true
}

/// Makes every connection look at the table of listeners when it is dropped. A task that is dropped with its runtime
/// does that, too.
struct Sweep<E: Endpoint>(Weak<E>);

impl<E: Endpoint> Drop for Sweep<E> {
    fn drop(&mut self) {
        if let Some(endpoint) = self.0.upgrade() {
            endpoint.core().router.sweep();
            endpoint.outboxes().iter().for_each(|outbox| outbox.rouse());
        }
    }
}
