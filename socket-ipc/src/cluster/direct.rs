//! Messages and requests to one client, wherever it is connected.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Cluster;
use super::client_errors;
use super::error::ClusterError;
use super::line::Line;
use super::node::ClientRef;
use super::requests::Sent;
use crate::client_id::ClientId;
use crate::connection::typed_error;
use crate::error::error_reply::ErrorReply;
use crate::error::{RequestError, SendError, type_name};
use crate::topic::direction::ToClient;
use crate::topic::{Request, Topic};

/// # Sending to one client
impl<P> Cluster<P> {
    /// Sends a message to a client of any node. `Ok` says that its node has queued it.
    ///
    /// # Errors
    ///
    /// [`ClusterError`]: the node or the client is not there, the message is too long, or nothing came back.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, the message may have been sent.
    pub async fn send<T>(&self, message: &T, to: &ClientRef) -> Result<(), ClusterError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        if to.node == self.shared.node {
            let sent = self.server.send(message, ClientId::new(to.client));
            return sent.map_err(|error| own(error, to));
        }
        let line = Line::of(&self.shared.server, T::NAME, message)?;
        let subject = self.shared.subjects.client(&to.node, to.client, T::NAME);
        match self.shared.send_message(subject, line.message().to_vec()).await {
            Sent::Reply(_) => Ok(()),
            sent => Err(sent.into_error::<ErrorReply>(T::NAME, to, RequestError::rejected)),
        }
    }

    /// Sends a request to a client of any node, and waits for the reply, for `request_timeout` of this server.
    ///
    /// Signs of life of its node keep the request alive until then. Dropping the future before it resolves cancels the
    /// request.
    ///
    /// # Errors
    ///
    /// [`ClusterError`]; `Request` is what the client itself returned.
    pub async fn request<T>(&self, request: &T, to: &ClientRef) -> Result<T::Reply, ClusterError<T::Error>>
    where
        P: ToClient<T>,
        T: Request<Reply: DeserializeOwned, Error: DeserializeOwned> + Serialize,
    {
        if to.node == self.shared.node {
            let reply = self.server.request(request, ClientId::new(to.client)).await;
            return reply.map_err(|error| own_error(error, to));
        }
        let line = Line::of(&self.shared.server, T::NAME, request)?;
        let subject = self.shared.subjects.client(&to.node, to.client, T::NAME);
        let sent = self.shared.request(subject, 0, line.message().to_vec());
        let timeout = self.shared.server.limits().request_timeout;
        let Ok(sent) = tokio::time::timeout(timeout, sent).await else {
            return Err(ClusterError::Timeout { topic: T::NAME.to_owned(), timeout });
        };
        match sent {
            Sent::Reply(reply) => reply.decode().map_err(|error| {
                ClusterError::Request(RequestError::ReplyUndecodable {
                    topic: T::NAME.to_owned(),
                    type_name: type_name::<T::Reply>(),
                    reason: error.to_string(),
                })
            }),
            sent => {
                let typed = |topic: &str, reply| typed_error(topic, reply, T::HAS_TYPED_ERROR);
                Err(sent.into_error(T::NAME, to, typed))
            }
        }
    }
}

impl Sent {
    /// The error of what was sent to a client. `read` reads an error reply.
    pub(super) fn into_error<E>(
        self,
        topic: &str,
        to: &ClientRef,
        read: impl FnOnce(&str, ErrorReply) -> RequestError<E>,
    ) -> ClusterError<E> {
        let topic = topic.to_owned();
        match self {
            Self::Nobody => ClusterError::UnknownNode { topic, node: to.node.clone() },
            Self::UnknownClient => ClusterError::UnknownClient { topic, client: to.clone() },
            Self::ConnectionLost(error) => ClusterError::Request(RequestError::ConnectionLost {
                topic,
                cause: client_errors::cause_of(error.code()),
            }),
            Self::Error(error) => ClusterError::Request(read(&topic, error)),
            Self::Left => ClusterError::Left { topic },
            Self::LinkDown => ClusterError::LinkDown { topic },
            Self::Lost { silence } => ClusterError::Lost { topic, silence },
            Self::TooLarge { len, limit } => ClusterError::TooLarge { topic, len, limit },
            Self::TooMany { limit } => ClusterError::TooManyRequests { topic, limit },
            Self::Undecodable(reason) => ClusterError::Request(RequestError::ReplyUndecodable {
                topic,
                type_name: "RawMessage".to_owned(),
                reason,
            }),
            Self::ItemsLost { count } => ClusterError::ItemsLost { topic, count },
            Self::BeyondWindow { size, window } => {
                ClusterError::Request(RequestError::WindowExceeded { topic, size, window })
            }
            Self::NotAStream => ClusterError::Request(RequestError::NotAStream { topic }),
            // Whoever calls this has taken a reply out before.
            Self::Reply(_) => ClusterError::LinkDown { topic },
        }
    }
}

/// The error of a request to a client of this very node.
pub(super) fn own_error<E>(error: RequestError<E>, to: &ClientRef) -> ClusterError<E> {
    match error {
        RequestError::Send(error) => own(error, to),
        error => ClusterError::Request(error),
    }
}

/// The error of sending to a client of this very node.
fn own<E>(error: SendError, to: &ClientRef) -> ClusterError<E> {
    match error {
        SendError::UnknownClient { topic, .. } => ClusterError::UnknownClient { topic, client: to.clone() },
        error => ClusterError::Send(error),
    }
}
