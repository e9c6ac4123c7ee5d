//! The context of a server's methods.

use std::fmt;

use serde::Serialize;

use super::{Handle, OfCall};
use crate::client_id::ClientId;
use crate::endpoint::closing::disconnected;
use crate::error::{GroupError, SendError};
use crate::server::ServerHandle;
use crate::topic::Topic;
use crate::topic::direction::{AnyTopic, ToClient};
use crate::unix_socket::peer::Peer;

/// The client that a message came from, and the server that received it: what a method of a `#[handlers]` block gets
/// beside the message.
///
/// An asynchronous method gets a `Context<'static, P>`, which it may move into a task of its own.
/// [`into_owned`](Self::into_owned) makes one of every other.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Context, Server, Topic, handlers};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "news"]
/// struct News { text: String }
///
/// struct Board;
///
/// #[handlers]
/// impl Board {
///     fn news(&self, news: News, context: Context<'_>) {
///         println!("{}: {}", context.client_id(), news.text);
///         if let Err(error) = context.server().broadcast_except(&news, context.client_id()) {
///             eprintln!("{error}");
///         }
///     }
/// }
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.attach(Board)?;
/// # Ok::<(), socket_ipc::RegisterError>(())
/// ```
///
/// The chapter [handlers](crate::guide::handlers) has more.
pub struct Context<'h, P = AnyTopic> {
    server: Handle<'h, ServerHandle<P>>,
    client_id: ClientId,
    call: Option<OfCall>,
}

impl<'h, P> Context<'h, P> {
    pub(in crate::handlers) fn of(
        server: &'h ServerHandle<P>,
        client_id: ClientId,
        call: Option<OfCall>,
    ) -> Self {
        Self { server: Handle::Borrowed(server), client_id, call }
    }

    /// Returns the client that the message came from.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        self.client_id
    }

    /// Returns the process, user and group of that client, as [`ServerHandle::peer`] does.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        self.server.peer(self.client_id)
    }

    /// Returns the server that received the message.
    #[must_use]
    pub fn server(&self) -> &ServerHandle<P> {
        &self.server
    }

    /// Queues a message for the client that this one came from.
    ///
    /// # Errors
    ///
    /// The errors of [`ServerHandle::send`].
    pub fn send<M>(&self, message: &M) -> Result<(), SendError>
    where
        P: ToClient<M>,
        M: Topic + Serialize,
    {
        self.server.send(message, self.client_id)
    }

    /// Adds the client that the message came from to a group, and says whether it is a member now: `false` is a
    /// connection that has ended meanwhile.
    ///
    /// # Errors
    ///
    /// The errors of [`ClientGroup::join`](crate::ClientGroup::join).
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Context, GroupError, Topic, handlers};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "enter", reply = bool)]
    /// struct Enter { room: String }
    ///
    /// struct House;
    ///
    /// #[handlers]
    /// impl House {
    ///     fn enter(&self, enter: Enter, context: Context<'_>) -> Result<bool, GroupError> {
    ///         context.join(&enter.room)
    ///     }
    /// }
    /// ```
    pub fn join(&self, group: impl AsRef<str>) -> Result<bool, GroupError> {
        self.server.group(group).join(self.client_id)
    }

    /// Waits until nobody waits for the method: for tasks that a method starts, and that may run longer.
    ///
    /// In an asynchronous responder, and in one whose reply is a stream, that is when its requester has given up, when
    /// the connection has ended, or when the reply or the stream is complete. In any other method it is when the
    /// connection has ended.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Context, ErrorReply, Topic, handlers};
    ///
    /// # #[derive(Topic, Serialize, Deserialize)]
    /// # #[topic(name = "bake", reply = String)]
    /// # struct Bake { minutes: u64 }
    /// struct Oven;
    ///
    /// #[handlers]
    /// impl Oven {
    ///     async fn bake(&self, bake: Bake, context: Context<'static>) -> Result<String, ErrorReply> {
    ///         let baking = tokio::spawn(async move {
    ///             tokio::select! {
    ///                 () = tokio::time::sleep(std::time::Duration::from_secs(60 * bake.minutes)) => "a loaf",
    ///                 () = context.cancelled() => "dough",
    ///             }
    ///         });
    ///         Ok(baking.await?.to_owned())
    ///     }
    /// }
    /// ```
    pub async fn cancelled(&self) {
        match &self.call {
            Some(call) => call.ended().await,
            None => disconnected(self.server.endpoint(), self.client_id).await,
        }
    }

    /// Waits until the server begins to close, as [`ServerHandle::closing`] does.
    pub async fn closing(&self) {
        self.server.closing().await;
    }

    /// Returns the same context for a task that may run longer than the method.
    ///
    /// ```
    /// use socket_ipc::Context;
    ///
    /// fn in_a_task(context: &Context<'_>) {
    ///     let context = context.clone().into_owned();
    ///     tokio::spawn(async move { println!("{}", context.client_id()) });
    /// }
    /// ```
    #[must_use]
    pub fn into_owned(self) -> Context<'static, P> {
        Context::owned(self.server.into_owned(), self.client_id, self.call)
    }
}

impl<P> Context<'static, P> {
    pub(in crate::handlers) fn owned(
        server: ServerHandle<P>,
        client_id: ClientId,
        call: Option<OfCall>,
    ) -> Self {
        Self { server: Handle::Owned(server), client_id, call }
    }
}

// Not derived: the protocol itself need not be `Clone`.
impl<P> Clone for Context<'_, P> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), client_id: self.client_id, call: self.call.clone() }
    }
}

impl<P> fmt::Debug for Context<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}
