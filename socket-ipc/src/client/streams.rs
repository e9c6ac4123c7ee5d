//! Requests of streams, and their responders, on a client.

use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::Map;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handle::ClientHandle;
use crate::connection::{ReplyStream, read_items, read_raw_items};
use crate::endpoint::{send, streams};
use crate::error::RegisterError;
use crate::error::error_reply::ErrorReply;
use crate::listener::ListenerId;
use crate::topic::direction::{ToClient, ToServer};
use crate::topic::{Items, Received, StreamRequest, TopicName};
use crate::wire::raw_message::RawMessage;
use crate::wire::topic_or_none;

/// A responder of a client whose reply is a stream: any `Fn(T)` that returns a `Stream` of items, or of
/// `Result`s of them.
///
/// It is implemented for all of them; there is nothing to implement.
///
/// ```
/// use futures_util::stream;
/// use socket_ipc::{StreamRequest, ClientStreamResponder};
///
/// fn is_a_responder<T: StreamRequest>(_: impl ClientStreamResponder<T>) {}
///
/// # use serde::{Deserialize, Serialize}; use socket_ipc::Topic;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "count", stream = u64)] struct Count { to: u64 }
/// is_a_responder::<Count>(|count| stream::iter(0..count.to));
/// ```
pub trait ClientStreamResponder<T: StreamRequest>: Fn(T) -> Self::Stream + Send + Sync + 'static {
    /// What the responder returns.
    type Stream: Stream + Send + 'static;

    #[doc(hidden)]
    fn into_item(yielded: <Self::Stream as Stream>::Item) -> Result<T::Item, T::Error>;
}

impl<T, L, S> ClientStreamResponder<T> for L
where
    T: Items<S::Item>,
    L: Fn(T) -> S + Send + Sync + 'static,
    S: Stream + Send + 'static,
{
    type Stream = S;

    fn into_item(yielded: S::Item) -> Result<T::Item, T::Error> {
        T::into_item(yielded)
    }
}

fn yielding<T: StreamRequest, R: ClientStreamResponder<T>>(
    responder: R,
) -> impl Fn(T, ()) -> Map<R::Stream, IntoItem<T, R::Stream>> + Send + Sync + 'static {
    move |request, ()| responder(request).map(R::into_item as IntoItem<T, R::Stream>)
}

/// From what a stream yields to its items.
type IntoItem<T, S> =
    fn(<S as Stream>::Item) -> Result<<T as StreamRequest>::Item, <T as StreamRequest>::Error>;

#[doc = include_str!("../endpoint/docs/streaming.md")]
///
/// [`max_requests`]: crate::ClientBuilder::max_requests
impl<P> ClientHandle<P> {
    /// Requests a stream of the server. It is sent when the stream is first polled; the stream returns every error.
    ///
    /// The server replies by [`ServerHandle::respond_stream`](crate::ServerHandle::respond_stream). A stream belongs to
    /// the connection that it was requested over: it ends when that connection is lost.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Client, RequestError, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "log", stream = String)]
    /// struct Log { last: usize }
    ///
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let mut lines = client.request_stream(&Log { last: 100 });
    /// while let Some(line) = lines.next().await {
    ///     println!("{}", line?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn request_stream<T>(&self, request: &T) -> ReplyStream<T::Item, T::Error>
    where
        P: ToServer<T>,
        T: StreamRequest<Item: Received + 'static, Error: Received + 'static> + Serialize,
    {
        let topic = TopicName::OfType(T::NAME);
        send::request_stream(&self.state, topic, request, (), read_items::<T>())
    }

    /// Requests a stream of the server under a topic known only at run time. Its items are JSON text.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: socket_ipc::Client) {
    /// let mut lines = client.request_stream_raw("log", &100);
    /// while let Some(Ok(line)) = lines.next().await {
    ///     println!("{line}");
    /// }
    /// # }
    /// ```
    pub fn request_stream_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        request: &M,
    ) -> ReplyStream<RawMessage<'static>, RawMessage<'static>> {
        let topic = TopicName::AtRunTime(topic_or_none(topic));
        send::request_stream(&self.state, topic, request, (), read_raw_items())
    }

    #[doc = include_str!("../endpoint/docs/respond_stream.md")]
    ///
    /// [`max_requests`]: crate::ClientBuilder::max_requests
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_util::stream;
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Client, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "count", stream = u64)]
    /// struct Count { to: u64 }
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.respond_stream::<Count>(|Count { to }| stream::iter(0..to))?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_stream<T>(
        &self,
        responder: impl ClientStreamResponder<T>,
    ) -> Result<ListenerId, RegisterError>
    where
        P: ToClient<T>,
        T: StreamRequest<Item: Serialize, Error: Serialize> + DeserializeOwned + Send + 'static,
    {
        streams::respond_stream(&self.state, yielding(responder))
    }

    #[doc = include_str!("../endpoint/docs/respond_stream_raw.md")]
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_util::stream;
    ///
    /// # let client = socket_ipc::Client::new("/tmp/myApp.sock");
    /// client.respond_stream_raw("letters", |_message| stream::iter(["a", "b"].map(Ok)))?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_stream_raw<M: Serialize, S>(
        &self,
        topic: &str,
        responder: impl Fn(RawMessage<'static>) -> S + Send + Sync + 'static,
    ) -> Result<ListenerId, RegisterError>
    where
        S: Stream<Item = Result<M, ErrorReply>> + Send + 'static,
    {
        streams::respond_stream_raw(&self.state, topic, move |message, ()| responder(message))
    }
}
