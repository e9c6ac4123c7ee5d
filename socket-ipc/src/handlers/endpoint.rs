//! The two endpoints that a struct is attached to.

use std::fmt;

use futures_core::Stream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::context::{ClientContext, Context, OfCall};
use crate::client::{Client, ClientHandle};
use crate::client_id::ClientId;
use crate::endpoint::{listeners, requests, streams};
use crate::error::RegisterError;
use crate::listener::ListenerId;
use crate::server::{Server, ServerHandle};
use crate::topic::direction::{ToClient, ToServer};
use crate::topic::{Request, StreamRequest, Topic};

mod sealed {
    pub trait Sealed {}
}

/// Where a struct handles topics: a [`Server`] or a [`Client`], with or without a protocol. There is nothing to
/// implement.
///
/// ```
/// use socket_ipc::{Client, ClientContext, Endpoint};
///
/// fn takes_its_context<E: Endpoint>(_method: impl Fn(E::Context<'_>)) {}
///
/// takes_its_context::<Client>(|context: ClientContext<'_>| println!("{}", context.client().is_connected()));
/// ```
pub trait Endpoint: sealed::Sealed + Sized + 'static {
    /// What a method gets beside the message: [`Context`] on a server, [`ClientContext`] on a client.
    type Context<'h>: Send;

    #[doc(hidden)]
    type Handle: Clone + fmt::Debug + Send + Sync + 'static;

    /// What says where a message is from.
    #[doc(hidden)]
    type Peer: Copy + Send + Sync + 'static;

    #[doc(hidden)]
    fn context(handle: &Self::Handle, peer: Self::Peer, call: Option<OfCall>) -> Self::Context<'_>;

    #[doc(hidden)]
    fn owned_context(handle: &Self::Handle, peer: Self::Peer, call: Option<OfCall>)
    -> Self::Context<'static>;

    #[doc(hidden)]
    fn off(handle: &Self::Handle, listener: ListenerId);

    #[doc(hidden)]
    fn on<T>(
        handle: &Self::Handle,
        token: ListenerId,
        listener: impl for<'m> Fn(T::Message<'m>, Self::Peer) + Send + Sync + 'static,
    ) -> Result<(), RegisterError>
    where
        T: Topic + 'static,
        for<'m> T::Message<'m>: Deserialize<'m>;

    #[doc(hidden)]
    fn on_async<T, F>(
        handle: &Self::Handle,
        token: ListenerId,
        listener: impl Fn(T, Self::Peer) -> F + Send + Sync + 'static,
    ) -> Result<(), RegisterError>
    where
        T: Topic + DeserializeOwned + 'static,
        F: Future<Output = ()> + Send + 'static;

    #[doc(hidden)]
    fn respond<T>(
        handle: &Self::Handle,
        token: ListenerId,
        responder: impl Fn(T, Self::Peer) -> Result<T::Reply, T::Error> + Send + Sync + 'static,
    ) -> Result<(), RegisterError>
    where
        T: Request<Reply: Serialize, Error: Serialize> + DeserializeOwned + 'static;

    #[doc(hidden)]
    fn respond_async<T, F>(
        handle: &Self::Handle,
        token: ListenerId,
        responder: impl Fn(T, Self::Peer) -> F + Send + Sync + 'static,
    ) -> Result<(), RegisterError>
    where
        T: Request<Reply: Serialize + Send, Error: Serialize + Send> + DeserializeOwned + 'static,
        F: Future<Output = Result<T::Reply, T::Error>> + Send + 'static;

    #[doc(hidden)]
    fn respond_stream<T, S>(
        handle: &Self::Handle,
        token: ListenerId,
        responder: impl Fn(T, Self::Peer) -> S + Send + Sync + 'static,
    ) -> Result<(), RegisterError>
    where
        T: StreamRequest<Item: Serialize, Error: Serialize> + DeserializeOwned + Send + 'static,
        S: Stream<Item = Result<T::Item, T::Error>> + Send + 'static;
}

/// An endpoint that a topic may travel to.
#[doc(hidden)]
pub trait Receives<T>: Endpoint {}

impl<P: ToServer<T> + 'static, T> Receives<T> for Server<P> {}
impl<P: ToClient<T> + 'static, T> Receives<T> for Client<P> {}

/// The type of context that handlers on `E` take.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "the context of a handler on `{E}` is not `{Self}`",
    label = "not a context of `{E}`",
    note = "on a `Server<P>` it is `Context<'_, P>`, and on a `Client<P>` it is `ClientContext<'_, P>`"
)]
pub trait ContextOf<E> {
    /// `A`. Where the context is wrong this is no type at all, and its use gives no second error.
    type Checked<A>;

    fn checked<A>(attaching: A) -> Self::Checked<A>;
}

impl<P> ContextOf<Server<P>> for Context<'_, P> {
    type Checked<A> = A;

    fn checked<A>(attaching: A) -> A {
        attaching
    }
}

impl<P> ContextOf<Client<P>> for ClientContext<'_, P> {
    type Checked<A> = A;

    fn checked<A>(attaching: A) -> A {
        attaching
    }
}

/// A kind of topics of which `T` may travel to the endpoint `E`.
// Implemented for the kind, so that a type that is no topic gives no second error.
#[doc(hidden)]
pub trait TravelsTo<T, E> {}

impl<K, T, E: Receives<T>> TravelsTo<T, E> for K {}

/// What is the same for both: the calls differ in the type of the endpoint behind the handle.
macro_rules! attach_to_router {
    ($peer:ty, $handle:ty) => {
        type Peer = $peer;
        type Handle = $handle;

        fn off(handle: &Self::Handle, listener: ListenerId) {
            handle.off(listener);
        }

        fn on<T>(
            handle: &Self::Handle,
            token: ListenerId,
            listener: impl for<'m> Fn(T::Message<'m>, $peer) + Send + Sync + 'static,
        ) -> Result<(), RegisterError>
        where
            T: Topic + 'static,
            for<'m> T::Message<'m>: Deserialize<'m>,
        {
            listeners::on_as::<T, _>(handle.endpoint(), token, listener)
        }

        fn on_async<T, F>(
            handle: &Self::Handle,
            token: ListenerId,
            listener: impl Fn(T, $peer) -> F + Send + Sync + 'static,
        ) -> Result<(), RegisterError>
        where
            T: Topic + DeserializeOwned + 'static,
            F: Future<Output = ()> + Send + 'static,
        {
            listeners::on_async_as(handle.endpoint(), token, listener)
        }

        fn respond<T>(
            handle: &Self::Handle,
            token: ListenerId,
            responder: impl Fn(T, $peer) -> Result<T::Reply, T::Error> + Send + Sync + 'static,
        ) -> Result<(), RegisterError>
        where
            T: Request<Reply: Serialize, Error: Serialize> + DeserializeOwned + 'static,
        {
            requests::respond_as(handle.endpoint(), token, responder)
        }

        fn respond_async<T, F>(
            handle: &Self::Handle,
            token: ListenerId,
            responder: impl Fn(T, $peer) -> F + Send + Sync + 'static,
        ) -> Result<(), RegisterError>
        where
            T: Request<Reply: Serialize + Send, Error: Serialize + Send> + DeserializeOwned + 'static,
            F: Future<Output = Result<T::Reply, T::Error>> + Send + 'static,
        {
            requests::respond_async_as(handle.endpoint(), token, responder)
        }

        fn respond_stream<T, S>(
            handle: &Self::Handle,
            token: ListenerId,
            responder: impl Fn(T, $peer) -> S + Send + Sync + 'static,
        ) -> Result<(), RegisterError>
        where
            T: StreamRequest<Item: Serialize, Error: Serialize> + DeserializeOwned + Send + 'static,
            S: Stream<Item = Result<T::Item, T::Error>> + Send + 'static,
        {
            streams::respond_stream_as(handle.endpoint(), token, responder)
        }
    };
}

impl<P> sealed::Sealed for Server<P> {}

impl<P: 'static> Endpoint for Server<P> {
    type Context<'h> = Context<'h, P>;

    attach_to_router!(ClientId, ServerHandle<P>);

    #[inline]
    fn context(handle: &ServerHandle<P>, client_id: ClientId, call: Option<OfCall>) -> Context<'_, P> {
        Context::of(handle, client_id, call)
    }

    fn owned_context(
        handle: &ServerHandle<P>,
        client_id: ClientId,
        call: Option<OfCall>,
    ) -> Context<'static, P> {
        Context::owned(handle.clone(), client_id, call)
    }
}

impl<P> sealed::Sealed for Client<P> {}

impl<P: 'static> Endpoint for Client<P> {
    type Context<'h> = ClientContext<'h, P>;

    attach_to_router!((), ClientHandle<P>);

    #[inline]
    fn context(handle: &ClientHandle<P>, (): (), call: Option<OfCall>) -> ClientContext<'_, P> {
        ClientContext::of(handle, call)
    }

    fn owned_context(handle: &ClientHandle<P>, (): (), call: Option<OfCall>) -> ClientContext<'static, P> {
        ClientContext::owned(handle.clone(), call)
    }
}
