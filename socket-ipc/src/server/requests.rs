//! Requests and replies of a server.

use futures_util::FutureExt as _;
use futures_util::future::Map;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handle::ServerHandle;
use crate::client_id::ClientId;
use crate::connection::{ReplyFuture, read_raw, read_typed};
use crate::endpoint::reply_sender::ReplySender;
use crate::endpoint::{requests, send};
use crate::error::RegisterError;
use crate::error::error_reply::ErrorReply;
use crate::listener::ListenerId;
use crate::topic::direction::{ToClient, ToServer};
use crate::topic::{Received, Replies, Request, TopicName};
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
    type Outcome;

    #[doc(hidden)]
    fn into_reply(returned: Self::Outcome) -> Result<T::Reply, T::Error>;
}

impl<T, L, R> Responder<T> for L
where
    T: Replies<R>,
    L: Fn(T, ClientId) -> R + Send + Sync + 'static,
{
    type Outcome = R;

    fn into_reply(returned: R) -> Result<T::Reply, T::Error> {
        T::into_reply(returned)
    }
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
    type Future: Future + Send + 'static;

    #[doc(hidden)]
    fn into_reply(returned: <Self::Future as Future>::Output) -> Result<T::Reply, T::Error>;
}

impl<T, L, F> AsyncResponder<T> for L
where
    T: Replies<F::Output>,
    L: Fn(T, ClientId) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
{
    type Future = F;

    fn into_reply(returned: F::Output) -> Result<T::Reply, T::Error> {
        T::into_reply(returned)
    }
}

fn replying<T: Request, R: Responder<T>>(
    responder: R,
) -> impl Fn(T, ClientId) -> Result<T::Reply, T::Error> + Send + Sync + 'static {
    move |request, client_id| R::into_reply(responder(request, client_id))
}

fn replying_async<T: Request, R: AsyncResponder<T>>(
    responder: R,
) -> impl Fn(T, ClientId) -> Map<R::Future, IntoReply<T, R::Future>> + Send + Sync + 'static {
    move |request, client_id| responder(request, client_id).map(R::into_reply as IntoReply<T, R::Future>)
}

/// From what a future of a responder returns to the reply.
type IntoReply<T, F> = fn(<F as Future>::Output) -> Result<<T as Request>::Reply, <T as Request>::Error>;

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
    /// #[topic(name = "confirm", reply = bool)]
    /// struct Confirm { text: String }
    ///
    /// async fn may_delete(server: &ServerHandle, client_id: ClientId) -> Result<bool, RequestError> {
    ///     server.request(&Confirm { text: "delete it?".into() }, client_id).await
    /// }
    /// ```
    pub fn request<T>(&self, request: &T, client_id: ClientId) -> ReplyFuture<T::Reply, T::Error>
    where
        P: ToClient<T>,
        T: Request<Reply: Received, Error: Received> + Serialize,
    {
        send::request(
            &*self.state,
            TopicName::OfType(T::NAME),
            request,
            client_id,
            read_typed::<T>,
            T::IS_CANCELLED,
        )
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
    ) -> ReplyFuture<RawMessage<'static>, RawMessage<'static>> {
        let topic = TopicName::AtRunTime(topic_or_none(topic));
        send::request(&*self.state, topic, request, client_id, read_raw, true)
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
    /// #[topic(name = "add", reply = u8)]
    /// struct Add { left: u8, right: u8 }
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.respond::<Add>(|Add { left, right }, _client_id| {
    ///     left.checked_add(right).ok_or("that is more than 255")
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond<T>(&self, responder: impl Responder<T>) -> Result<ListenerId, RegisterError>
    where
        P: ToServer<T>,
        T: Request<Reply: Serialize, Error: Serialize> + DeserializeOwned + 'static,
    {
        requests::respond(&self.state, replying(responder))
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
    /// #[topic(name = "read", reply = String)]
    /// struct Read { path: String }
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.respond_async::<Read>(|Read { path }, _client_id| async move {
    ///     tokio::fs::read_to_string(path).await
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_async<T>(&self, responder: impl AsyncResponder<T>) -> Result<ListenerId, RegisterError>
    where
        P: ToServer<T>,
        T: Request<Reply: Serialize + Send, Error: Serialize + Send> + DeserializeOwned + 'static,
    {
        requests::respond_async(&self.state, replying_async(responder))
    }

    #[doc = include_str!("../endpoint/docs/respond_with.md")]
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
    /// #[topic(name = "measure", reply = f64)]
    /// struct Measure { sensor: u32 }
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.respond_with::<Measure>(|Measure { sensor }, reply| {
    ///     std::thread::spawn(move || {
    ///         let degrees = f64::from(sensor) * 1.5;
    ///         if let Err(error) = reply.send(Ok(degrees)) {
    ///             eprintln!("{error}");
    ///         }
    ///     });
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_with<T>(
        &self,
        responder: impl Fn(T, ReplySender<T>) + Send + Sync + 'static,
    ) -> Result<ListenerId, RegisterError>
    where
        P: ToServer<T>,
        T: Request + DeserializeOwned + 'static,
        T::Reply: Serialize + Send + 'static,
        T::Error: Serialize + Send + 'static,
    {
        requests::respond_with(&self.state, responder)
    }

    #[doc = include_str!("../endpoint/docs/respond_raw.md")]
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = socket_ipc::Server::new("/tmp/myApp.sock");
    /// server.respond_raw("length", None, |text, _client_id| {
    ///     let text: String = text.decode()?;
    ///     Ok(text.chars().count())
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_raw<M: Serialize>(
        &self,
        topic: &str,
        reply_topic: Option<&str>,
        responder: impl Fn(RawMessage<'_>, ClientId) -> Result<M, ErrorReply> + Send + Sync + 'static,
    ) -> Result<ListenerId, RegisterError> {
        requests::respond_raw(&self.state, topic, reply_topic, responder)
    }
}
