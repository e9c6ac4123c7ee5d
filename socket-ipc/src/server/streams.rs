//! Requests of streams, and their responders, on a server.

use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::Map;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handle::ServerHandle;
use crate::client_id::ClientId;
use crate::connection::{ReplyStream, read_items, read_raw_items};
use crate::endpoint::{send, streams};
use crate::error::RegisterError;
use crate::error::error_reply::ErrorReply;
use crate::listener::ListenerId;
use crate::topic::direction::{ToClient, ToServer};
use crate::topic::{Items, Received, StreamRequest, TopicName};
use crate::wire::raw_message::RawMessage;
use crate::wire::topic_or_none;

/// A responder of a server whose reply is a stream: any `Fn(T, ClientId)` that returns a `Stream` of items, or of
/// `Result`s of them.
///
/// It is implemented for all of them; there is nothing to implement.
///
/// ```
/// use futures_util::stream;
/// use socket_ipc::{StreamRequest, StreamResponder};
///
/// fn is_a_responder<T: StreamRequest>(_: impl StreamResponder<T>) {}
///
/// # use serde::{Deserialize, Serialize}; use socket_ipc::Topic;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "count", stream = u64)] struct Count { to: u64 }
/// is_a_responder::<Count>(|count, _client_id| stream::iter(0..count.to));
/// ```
pub trait StreamResponder<T: StreamRequest>: Fn(T, ClientId) -> Self::Stream + Send + Sync + 'static {
    /// What the responder returns.
    type Stream: Stream + Send + 'static;

    #[doc(hidden)]
    fn into_item(yielded: <Self::Stream as Stream>::Item) -> Result<T::Item, T::Error>;
}

impl<T, L, S> StreamResponder<T> for L
where
    T: Items<S::Item>,
    L: Fn(T, ClientId) -> S + Send + Sync + 'static,
    S: Stream + Send + 'static,
{
    type Stream = S;

    fn into_item(yielded: S::Item) -> Result<T::Item, T::Error> {
        T::into_item(yielded)
    }
}

fn yielding<T: StreamRequest, R: StreamResponder<T>>(
    responder: R,
) -> impl Fn(T, ClientId) -> Map<R::Stream, IntoItem<T, R::Stream>> + Send + Sync + 'static {
    move |request, client_id| responder(request, client_id).map(R::into_item as IntoItem<T, R::Stream>)
}

/// From what a stream yields to its items.
type IntoItem<T, S> =
    fn(<S as Stream>::Item) -> Result<<T as StreamRequest>::Item, <T as StreamRequest>::Error>;

#[doc = include_str!("../endpoint/docs/streaming.md")]
///
/// [`max_requests`]: crate::ServerBuilder::max_requests
impl<P> ServerHandle<P> {
    /// Requests a stream of one client. It is sent when the stream is first polled; the stream returns every error.
    ///
    /// The client replies by [`ClientHandle::respond_stream`](crate::ClientHandle::respond_stream).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{ClientId, RequestError, ServerHandle, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "log", stream = String)]
    /// struct Log { last: usize }
    ///
    /// async fn print_log(server: &ServerHandle, client_id: ClientId) -> Result<(), RequestError> {
    ///     let mut lines = server.request_stream(&Log { last: 100 }, client_id);
    ///     while let Some(line) = lines.next().await {
    ///         println!("{}", line?);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn request_stream<T>(&self, request: &T, client_id: ClientId) -> ReplyStream<T::Item, T::Error>
    where
        P: ToClient<T>,
        T: StreamRequest<Item: Received + 'static, Error: Received + 'static> + Serialize,
    {
        let topic = TopicName::OfType(T::NAME);
        send::request_stream(&self.state, topic, request, client_id, read_items::<T>())
    }

    /// Requests a stream of one client under a topic known only at run time. Its items are JSON text.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use socket_ipc::{ClientId, ServerHandle};
    /// # async fn example(server: &ServerHandle, client_id: ClientId) {
    /// let mut lines = server.request_stream_raw("log", &100, client_id);
    /// while let Some(Ok(line)) = lines.next().await {
    ///     println!("{line}");
    /// }
    /// # }
    /// ```
    pub fn request_stream_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        request: &M,
        client_id: ClientId,
    ) -> ReplyStream<RawMessage<'static>, RawMessage<'static>> {
        let topic = TopicName::AtRunTime(topic_or_none(topic));
        send::request_stream(&self.state, topic, request, client_id, read_raw_items())
    }

    #[doc = include_str!("../endpoint/docs/respond_stream.md")]
    ///
    /// [`max_requests`]: crate::ServerBuilder::max_requests
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_util::stream;
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Server, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "count", stream = u64)]
    /// struct Count { to: u64 }
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.respond_stream::<Count>(|Count { to }, _client_id| stream::iter(0..to))?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_stream<T>(&self, responder: impl StreamResponder<T>) -> Result<ListenerId, RegisterError>
    where
        P: ToServer<T>,
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
    /// # let server = socket_ipc::Server::new("/tmp/myApp.sock");
    /// server.respond_stream_raw("letters", |_message, _client_id| stream::iter(["a", "b"].map(Ok)))?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    pub fn respond_stream_raw<M: Serialize, S>(
        &self,
        topic: &str,
        responder: impl Fn(RawMessage<'static>, ClientId) -> S + Send + Sync + 'static,
    ) -> Result<ListenerId, RegisterError>
    where
        S: Stream<Item = Result<M, ErrorReply>> + Send + 'static,
    {
        streams::respond_stream_raw(&self.state, topic, responder)
    }
}
