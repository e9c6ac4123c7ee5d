//! Why something between the nodes of a domain failed: one type for each operation.

use std::path::PathBuf;
use std::time::Duration;

use super::node::{ClientRef, NodeId};
use crate::error::error_reply::ErrorReply;
use crate::error::{RequestError, SendError};

/// Why a server has not joined a domain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The name of the domain or of the node is empty or too long.
    #[error("cannot join a domain: the name of its {what} is {len} bytes long; 1 to {limit} are allowed")]
    Name {
        /// `domain` or `node`.
        what: &'static str,
        /// Its length, in bytes.
        len: usize,
        /// The most that it may be, in bytes.
        limit: usize,
    },
    /// No URL of a NATS server is known.
    #[error("cannot join the domain `{domain}`: no URL of a NATS server was given")]
    NoUrl {
        /// The domain.
        domain: String,
    },
    /// A URL holds a user or a password. The NATS client would ignore them.
    #[error(
        "cannot join the domain `{domain}`: the URL of {host} holds credentials, which belong in `user_and_password` or \
         `token` of the options"
    )]
    CredentialsInUrl {
        /// The domain.
        domain: String,
        /// The URL behind its credentials.
        host: String,
    },
    /// A file that the options name can't be used.
    #[error("cannot join the domain `{domain}`: the {what} in {}: {reason}", path.display())]
    File {
        /// The domain.
        domain: String,
        /// What the file is for: `credentials`, `root certificates`, `client certificate`, or `key of the client
        /// certificate`.
        what: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The server that is to join closes, or is closed.
    #[error(
        "cannot join the domain `{domain}`: the server at {} is closed or closes; join with one that runs", path.display()
    )]
    Closed {
        /// The domain.
        domain: String,
        /// The path of the server.
        path: PathBuf,
    },
    /// The NATS server can't be reached, or does not let this node in.
    #[error("cannot join the domain `{domain}` at {urls}: {reason}")]
    Connect {
        /// The domain.
        domain: String,
        /// The URLs that were tried.
        urls: String,
        /// What the NATS client says.
        reason: String,
    },
    /// The NATS server let this node in, and refuses what a node needs.
    #[error(
        "cannot join the domain `{domain}` at {urls}: {reason}; the permissions of a node are in the book"
    )]
    Refused {
        /// The domain.
        domain: String,
        /// The URLs that were tried.
        urls: String,
        /// What the NATS server says.
        reason: String,
    },
    /// The NATS server let this node in, and did not reply to it.
    #[error("cannot join the domain `{domain}` at {urls}: no reply within {timeout:?}")]
    Timeout {
        /// The domain.
        domain: String,
        /// The URLs that were tried.
        urls: String,
        /// How long the node waited.
        timeout: Duration,
    },
}

/// Why a broadcast did not leave for the other nodes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The clients of this node did not get it, and no other node did.
    #[error(transparent)]
    Local(#[from] SendError),
    /// It is longer than the NATS server allows. Nothing was sent, not to the clients of this node either.
    #[error(
        "cannot broadcast `{topic}`: its {len} bytes are over the NATS server's `max_payload` of {limit}"
    )]
    TooLarge {
        /// The topic.
        topic: String,
        /// Its length, in bytes.
        len: usize,
        /// The most that it may be, in bytes.
        limit: usize,
    },
    /// There is no connection to the NATS server: the clients of this node alone got it.
    #[error("`{topic}` reached {local} clients of this node alone: no connection to the NATS server")]
    LinkDown {
        /// The topic.
        topic: String,
        /// How many clients of this node it is queued for.
        local: usize,
    },
    /// Too much waits for the NATS server: the clients of this node alone got it.
    #[error(
        "`{topic}` reached {local} clients of this node alone: {queued} of {limit} bytes wait for the NATS server"
    )]
    QueueFull {
        /// The topic.
        topic: String,
        /// How many clients of this node it is queued for.
        local: usize,
        /// How much waits, in bytes.
        queued: usize,
        /// The most that may wait, in bytes: `outgoing_len`.
        limit: usize,
    },
    /// This node has left the domain: the clients of this node alone got it.
    #[error("`{topic}` reached {local} clients of this node alone: it has left the domain")]
    Left {
        /// The topic.
        topic: String,
        /// How many clients of this node it is queued for.
        local: usize,
    },
}

/// Why a message did not reach a client of another node, or a request to one has no reply.
///
/// `E` is the `error = …` of the request's topic.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError<E = ErrorReply> {
    /// There is no connection to the NATS server. A request that was in flight may have been received.
    #[error("no connection to the NATS server: `{topic}` may not have arrived")]
    LinkDown {
        /// The topic.
        topic: String,
    },
    /// This node has left the domain.
    #[error("cannot send `{topic}`: this node has left the domain")]
    Left {
        /// The topic.
        topic: String,
    },
    /// It is longer than the NATS server allows. Nothing was sent.
    #[error(
        "cannot send `{topic}`: its {len} bytes are over the {limit} that the NATS server's `max_payload` leaves for a \
         message"
    )]
    TooLarge {
        /// The topic.
        topic: String,
        /// Its length, in bytes.
        len: usize,
        /// The most that it may be, in bytes: `max_payload` without room for headers.
        limit: usize,
    },
    /// As many requests to other nodes are pending as the options allow. Nothing was sent.
    #[error(
        "cannot send `{topic}`: {limit} requests to other nodes are pending, the most that `max_requests` allows"
    )]
    TooManyRequests {
        /// The topic.
        topic: String,
        /// `max_requests`.
        limit: usize,
    },
    /// No node of this id is in the domain.
    #[error("cannot send `{topic}`: no node {node} is in the domain")]
    UnknownNode {
        /// The topic.
        topic: String,
        /// The node.
        node: NodeId,
    },
    /// The client is not connected to its node.
    #[error("cannot send `{topic}`: {client} is not connected")]
    UnknownClient {
        /// The topic.
        topic: String,
        /// The client.
        client: ClientRef,
    },
    /// The node that has it gave no sign of life for as long as the options allow.
    #[error("no reply to `{topic}`: its node gave no sign of life for {silence:?}")]
    Lost {
        /// The topic.
        topic: String,
        /// The silence limit.
        silence: Duration,
    },
    /// Items of a stream did not arrive: a NATS server or a node was too slow, or the connection was lost. The stream has
    /// ended there, and the request is cancelled.
    #[error("the stream `{topic}` has ended: {count} of its items or more were lost on the way")]
    ItemsLost {
        /// The topic.
        topic: String,
        /// How many are known to be missing before the one that arrived next.
        count: u64,
    },
    /// No reply came in time, a stream did not begin in time, or its next item took longer than its `idle_timeout`.
    #[error("no reply to `{topic}` within {timeout:?}")]
    Timeout {
        /// The topic.
        topic: String,
        /// `request_timeout` of the server, or what `timeout` or `idle_timeout` of the stream was given.
        timeout: Duration,
    },
    /// The message could not be written as JSON, or it could not be sent to a client of this node.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The client replied with an error, or with something else than the reply.
    #[error(transparent)]
    Request(RequestError<E>),
}

/// Why a node can't forward a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The topic is forwarded already, by this or another membership of the server.
    #[error("cannot forward `{topic}`: it is forwarded already")]
    AlreadyForwarded {
        /// The topic.
        topic: String,
    },
    /// The wire of this server has no streams: it is one of the Node presets.
    #[error("cannot forward the stream `{topic}`: the wires of the Node library have no streams")]
    NoStreams {
        /// The topic.
        topic: String,
    },
    /// This node leaves the domain, or has left it.
    #[error("cannot forward `{topic}`: this node leaves the domain or has left it; join again")]
    Left {
        /// The topic.
        topic: String,
    },
}

/// Why a node can't offer a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// The server has neither a responder nor a listener for the topic.
    #[error("cannot offer `{topic}`: this server has no responder for it; attach it before")]
    NoResponder {
        /// The topic.
        topic: String,
    },
    /// This node leaves the domain, or has left it.
    #[error("cannot offer `{topic}`: this node leaves the domain or has left it; join again")]
    Left {
        /// The topic.
        topic: String,
    },
}
