//! Requests of streams: an iterator waits for the items.

use serde::Serialize;

use super::Client;
use crate::blocking::reply_stream::ReplyStream;
use crate::topic::direction::ToServer;
use crate::topic::{Received, StreamRequest};
use crate::wire::raw_message::RawMessage;

/// # Streaming
impl<P> Client<P> {
    /// Requests a stream of the server: an iterator that waits for its items. The request is sent when the iterator
    /// first waits, and the iterator returns every error. Dropping it cancels the request.
    ///
    /// The server replies by [`ServerHandle::respond_stream`](crate::ServerHandle::respond_stream). A client responds to
    /// streams by its [`handle`](Self::handle).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{RequestError, Topic, blocking};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "log", stream = String)]
    /// struct Log { last: usize }
    ///
    /// # fn example(client: blocking::Client) -> Result<(), RequestError> {
    /// for line in client.request_stream(&Log { last: 100 }) {
    ///     println!("{}", line?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn request_stream<T>(&self, request: &T) -> ReplyStream<T::Item, T::Error>
    where
        P: ToServer<T>,
        T: StreamRequest<Item: Received + 'static, Error: Received + 'static> + Serialize,
    {
        self.items(T::NAME, self.client.request_stream(request))
    }

    /// Requests a stream of the server under a topic known only at run time. Its items are JSON text.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(client: socket_ipc::blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for line in client.request_stream_raw("log", &100) {
    ///     println!("{}", line?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn request_stream_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        request: &M,
    ) -> ReplyStream<RawMessage<'static>, RawMessage<'static>> {
        self.items(topic, self.client.request_stream_raw(topic, request))
    }

    fn items<I, E>(&self, topic: &str, items: crate::connection::ReplyStream<I, E>) -> ReplyStream<I, E> {
        ReplyStream::new(items, topic, self.request_timeout, self.thread.own().clone())
    }
}
