//! Requests and replies of a client.

use futures_util::FutureExt as _;
use futures_util::future::Map;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handle::ClientHandle;
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
    type Outcome;

    #[doc(hidden)]
    fn into_reply(returned: Self::Outcome) -> Result<T::Reply, T::Error>;
}

impl<T, L, R> ClientResponder<T> for L
where
    T: Replies<R>,
    L: Fn(T) -> R + Send + Sync + 'static,
{
    type Outcome = R;

    fn into_reply(returned: R) -> Result<T::Reply, T::Error> {
        T::into_reply(returned)
    }
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
    type Future: Future + Send + 'static;

    #[doc(hidden)]
    fn into_reply(returned: <Self::Future as Future>::Output) -> Result<T::Reply, T::Error>;
}

impl<T, L, F> AsyncClientResponder<T> for L
where
    T: Replies<F::Output>,
    L: Fn(T) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
{
    type Future = F;

    fn into_reply(returned: F::Output) -> Result<T::Reply, T::Error> {
        T::into_reply(returned)
    }
}

fn replying<T: Request, R: ClientResponder<T>>(
    responder: R,
) -> impl Fn(T, ()) -> Result<T::Reply, T::Error> + Send + Sync + 'static {
    move |request, ()| R::into_reply(responder(request))
}

fn replying_async<T: Request, R: AsyncClientResponder<T>>(
    responder: R,
) -> impl Fn(T, ()) -> Map<R::Future, IntoReply<T, R::Future>> + Send + Sync + 'static {
    move |request, ()| responder(request).map(R::into_reply as IntoReply<T, R::Future>)
}

/// From what a future of a responder returns to the reply.
type IntoReply<T, F> = fn(<F as Future>::Output) -> Result<<T as Request>::Reply, <T as Request>::Error>;

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
    /// #[topic(name = "add", reply = i64)]
    /// struct Add { left: i64, right: i64 }
    ///
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let five = client.request(&Add { left: 2, right: 3 }).await?;
    /// # Ok(()) }
    /// ```
    pub fn request<T>(&self, request: &T) -> ReplyFuture<T::Reply, T::Error>
    where
        P: ToServer<T>,
        T: Request<Reply: Received, Error: Received> + Serialize,
    {
        send::request(&*self.state, TopicName::OfType(T::NAME), request, (), read_typed::<T>, T::IS_CANCELLED)
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
    ) -> ReplyFuture<RawMessage<'static>, RawMessage<'static>> {
        send::request(&*self.state, TopicName::AtRunTime(topic_or_none(topic)), request, (), read_raw, true)
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
    /// #[topic(name = "version", reply = String)]
    /// struct GetVersion;
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.respond::<GetVersion>(|GetVersion| "1.0".to_owned())?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond<T>(&self, responder: impl ClientResponder<T>) -> Result<ListenerId, RegisterError>
    where
        P: ToClient<T>,
        T: Request<Reply: Serialize, Error: Serialize> + DeserializeOwned + 'static,
    {
        requests::respond(&self.state, replying(responder))
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
    /// #[topic(name = "nap", reply = ())]
    /// struct Nap { milliseconds: u64 }
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.respond_async::<Nap>(|Nap { milliseconds }| async move {
    ///     tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_async<T>(
        &self,
        responder: impl AsyncClientResponder<T>,
    ) -> Result<ListenerId, RegisterError>
    where
        P: ToClient<T>,
        T: Request<Reply: Serialize + Send, Error: Serialize + Send> + DeserializeOwned + 'static,
    {
        requests::respond_async(&self.state, replying_async(responder))
    }

    #[doc = include_str!("../endpoint/docs/respond_with.md")]
    ///
    /// [`max_requests`]: crate::ClientBuilder::max_requests
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Client, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "confirm", reply = bool)]
    /// struct Confirm { text: String }
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.respond_with::<Confirm>(|Confirm { text }, reply| {
    ///     std::thread::spawn(move || {
    ///         println!("{text} [y/n]");
    ///         let mut line = String::new();
    ///         let yes = std::io::stdin().read_line(&mut line).is_ok() && line.trim() == "y";
    ///         if let Err(error) = reply.send(Ok(yes)) {
    ///             eprintln!("{error}");
    ///         }
    ///     });
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_with<T>(
        &self,
        responder: impl Fn(T, ReplySender<T, ()>) + Send + Sync + 'static,
    ) -> Result<ListenerId, RegisterError>
    where
        P: ToClient<T>,
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
    /// # let client = socket_ipc::Client::new("/tmp/myApp.sock");
    /// client.respond_raw("echo", None, |message| Ok(message.into_owned()))?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_raw<M: Serialize>(
        &self,
        topic: &str,
        reply_topic: Option<&str>,
        responder: impl Fn(RawMessage<'_>) -> Result<M, ErrorReply> + Send + Sync + 'static,
    ) -> Result<ListenerId, RegisterError> {
        let responder = move |request: RawMessage<'_>, ()| responder(request);
        requests::respond_raw(&self.state, topic, reply_topic, responder)
    }
}
