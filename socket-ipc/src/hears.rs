//! Listeners as methods of a struct.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::client::{Client, ClientHandle};
use crate::client_id::ClientId;
use crate::direction::{Open, ToClient};
use crate::error::{RespondError, SendError};
use crate::listener::Listener;
use crate::refusal::Refusal;
use crate::server::{Server, ServerHandle};
use crate::topic::{Exchange, Request, Topic};

/// A struct that hears a topic: a listener, or a responder, as a method with the struct's state at hand.
///
/// `S` is where it listens: `Server`, `Server<Chat>`, `Client` or `Client<Chat>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not hear `{T}`",
    label = "hears no `{T}`",
    note = "implement `Hears<{T}, {S}>` for `{Self}`"
)]
pub trait Hears<T: Exchange, S: Side = Server>: Send + Sync + 'static {
    /// Hears one message: called as a listener of `on` is, or as one of `respond` where the topic is a question.
    fn hear(&self, message: T::Message<'_>, from: S::From<'_>) -> T::Outcome;
}

impl<T: Exchange, S: Side, L: Hears<T, S>> Hears<T, S> for Arc<L> {
    fn hear(&self, message: T::Message<'_>, from: S::From<'_>) -> T::Outcome {
        (**self).hear(message, from)
    }
}

/// Who sent a message to a server, and the server.
pub struct Sender<'s, P = Open> {
    server: &'s ServerHandle<P>,
    client_id: ClientId,
}

/// Where a struct listens: a [`Server`] or a [`Client`], with or without a protocol. There is nothing to implement.
pub trait Side: Sized + 'static {
    /// What a method gets beside the message: on a server the [`Sender`], on a client the [`ClientHandle`].
    type From<'s>;
    #[doc(hidden)]
    type Handle: Clone + Send + Sync + 'static;
}

impl<P: 'static> Side for Server<P> {
    type From<'s> = Sender<'s, P>;
    type Handle = ServerHandle<P>;
}

impl<P: 'static> Side for Client<P> {
    type From<'s> = &'s ClientHandle<P>;
    type Handle = ClientHandle<P>;
}

/// A set of topics, all of which a struct hears: a tuple of topics, or a protocol, whose set is what travels to that
/// side.
pub trait Attaches<L, S: Side> {
    #[doc(hidden)]
    fn attach_to(room: &Attaching<'_, L, S>) -> Result<(), RespondError>;
}

/// A struct on its way to being attached.
#[doc(hidden)]
pub struct Attaching<'h, L, S: Side> {
    handle: &'h S::Handle,
    room: Arc<L>,
    listener: Listener,
}

impl<L, S: Side> Attaching<'_, L, S> {
    /// Attaches the method of one topic.
    pub fn method<T>(&self) -> Result<(), RespondError>
    where
        T: Exchange,
        L: Hears<T, S>,
    {
        let _ = (&self.handle, &self.room, self.listener);
        Ok(())
    }
}
