//! What the servers of other machines need of a server: a way in for their requests, and a way out for its own.

use std::sync::Arc;

use futures_core::Stream;
use serde::Serialize;
use tracing::Instrument as _;

use super::handle::ServerHandle;
use super::state::State;
use crate::client_id::ClientId;
use crate::connection::{self, Outcome, Transport, request_span};
use crate::endpoint::lifecycle::Phase;
use crate::endpoint::origin::Origin;
use crate::endpoint::{Endpoint as _, streams};
use crate::error::error_reply::ErrorReply;
use crate::error::{RegisterError, SendError};
use crate::listener::ListenerId;
use crate::router::{CallResult, OnCancel, RespondingRaw, RespondingRawStream};
use crate::topic::{Request, Topic, TopicName};
use crate::wire::raw_message::RawMessage;
use crate::wire::{Envelope, EnvelopeKind, ReplyTo, Tail, Window};

/// What a forwarded request is replied with: text that another server wrote.
enum Forwarded {}

impl Topic for Forwarded {
    const NAME: &'static str = "forwarded";
    type Message<'m> = Self;
}

impl Request for Forwarded {
    type Reply = RawMessage<'static>;
    type Error = ErrorReply;

    fn error_reply(error: &ErrorReply) -> Option<&ErrorReply> {
        Some(error)
    }
}

impl State {
    /// Where a message comes from. `Err` where nobody waits for its reply any more: it is not dispatched, as there is
    /// nobody whose attempt it would be.
    pub(super) fn origin(&self, envelope: &Envelope<'_>, client_id: ClientId) -> Result<Origin, ErrorReply> {
        let number = match &envelope.kind {
            EnvelopeKind::Request(id) => id.number(),
            _ => None,
        };
        let gone = || ErrorReply::new(ErrorReply::FORBIDDEN, "its requester has given up");
        self.clients.origin(client_id, number).ok_or_else(gone)
    }
}

impl<P> ServerHandle<P> {
    /// How many clients are connected.
    pub(crate) fn client_count(&self) -> usize {
        self.state.clients.recipients().len()
    }

    /// Serves a connection in memory over which requests from other machines come. `origin` finds where the request with
    /// a number comes from, and without a number, a message. `None` where the server closes.
    pub(crate) fn admit_remote<S: Transport + Send>(
        &self,
        stream: S,
        origin: impl Fn(Option<u64>) -> Option<Origin> + Send + Sync + 'static,
    ) -> Option<ClientId> {
        self.state.admit_remote(stream, Arc::new(origin))
    }

    /// Whether closing has begun.
    pub(crate) fn is_closing(&self) -> bool {
        self.state.core.lifecycle.phase() >= Phase::Closing
    }

    /// Whether the topic has a listener here, or a responder other than a fallback.
    pub(crate) fn takes(&self, topic: &str) -> bool {
        self.state.core.router.takes(topic)
    }

    /// Encodes a message as a line of the server's wire.
    pub(crate) fn encode<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
    ) -> Result<Vec<u8>, SendError> {
        connection::encoded(&*self.state, Tail::Message, topic, message, <[u8]>::to_vec)
    }

    /// Broadcasts a message that [`encode`](Self::encode) wrote.
    pub(crate) fn broadcast_line(
        &self,
        topic: TopicName<'_>,
        line: &[u8],
        except: Option<ClientId>,
    ) -> Result<usize, SendError> {
        self.state.check_open(topic.as_str())?;
        self.state.broadcast_encoded(self.state.clients.recipients(), topic, line, except)
    }

    /// The same once there is room.
    pub(crate) async fn broadcast_line_async(
        &self,
        topic: TopicName<'_>,
        line: &[u8],
    ) -> Result<usize, SendError> {
        self.state.broadcast_encoded_async(|| self.state.clients.recipients(), topic, line, None).await
    }

    /// Attaches a responder that gets the JSON text of the requests of `T` for which there is no other responder.
    pub(crate) fn respond_fallback<T: Request, F>(
        &self,
        responder: impl Fn(RawMessage<'static>, ClientId) -> F + Send + Sync + 'static,
    ) -> Result<ListenerId, RegisterError>
    where
        F: Future<Output = Result<RawMessage<'static>, ErrorReply>> + Send + 'static,
    {
        let weak = Arc::downgrade(&self.state);
        let reply_topic = TopicName::OfType(T::REPLY_TOPIC.unwrap_or(T::NAME));
        let call = move |request: RawMessage<'_>, peer: ClientId, to: &ReplyTo| {
            let (span, kept, to) = (request_span(T::NAME, to), to.clone(), to.clone());
            let (outcome, weak) = (span.in_scope(|| responder(request.into_owned(), peer)), weak.clone());
            let wait = async move {
                let outcome = outcome.await;
                let Some(state) = weak.upgrade() else { return };
                let Some(outbox) = state.reply_outbox(peer) else { return };
                let waiting =
                    connection::reply_or_hold::<Forwarded>(&*state, &outbox, &to, reply_topic, &outcome);
                drop(outcome);
                if let Some(waiting) = waiting {
                    // Boxed: it is rare, and each responder would take room for it.
                    Box::pin(waiting.queue(&*state)).await;
                }
            };
            let on_cancel = if T::IS_CANCELLED { OnCancel::Drop } else { OnCancel::Nothing };
            CallResult::Responding { wait: Box::pin(wait.instrument(span)), to: kept, on_cancel }
        };
        let token = ListenerId::next();
        let responder = RespondingRaw::fallback(T::REPLY_TOPIC.map(Into::into), call);
        self.state.core.router.attach_as(token, T::NAME, responder)?;
        Ok(token)
    }

    /// Attaches a responder that gets the JSON text of the requests of the stream `topic`, and their windows, for which
    /// there is no other responder. What it returns resolves to the stream once it has begun.
    pub(crate) fn respond_stream_fallback<F, S>(
        &self,
        topic: &'static str,
        responder: impl Fn(RawMessage<'static>, ClientId, Window) -> F + Send + Sync + 'static,
    ) -> Result<ListenerId, RegisterError>
    where
        F: Future<Output = Result<S, ErrorReply>> + Send + 'static,
        S: Stream<Item = Result<RawMessage<'static>, ErrorReply>> + Send + 'static,
    {
        streams::check_wire(&self.state, topic)?;
        let weak = Arc::downgrade(&self.state);
        let call =
            RespondingRawStream::fallback(move |request: RawMessage<'_>, peer: ClientId, id, window| {
                let open = responder(request.into_owned(), peer, window);
                streams::streaming(&weak, peer, id, window, topic, |sender| {
                    let outcome_of: fn(&ErrorReply) -> Outcome<'_, (), ErrorReply> =
                        |error| Outcome::ErrorReply(error);
                    Box::pin(
                        async move { sender.run_opened(TopicName::OfType(topic), open, outcome_of).await },
                    )
                })
            });
        let token = ListenerId::next();
        self.state.core.router.attach_as(token, topic, call)?;
        Ok(token)
    }
}
