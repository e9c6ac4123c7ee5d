//! Requests and replies of a server.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handle::ServerHandle;
use crate::client_id::ClientId;
use crate::connection::{ReplyFuture, read_raw, read_typed};
use crate::endpoint::{requests, send};
use crate::error::RegisterError;
use crate::error::error_reply::{ErrorReply, IntoReply};
use crate::listener::ListenerId;
use crate::topic::direction::{ToClient, ToServer};
use crate::topic::{Request, TopicName};
use crate::wire::raw_message::RawMessage;
use crate::wire::topic_or_none;

/// A responder of a server: any `Fn(T, ClientId)` that returns the reply, or a `Result` of it.
///
/// It is implemented for all of them; there is nothing to implement.
///
/// ```
/// use socket_ipc::{Request, Responder};
///
/// fn is_a_responder<T: Request>(_: impl Responder<T>) {}
///
/// # use serde::{Deserialize, Serialize}; use socket_ipc::Topic;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "double", reply = Doubled)] struct Double(u64);
/// # #[derive(Topic, Serialize, Deserialize)] #[topic = "doubled"] struct Doubled(u64);
/// is_a_responder::<Double>(|Double(number), _client_id| number.checked_mul(2).map(Doubled).ok_or("more than fits"));
/// ```
// `Fn` is a supertrait so that the compiler infers the types of a closure's arguments.
pub trait Responder<T: Request>: Fn(T, ClientId) -> Self::Outcome + Send + Sync + 'static {
    /// What the responder returns.
    type Outcome: IntoReply<T::Reply>;
}

impl<T, L, O> Responder<T> for L
where
    T: Request,
    L: Fn(T, ClientId) -> O + Send + Sync + 'static,
    O: IntoReply<T::Reply>,
{
    type Outcome = O;
}

/// An asynchronous responder of a server: any `Fn(T, ClientId)` that returns a future of the reply, or of a `Result` of
/// it.
///
/// It is implemented for all of them; there is nothing to implement.
///
/// ```
/// use socket_ipc::{AsyncResponder, Request};
///
/// fn is_a_responder<T: Request>(_: impl AsyncResponder<T>) {}
///
/// # use serde::{Deserialize, Serialize}; use socket_ipc::Topic;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "double", reply = Doubled)] struct Double(u64);
/// # #[derive(Topic, Serialize, Deserialize)] #[topic = "doubled"] struct Doubled(u64);
/// is_a_responder::<Double>(|Double(number), _client_id| async move { Doubled(2 * number) });
/// ```
pub trait AsyncResponder<T: Request>: Fn(T, ClientId) -> Self::Future + Send + Sync + 'static {
    /// What the responder returns.
    type Future: Future<Output: IntoReply<T::Reply>> + Send + 'static;
}

impl<T, L, F> AsyncResponder<T> for L
where
    T: Request,
    L: Fn(T, ClientId) -> F + Send + Sync + 'static,
    F: Future<Output: IntoReply<T::Reply>> + Send + 'static,
{
    type Future = F;
}

#[doc = include_str!("../endpoint/docs/requesting.md")]
///
/// [`max_requests`]: crate::ServerBuilder::max_requests
impl<P> ServerHandle<P> {
    /// Sends a request to one client, and returns the future of the reply. The request is queued at the call, as by
    /// [`send`](Self::send); the future returns every error.
    ///
    /// The client replies by [`ClientHandle::respond`](crate::ClientHandle::respond).
    ///
    /// # Errors
    ///
    /// The future resolves to a [`RequestError`](crate::RequestError) if there is no reply.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{ClientId, RequestError, ServerHandle, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "confirm", reply = Confirmed)]
    /// struct Confirm { text: String }
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "confirmed"]
    /// struct Confirmed(bool);
    ///
    /// async fn may_delete(server: &ServerHandle, client_id: ClientId) -> Result<bool, RequestError> {
    ///     let Confirmed(yes) = server.request(&Confirm { text: "delete it?".into() }, client_id).await?;
    ///     Ok(yes)
    /// }
    /// ```
    pub fn request<T>(&self, request: &T, client_id: ClientId) -> ReplyFuture<T::Reply>
    where
        P: ToClient<T> + ToServer<T::Reply>,
        T: Request + Serialize,
        T::Reply: DeserializeOwned,
    {
        send::request(&*self.state, TopicName::OfType(T::NAME), request, client_id, read_typed)
    }

    /// Sends any value as a request to one client under a topic known only at run time, and returns the future of the
    /// reply's JSON text.
    ///
    /// # Errors
    ///
    /// The future resolves to a [`RequestError`](crate::RequestError) if there is no reply.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(server: socket_ipc::ServerHandle) -> Result<(), Box<dyn std::error::Error>> {
    /// for client_id in server.clients() {
    ///     let version = server.request_raw("version", &(), client_id).await?;
    ///     println!("{client_id} has {version}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn request_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        request: &M,
        client_id: ClientId,
    ) -> ReplyFuture<RawMessage<'static>> {
        let topic = TopicName::AtRunTime(topic_or_none(topic));
        send::request(&*self.state, topic, request, client_id, read_raw)
    }
}

#[doc = include_str!("../endpoint/docs/replying.md")]
impl<P> ServerHandle<P> {
    #[doc = include_str!("../endpoint/docs/respond.md")]
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Server, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "add", reply = Sum)]
    /// struct Add { left: u8, right: u8 }
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "sum"]
    /// struct Sum(u8);
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.respond::<Add>(|Add { left, right }, _client_id| {
    ///     left.checked_add(right).map(Sum).ok_or("that is more than 255")
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond<T>(&self, responder: impl Responder<T>) -> Result<ListenerId, RegisterError>
    where
        P: ToServer<T> + ToClient<T::Reply>,
        T: Request + DeserializeOwned + 'static,
        T::Reply: Serialize,
    {
        requests::respond(&self.state, responder)
    }

    /// [`respond`](Self::respond) under a token that other listeners may have, too.
    pub(crate) fn respond_as<T>(
        &self,
        token: ListenerId,
        responder: impl Responder<T>,
    ) -> Result<(), RegisterError>
    where
        T: Request + DeserializeOwned + 'static,
        T::Reply: Serialize,
    {
        requests::respond_as(&self.state, token, responder)
    }

    #[doc = include_str!("../endpoint/docs/respond_async.md")]
    ///
    /// [`max_requests`]: crate::ServerBuilder::max_requests
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Server, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "read", reply = Content)]
    /// struct Read { path: String }
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "content"]
    /// struct Content(String);
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.respond_async::<Read>(|Read { path }, _client_id| async move {
    ///     tokio::fs::read_to_string(path).await.map(Content)
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_async<T>(&self, responder: impl AsyncResponder<T>) -> Result<ListenerId, RegisterError>
    where
        P: ToServer<T> + ToClient<T::Reply>,
        T: Request + DeserializeOwned + 'static,
        T::Reply: Serialize + Send,
    {
        requests::respond_async(&self.state, responder)
    }

    #[doc = include_str!("../endpoint/docs/respond_raw.md")]
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = socket_ipc::Server::new("/tmp/myApp.sock");
    /// server.respond_raw("length", "length reply", |text, _client_id| {
    ///     let text: String = text.decode()?;
    ///     Ok(text.chars().count())
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_raw<M: Serialize>(
        &self,
        topic: &str,
        reply_topic: &str,
        responder: impl Fn(RawMessage<'_>, ClientId) -> Result<M, ErrorReply> + Send + Sync + 'static,
    ) -> Result<ListenerId, RegisterError> {
        requests::respond_raw(&self.state, topic, reply_topic, responder)
    }
}
