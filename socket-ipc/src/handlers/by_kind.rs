//! What differs between the kinds of topics: what a method returns, and how it is attached.

use std::marker::PhantomPinned;
use std::sync::Arc;

use futures_core::Stream;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attaching::Attaching;
use super::call::{AsyncCalls, Calls};
use super::context::Ending;
use super::endpoint::Endpoint;
use super::owning_stream::OwningStream;
use crate::error::RegisterError;
use crate::topic::kind::{self, Kind};
use crate::topic::{Exchange, Items, Replies, Request, StreamRequest, Topic};

/// A kind of topics whose handlers may return an `R`.
#[doc(hidden)]
pub trait Returns<'h, T: ?Sized, R>: Kind<T> {
    /// Converts what a handler returns.
    fn outcome(returned: R) -> Self::Outcome<'h>;
}

impl<T: Listens<R> + ?Sized, R> Returns<'_, T, R> for kind::Message {
    #[inline]
    fn outcome(_returned: R) {}
}

impl<T: Replies<R>, R> Returns<'_, T, R> for kind::Request {
    #[inline]
    fn outcome(returned: R) -> Result<T::Reply, T::Error> {
        T::into_reply(returned)
    }
}

impl<'h, T, R> Returns<'h, T, R> for kind::Stream
where
    T: Items<R::Yielded> + 'h,
    R: ItemStream + Send + 'h,
{
    fn outcome(returned: R) -> Self::Outcome<'h> {
        Box::pin(returned.map(T::into_item))
    }
}

/// A stream.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a handler of a stream's request returns a stream of items, and not `{Self}`",
    label = "not a stream"
)]
pub trait ItemStream: Stream<Item = Self::Yielded> {
    /// The type of its items. A name of its own, so that a type that is no stream is reported once.
    type Yielded;
}

#[diagnostic::do_not_recommend]
impl<S: Stream> ItemStream for S {
    type Yielded = S::Item;
}

/// A plain message whose handlers may return an `R`, which is `()`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a handler of `{Self}` returns nothing, and not `{R}`",
    label = "nobody receives it: `{Self}` is a plain message",
    note = "a topic whose handler replies has `reply = …` in its `#[topic]`"
)]
pub trait Listens<R> {}

impl<T: ?Sized> Listens<()> for T {}
// From a single impl the compiler would conclude that every handler returns `()`, and say no word of the topic.
#[diagnostic::do_not_recommend]
impl<T: ?Sized> Listens<PhantomPinned> for T {}

/// A kind of topics that methods are attached for.
#[doc(hidden)]
pub trait Attach<T>: Kind<T> {
    /// Attaches a method that does not wait.
    fn attach<L, E, C>(attaching: Attaching<'_, L, T, E>, method: C) -> Result<(), RegisterError>
    where
        T: Exchange<Kind = Self>,
        L: Send + Sync + 'static,
        E: Endpoint,
        C: Send + Sync + 'static,
        Self: for<'h, 'm> Calls<'h, 'm, C, L, T, E>;
}

impl<T> Attach<T> for kind::Message
where
    T: Topic + 'static,
    for<'m> T::Message<'m>: Deserialize<'m>,
{
    fn attach<L, E, C>(attaching: Attaching<'_, L, T, E>, method: C) -> Result<(), RegisterError>
    where
        T: Exchange<Kind = Self>,
        L: Send + Sync + 'static,
        E: Endpoint,
        C: Send + Sync + 'static,
        Self: for<'h, 'm> Calls<'h, 'm, C, L, T, E>,
    {
        let (handlers, handle) = attaching.shared();
        E::on::<T>(attaching.handle, attaching.listener, move |message, peer| {
            Self::call(&method, &handlers, message, || E::context(&handle, peer, None));
        })
    }
}

impl<T> Attach<T> for kind::Request
where
    T: Request<Reply: Serialize, Error: Serialize> + DeserializeOwned + 'static,
    T: for<'m> Topic<Message<'m> = T>,
{
    fn attach<L, E, C>(attaching: Attaching<'_, L, T, E>, method: C) -> Result<(), RegisterError>
    where
        T: Exchange<Kind = Self>,
        L: Send + Sync + 'static,
        E: Endpoint,
        C: Send + Sync + 'static,
        Self: for<'h, 'm> Calls<'h, 'm, C, L, T, E>,
    {
        let (handlers, handle) = attaching.shared();
        E::respond::<T>(attaching.handle, attaching.listener, move |request, peer| {
            Self::call(&method, &handlers, request, || E::context(&handle, peer, None))
        })
    }
}

impl<T> Attach<T> for kind::Stream
where
    T: StreamRequest<Item: Serialize + Send + 'static, Error: Serialize + Send + 'static>,
    T: for<'m> Topic<Message<'m> = T> + DeserializeOwned + Send + 'static,
{
    fn attach<L, E, C>(attaching: Attaching<'_, L, T, E>, method: C) -> Result<(), RegisterError>
    where
        T: Exchange<Kind = Self>,
        L: Send + Sync + 'static,
        E: Endpoint,
        C: Send + Sync + 'static,
        Self: for<'h, 'm> Calls<'h, 'm, C, L, T, E>,
    {
        let ((handlers, handle), method) = (attaching.shared(), Arc::new(method));
        E::respond_stream::<T, _>(attaching.handle, attaching.listener, move |request, peer| {
            let (handlers, handle, method) = (Arc::clone(&handlers), handle.clone(), Arc::clone(&method));
            // The stream may borrow from all of them.
            OwningStream::new(|slot| async move {
                let ending = Ending::new();
                let context = || E::context(&handle, peer, Some(ending.call()));
                let mut stream = Self::call(&method, &handlers, request, context);
                while let Some(item) = stream.next().await {
                    slot.hand_over(item).await;
                }
            })
        })
    }
}

/// A kind of topics that asynchronous methods are attached for.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a handler of `{T}` returns its stream at once",
    label = "an asynchronous handler has one reply",
    note = "remove `async`, and wait inside the stream"
)]
pub trait AttachAsync<T>: Kind<T> {
    /// Attaches a method that waits.
    fn attach_async<L, E, C>(attaching: Attaching<'_, L, T, E>, method: C) -> Result<(), RegisterError>
    where
        L: Send + Sync + 'static,
        E: Endpoint,
        C: Send + Sync + 'static,
        Self: AsyncCalls<C, L, T, E>;
}

impl<T: Topic + DeserializeOwned + 'static> AttachAsync<T> for kind::Message {
    fn attach_async<L, E, C>(attaching: Attaching<'_, L, T, E>, method: C) -> Result<(), RegisterError>
    where
        L: Send + Sync + 'static,
        E: Endpoint,
        C: Send + Sync + 'static,
        Self: AsyncCalls<C, L, T, E>,
    {
        let (handlers, handle) = attaching.shared();
        E::on_async::<T, _>(attaching.handle, attaching.listener, move |message, peer| {
            let context = || E::owned_context(&handle, peer, None);
            let waits = Self::begin(&method, Arc::clone(&handlers), message, context);
            async move { Self::finish(waits.await) }
        })
    }
}

impl<T> AttachAsync<T> for kind::Request
where
    T: Request<Reply: Serialize + Send, Error: Serialize + Send> + DeserializeOwned + 'static,
{
    fn attach_async<L, E, C>(attaching: Attaching<'_, L, T, E>, method: C) -> Result<(), RegisterError>
    where
        L: Send + Sync + 'static,
        E: Endpoint,
        C: Send + Sync + 'static,
        Self: AsyncCalls<C, L, T, E>,
    {
        let (handlers, handle) = attaching.shared();
        E::respond_async::<T, _>(attaching.handle, attaching.listener, move |request, peer| {
            let mut ending = None;
            let context = || E::owned_context(&handle, peer, Some(ending.insert(Ending::new()).call()));
            let waits = Self::begin(&method, Arc::clone(&handlers), request, context);
            async move {
                let returned = waits.await;
                // Now, or where this future is dropped unfinished: nobody waits for the method any more.
                drop(ending);
                Self::finish(returned)
            }
        })
    }
}
