//! The context of a client's methods.

use std::fmt;

use serde::Serialize;

use super::{Handle, OfCall};
use crate::client::ClientHandle;
use crate::endpoint::closing::disconnected;
use crate::error::SendError;
use crate::topic::Topic;
use crate::topic::direction::{AnyTopic, ToServer};

/// The client that received a message: what a method of a `#[handlers(client)]` block gets beside the message.
///
/// An asynchronous method gets a `ClientContext<'static, P>`, as on a server ([`Context`](crate::Context)).
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Client, ClientContext, Topic, handlers};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "ping"]
/// struct Ping;
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "pong"]
/// struct Pong;
///
/// struct Ball;
///
/// #[handlers(client)]
/// impl Ball {
///     fn ping(&self, _: Ping, context: ClientContext<'_>) {
///         if let Err(error) = context.send(&Pong) {
///             eprintln!("{error}");
///         }
///     }
/// }
///
/// let client = Client::new("/tmp/myApp.sock");
/// client.attach(Ball)?;
/// # Ok::<(), socket_ipc::RegisterError>(())
/// ```
pub struct ClientContext<'h, P = AnyTopic> {
    client: Handle<'h, ClientHandle<P>>,
    call: Option<OfCall>,
}

impl<'h, P> ClientContext<'h, P> {
    pub(in crate::handlers) fn of(client: &'h ClientHandle<P>, call: Option<OfCall>) -> Self {
        Self { client: Handle::Borrowed(client), call }
    }

    /// Returns the client that received the message.
    #[must_use]
    pub fn client(&self) -> &ClientHandle<P> {
        &self.client
    }

    /// Queues a message for the server.
    ///
    /// # Errors
    ///
    /// The errors of [`ClientHandle::send`].
    pub fn send<M>(&self, message: &M) -> Result<(), SendError>
    where
        P: ToServer<M>,
        M: Topic + Serialize,
    {
        self.client.send(message)
    }

    /// Waits until nobody waits for the method, as [`Context::cancelled`](crate::Context::cancelled) does.
    pub async fn cancelled(&self) {
        match &self.call {
            Some(call) => call.ended().await,
            None => disconnected(self.client.endpoint(), ()).await,
        }
    }

    /// Waits until the client begins to close, as [`ClientHandle::closing`] does.
    pub async fn closing(&self) {
        self.client.closing().await;
    }

    /// Returns the same context for a task that may run longer than the method.
    #[must_use]
    pub fn into_owned(self) -> ClientContext<'static, P> {
        ClientContext::owned(self.client.into_owned(), self.call)
    }
}

impl<P> ClientContext<'static, P> {
    pub(in crate::handlers) fn owned(client: ClientHandle<P>, call: Option<OfCall>) -> Self {
        Self { client: Handle::Owned(client), call }
    }
}

// Not derived: the protocol itself need not be `Clone`.
impl<P> Clone for ClientContext<'_, P> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), call: self.call.clone() }
    }
}

impl<P> fmt::Debug for ClientContext<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientContext").field("client", &*self.client).finish_non_exhaustive()
    }
}
