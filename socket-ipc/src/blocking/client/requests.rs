//! Requests: a call waits for the reply.

use std::time::Duration;

use serde::Serialize;

use super::Client;
use crate::blocking::wait::{deadline, wait_until};
use crate::connection::ReplyFuture;
use crate::error::RequestError;
use crate::topic::direction::ToServer;
use crate::topic::{Received, Request};
use crate::wire::raw_message::RawMessage;

/// # Requesting
impl<P> Client<P> {
    /// Sends a request to the server and waits for the reply, for at most `request_timeout`
    /// ([`limits::REQUEST_TIMEOUT`](crate::limits::REQUEST_TIMEOUT), 10 s, unless set).
    ///
    /// Several threads may send requests at once; each gets its own reply.
    ///
    /// # Errors
    ///
    /// The errors of [`ClientHandle::request`](crate::ClientHandle::request), each as soon as it is known: there is no
    /// responder, the responder fails, the connection is lost, or the time is over.
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{RequestError, Topic, blocking};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "add", reply = i64)]
    /// struct Add { left: i64, right: i64 }
    ///
    /// # fn example(client: blocking::Client) -> Result<(), RequestError> {
    /// let five = client.request(&Add { left: 2, right: 3 })?;
    /// # Ok(()) }
    /// ```
    pub fn request<T>(&self, request: &T) -> Result<T::Reply, RequestError<T::Error>>
    where
        P: ToServer<T>,
        T: Request<Reply: Received, Error: Received> + Serialize,
    {
        self.request_within(request, self.request_timeout)
    }

    /// Sends a request to the server and waits for the reply, for at most this long.
    ///
    /// # Errors
    ///
    /// The errors of [`request`](Self::request).
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{RequestError, Topic, blocking};
    /// # use std::time::Duration;
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "report", reply = String)] struct MakeReport;
    /// # fn example(client: blocking::Client) -> Result<(), RequestError> {
    /// let text = client.request_within(&MakeReport, Duration::from_secs(60))?;
    /// # Ok(()) }
    /// ```
    pub fn request_within<T>(
        &self,
        request: &T,
        timeout: Duration,
    ) -> Result<T::Reply, RequestError<T::Error>>
    where
        P: ToServer<T>,
        T: Request<Reply: Received, Error: Received> + Serialize,
    {
        self.wait_for_reply(T::NAME, timeout, || self.client.request(request))
    }

    /// Sends any value as a request under a topic known only at run time, and waits for the reply's JSON text, for at
    /// most `request_timeout`.
    ///
    /// # Errors
    ///
    /// The errors of [`request`](Self::request).
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(client: socket_ipc::blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let sum: i64 = client.request_raw("add", &[2, 3])?.decode()?;
    /// # Ok(()) }
    /// ```
    pub fn request_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        request: &M,
    ) -> Result<RawMessage<'static>, RequestError<RawMessage<'static>>> {
        self.request_raw_within(topic, request, self.request_timeout)
    }

    /// Sends any value as a request under a topic known only at run time, and waits for the reply's JSON text, for at
    /// most this long.
    ///
    /// # Errors
    ///
    /// The errors of [`request`](Self::request).
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    pub fn request_raw_within<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        request: &M,
        timeout: Duration,
    ) -> Result<RawMessage<'static>, RequestError<RawMessage<'static>>> {
        self.wait_for_reply(topic, timeout, || self.client.request_raw(topic, request))
    }

    fn wait_for_reply<R, E>(
        &self,
        topic: &str,
        timeout: Duration,
        request: impl FnOnce() -> ReplyFuture<R, E>,
    ) -> Result<R, RequestError<E>> {
        self.thread.own().must_not_wait();
        let deadline = deadline(timeout);
        // The deadline is kept here: the future's own deadline needs the runtime, which ends when the client is closed.
        wait_until(deadline, request().timeout(Duration::MAX))
            .unwrap_or_else(|| Err(RequestError::Timeout { topic: topic.to_owned(), timeout }))
    }
}
