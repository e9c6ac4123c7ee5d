//! Requests and replies of a client.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handle::ClientHandle;
use crate::connection::{ReplyFuture, read_raw, read_typed};
use crate::endpoint::{requests, send};
use crate::error::RegisterError;
use crate::error::error_reply::{ErrorReply, IntoReply};
use crate::listener::ListenerId;
use crate::topic::direction::{ToClient, ToServer};
use crate::topic::{Request, TopicName};
use crate::wire::raw_message::RawMessage;
use crate::wire::topic_or_none;

/// A responder of a client: any `Fn(T)` that returns the reply, or a `Result` of it.
///
/// It is implemented for all of them; there is nothing to implement.
///
/// ```
/// use socket_ipc::{ClientResponder, Request};
///
/// fn is_a_responder<T: Request>(_: impl ClientResponder<T>) {}
///
/// # use serde::{Deserialize, Serialize}; use socket_ipc::Topic;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "double", reply = Doubled)] struct Double(u64);
/// # #[derive(Topic, Serialize, Deserialize)] #[topic = "doubled"] struct Doubled(u64);
/// is_a_responder::<Double>(|Double(number)| Doubled(2 * number));
/// ```
// `Fn` is a supertrait so that the compiler infers the types of a closure's arguments.
pub trait ClientResponder<T: Request>: Fn(T) -> Self::Outcome + Send + Sync + 'static {
    /// What the responder returns.
    type Outcome: IntoReply<T::Reply>;
}

impl<T, L, O> ClientResponder<T> for L
where
    T: Request,
    L: Fn(T) -> O + Send + Sync + 'static,
    O: IntoReply<T::Reply>,
{
    type Outcome = O;
}

/// An asynchronous responder of a client: any `Fn(T)` that returns a future of the reply, or of a `Result` of it.
///
/// It is implemented for all of them; there is nothing to implement.
///
/// ```
/// use socket_ipc::{AsyncClientResponder, Request};
///
/// fn is_a_responder<T: Request>(_: impl AsyncClientResponder<T>) {}
///
/// # use serde::{Deserialize, Serialize}; use socket_ipc::Topic;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "double", reply = Doubled)] struct Double(u64);
/// # #[derive(Topic, Serialize, Deserialize)] #[topic = "doubled"] struct Doubled(u64);
/// is_a_responder::<Double>(|Double(number)| async move { Doubled(2 * number) });
/// ```
pub trait AsyncClientResponder<T: Request>: Fn(T) -> Self::Future + Send + Sync + 'static {
    /// What the responder returns.
    type Future: Future<Output: IntoReply<T::Reply>> + Send + 'static;
}

impl<T, L, F> AsyncClientResponder<T> for L
where
    T: Request,
    L: Fn(T) -> F + Send + Sync + 'static,
    F: Future<Output: IntoReply<T::Reply>> + Send + 'static,
{
    type Future = F;
}

#[doc = include_str!("../endpoint/docs/requesting.md")]
///
/// [`max_requests`]: crate::ClientBuilder::max_requests
impl<P> ClientHandle<P> {
    /// Sends a request to the server, and returns the future of the reply. The request is queued at the call, as by
    /// [`send`](Self::send); the future returns every error.
    ///
    /// The server replies by [`ServerHandle::respond`](crate::ServerHandle::respond). A request belongs to the
    /// connection that it was sent over: it fails when that connection is lost, and is not sent again. The future may
    /// be awaited on any executor. Its deadline is kept by the runtime that the client connected in, which has to run.
    ///
    /// # Errors
    ///
    /// The future resolves to a [`RequestError`](crate::RequestError) if there is no reply.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Client, RequestError, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "add", reply = Sum)]
    /// struct Add { left: i64, right: i64 }
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "sum"]
    /// struct Sum(i64);
    ///
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let Sum(five) = client.request(&Add { left: 2, right: 3 }).await?;
    /// # Ok(()) }
    /// ```
    pub fn request<T>(&self, request: &T) -> ReplyFuture<T::Reply>
    where
        P: ToServer<T> + ToClient<T::Reply>,
        T: Request + Serialize,
        T::Reply: DeserializeOwned,
    {
        send::request(&*self.state, TopicName::OfType(T::NAME), request, (), read_typed)
    }

    /// Sends any value as a request under a topic known only at run time, and returns the future of the reply's JSON
    /// text.
    ///
    /// # Errors
    ///
    /// The future resolves to a [`RequestError`](crate::RequestError) if there is no reply.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: socket_ipc::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let sum: i64 = client.request_raw("add", &[2, 3]).await?.decode()?;
    /// # Ok(()) }
    /// ```
    pub fn request_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        request: &M,
    ) -> ReplyFuture<RawMessage<'static>> {
        send::request(&*self.state, TopicName::AtRunTime(topic_or_none(topic)), request, (), read_raw)
    }
}

#[doc = include_str!("../endpoint/docs/replying.md")]
///
/// Responders stay attached when the connection is lost and made again.
impl<P> ClientHandle<P> {
    #[doc = include_str!("../endpoint/docs/respond.md")]
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Client, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "version", reply = Version)]
    /// struct GetVersion;
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "version is"]
    /// struct Version(String);
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.respond::<GetVersion>(|GetVersion| Version("1.0".into()))?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond<T>(&self, responder: impl ClientResponder<T>) -> Result<ListenerId, RegisterError>
    where
        P: ToClient<T> + ToServer<T::Reply>,
        T: Request + DeserializeOwned + 'static,
        T::Reply: Serialize,
    {
        requests::respond(&self.state, move |request: T, ()| responder(request))
    }

    /// [`respond`](Self::respond) under a token that other listeners may have, too.
    pub(crate) fn respond_as<T>(
        &self,
        token: ListenerId,
        responder: impl ClientResponder<T>,
    ) -> Result<(), RegisterError>
    where
        T: Request + DeserializeOwned + 'static,
        T::Reply: Serialize,
    {
        requests::respond_as(&self.state, token, move |request: T, ()| responder(request))
    }

    #[doc = include_str!("../endpoint/docs/respond_async.md")]
    ///
    /// [`max_requests`]: crate::ClientBuilder::max_requests
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Client, Topic};
    /// use std::time::Duration;
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "nap", reply = Awake)]
    /// struct Nap { milliseconds: u64 }
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "awake"]
    /// struct Awake;
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.respond_async::<Nap>(|Nap { milliseconds }| async move {
    ///     tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    ///     Awake
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_async<T>(
        &self,
        responder: impl AsyncClientResponder<T>,
    ) -> Result<ListenerId, RegisterError>
    where
        P: ToClient<T> + ToServer<T::Reply>,
        T: Request + DeserializeOwned + 'static,
        T::Reply: Serialize + Send,
    {
        requests::respond_async(&self.state, move |request: T, ()| responder(request))
    }

    #[doc = include_str!("../endpoint/docs/respond_raw.md")]
    ///
    /// # Examples
    ///
    /// ```
    /// # let client = socket_ipc::Client::new("/tmp/myApp.sock");
    /// client.respond_raw("echo", "echo reply", |message| Ok(message.into_owned()))?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_raw<M: Serialize>(
        &self,
        topic: &str,
        reply_topic: &str,
        responder: impl Fn(RawMessage<'_>) -> Result<M, ErrorReply> + Send + Sync + 'static,
    ) -> Result<ListenerId, RegisterError> {
        let responder = move |request: RawMessage<'_>, ()| responder(request);
        requests::respond_raw(&self.state, topic, reply_topic, responder)
    }
}
