//! What differs between the kinds of topics: what a method returns, and how it is attached.

use std::marker::PhantomPinned;
use std::sync::Arc;

use futures_core::Stream;
use futures_util::future::Map;
use futures_util::{FutureExt as _, StreamExt as _};
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

/// A kind of topics whose asynchronous handlers may return an `R`.
#[doc(hidden)]
pub trait ReturnsLater<T: ?Sized, R>: Kind<T> {
    /// The future of a handler, which returns the outcome.
    type Later<F: Future<Output = R> + Send + 'static>: Future<Output = Self::Outcome<'static>>
        + Send
        + 'static;

    fn later<F: Future<Output = R> + Send + 'static>(future: F) -> Self::Later<F>;
}

impl<T: Listens<R> + ?Sized, R> Returns<'_, T, R> for kind::Message {
    #[inline]
    fn outcome(_returned: R) {}
}

impl<T: Listens<R> + ?Sized, R> ReturnsLater<T, R> for kind::Message {
    type Later<F: Future<Output = R> + Send + 'static> = T::Later<F>;

    #[inline]
    fn later<F: Future<Output = R> + Send + 'static>(future: F) -> T::Later<F> {
        T::later(future)
    }
}

impl<T: Replies<R>, R> Returns<'_, T, R> for kind::Request {
    #[inline]
    fn outcome(returned: R) -> Result<T::Reply, T::Error> {
        T::into_reply(returned)
    }
}

impl<T: Replies<R> + 'static, R: 'static> ReturnsLater<T, R> for kind::Request {
    type Later<F: Future<Output = R> + Send + 'static> = Map<F, fn(R) -> Result<T::Reply, T::Error>>;

    #[inline]
    fn later<F: Future<Output = R> + Send + 'static>(future: F) -> Self::Later<F> {
        future.map(T::into_reply as fn(R) -> Result<T::Reply, T::Error>)
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

impl<T, R> ReturnsLater<T, R> for kind::Stream
where
    T: Items<R::Yielded> + 'static,
    R: ItemStream + Send + 'static,
{
    type Later<F: Future<Output = R> + Send + 'static> = Map<F, fn(R) -> Self::Outcome<'static>>;

    fn later<F: Future<Output = R> + Send + 'static>(future: F) -> Self::Later<F> {
        future.map(<Self as Returns<'static, T, R>>::outcome as fn(R) -> Self::Outcome<'static>)
    }
}

/// A stream.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a handler of a stream's request returns a stream of items, and not `{Self}`",
    label = "not a stream",
    note = "a stream that can fail yields `Result`s, and its first error ends it: `impl Stream<Item = Result<…, …>>`"
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
pub trait Listens<R> {
    /// The future of a handler, which returns nothing.
    type Later<F: Future<Output = R> + Send + 'static>: Future<Output = ()> + Send + 'static;

    fn later<F: Future<Output = R> + Send + 'static>(future: F) -> Self::Later<F>;
}

impl<T: ?Sized> Listens<()> for T {
    /// The same future. Another one around it would cost instructions for each message.
    type Later<F: Future<Output = ()> + Send + 'static> = F;

    #[inline]
    fn later<F: Future<Output = ()> + Send + 'static>(future: F) -> F {
        future
    }
}

// From a single impl the compiler would conclude that every handler returns `()`, and its error would not name the
// topic.
#[diagnostic::do_not_recommend]
impl<T: ?Sized> Listens<PhantomPinned> for T {
    type Later<F: Future<Output = PhantomPinned> + Send + 'static> = Map<F, fn(PhantomPinned)>;

    fn later<F: Future<Output = PhantomPinned> + Send + 'static>(future: F) -> Self::Later<F> {
        future.map(drop as fn(PhantomPinned))
    }
}

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
pub trait AttachAsync<T>: Kind<T> {
    /// Attaches a method that waits.
    fn attach_async<L, E, C>(attaching: Attaching<'_, L, T, E>, method: C) -> Result<(), RegisterError>
    where
        L: Send + Sync + 'static,
        E: Endpoint,
        C: Send + Sync + 'static,
        Self: AsyncCalls<C, L, T, E, Self::Outcome<'static>>;
}

impl<T: Topic + DeserializeOwned + 'static> AttachAsync<T> for kind::Message {
    fn attach_async<L, E, C>(attaching: Attaching<'_, L, T, E>, method: C) -> Result<(), RegisterError>
    where
        L: Send + Sync + 'static,
        E: Endpoint,
        C: Send + Sync + 'static,
        Self: AsyncCalls<C, L, T, E, Self::Outcome<'static>>,
    {
        let (handlers, handle) = attaching.shared();
        E::on_async::<T, _>(attaching.handle, attaching.listener, move |message, peer| {
            Self::begin(&method, Arc::clone(&handlers), message, || E::owned_context(&handle, peer, None))
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
        Self: AsyncCalls<C, L, T, E, Self::Outcome<'static>>,
    {
        let (handlers, handle) = attaching.shared();
        E::respond_async::<T, _>(attaching.handle, attaching.listener, move |request, peer| {
            let mut ending = None;
            let context = || E::owned_context(&handle, peer, Some(ending.insert(Ending::new()).call()));
            let outcome = Self::begin(&method, Arc::clone(&handlers), request, context);
            // It is dropped with the future, finished or not: nobody waits for the method any more.
            outcome.inspect(move |_| drop(ending))
        })
    }
}

impl<T> AttachAsync<T> for kind::Stream
where
    T: StreamRequest<Item: Serialize + Send + 'static, Error: Serialize + Send + 'static>,
    T: DeserializeOwned + Send + 'static,
{
    fn attach_async<L, E, C>(attaching: Attaching<'_, L, T, E>, method: C) -> Result<(), RegisterError>
    where
        L: Send + Sync + 'static,
        E: Endpoint,
        C: Send + Sync + 'static,
        Self: AsyncCalls<C, L, T, E, Self::Outcome<'static>>,
    {
        let (handlers, handle) = attaching.shared();
        E::respond_stream::<T, _>(attaching.handle, attaching.listener, move |request, peer| {
            let ending = Ending::new();
            let context = || E::owned_context(&handle, peer, Some(ending.call()));
            let items = Self::begin(&method, Arc::clone(&handlers), request, context);
            // It is dropped with the stream, complete or not: nobody waits for the method any more.
            items.flatten_stream().inspect(move |_| _ = &ending)
        })
    }
}
