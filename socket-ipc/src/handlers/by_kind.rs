//! What differs between the kinds of topics: what a method returns, and how it is attached.

use std::marker::PhantomPinned;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attaching::Attaching;
use super::call::{AsyncCalls, Calls};
use super::context::Ending;
use super::endpoint::Endpoint;
use crate::error::RegisterError;
use crate::topic::kind::{self, Kind};
use crate::topic::{Exchange, Replies, Request, Topic};

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
            Self::call(&method, &handlers, message, || E::context(&handle, peer));
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
            Self::call(&method, &handlers, request, || E::context(&handle, peer))
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
