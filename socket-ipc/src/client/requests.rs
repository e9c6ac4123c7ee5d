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

/// # Requesting
///
/// A request is a message that expects one back: its type names that of its reply, `#[topic(name = "…", reply = …)]`. Any
/// number may wait for their replies, up to [`max_requests`](crate::ClientBuilder::max_requests) a connection; each reply
/// finds its request by number, in whatever order they come.
impl<P> ClientHandle<P> {
    /// Asks the server, and returns the future of its reply. The request is queued at the call, as by
    /// [`send`](Self::send), and what goes wrong is found in the reply.
    ///
    /// The server replies by [`ServerHandle::respond`](crate::ServerHandle::respond). A request belongs to the
    /// connection it was asked over: it fails when that is lost, and is not asked again. It may be awaited on any runtime or
    /// none, but its deadline is kept by the runtime that the client connected in, which has to run.
    ///
    /// # Errors
    ///
    /// The reply's: [`RequestError`](crate::RequestError).
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

    /// Asks the server any value under a topic known only at run time, and returns the future of the reply's JSON text.
    ///
    /// # Errors
    ///
    /// The reply's: [`RequestError`](crate::RequestError).
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

    /// Returns how many replies arrived that nobody waited for, or no longer: their requests had been forgotten, or
    /// were never asked.
    #[must_use]
    pub fn late_replies(&self) -> u64 {
        self.state.core.late_replies()
    }
}

/// # Replying
///
/// A topic has one responder. It is called in its turn among the listeners of its topic, and what it returns goes back to
/// the server: the reply, or a [`ErrorReply`]. A request with a number is answered under that number; a message
/// of the topic without one, which is how a program asks that knows nothing of numbers, is answered by a message under
/// the reply's topic, or under `error`.
///
/// Whoever asks always hears: that nobody responds, that the request can't be decoded, that the responder panicked or
/// that its reply can't be sent are error replies, too, sent at once. One who asks and does not read the replies is heard no
/// further once they fill the outbox.
impl<P> ClientHandle<P> {
    /// Attaches the responder to the server's requests of type `T`, an owned type.
    ///
    /// It returns the reply, or a `Result` of it with any error that turns into a [`ErrorReply`]: all that can be
    /// displayed do. It stays attached when the connection is lost and made again.
    ///
    /// # Errors
    ///
    /// [`RegisterError::AlreadyRegistered`]: the topic has a responder, which stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Client, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "version", reply = Version)]
    /// struct AskVersion;
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "version is"]
    /// struct Version(String);
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.respond::<AskVersion>(|AskVersion| Version("1.0".into()))?;
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

    /// Attaches an asynchronous responder to the server's requests of type `T`, an owned type.
    ///
    /// Unlike an asynchronous listener it holds up nothing: the next message is heard while it is at work, and replies go
    /// out as they are ready. At most [`max_requests`](crate::ClientBuilder::max_requests) are at work; then the next
    /// request waits, and what comes after it. It may itself ask.
    ///
    /// What it does for a server that is gone is dropped, unfinished: work that has to be done all the same belongs in a
    /// task of its own.
    ///
    /// # Errors
    ///
    /// [`RegisterError::AlreadyRegistered`]: the topic has a responder, which stays.
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

    /// Attaches the responder to the server's messages of a topic known only at run time, which gets their JSON text. What
    /// it returns travels under `reply_topic`.
    ///
    /// # Errors
    ///
    /// [`RegisterError::AlreadyRegistered`]: the topic has a responder, which stays.
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
