//! Deciding which messages of which clients are dispatched.

use super::builder::ServerBuilder;
use super::state::State;
use crate::client_id::ClientId;
use crate::endpoint::attempt::{Attempt, Authorize};
#[cfg(not(feature = "nats"))]
use crate::endpoint::origin::Origin;
use crate::error::error_reply::ErrorReply;
use crate::listener::caught;
use crate::wire::{AttemptKind, Envelope};

impl<P> ServerBuilder<P> {
    /// Sets what decides whether a message, a request or a stream of a client is dispatched: every one is, unless set.
    ///
    /// `decide` is called with each one before its message is decoded, also where no listener takes its topic, and for
    /// the topics of the library, which begin with `socket-ipc.`. Replies to the server's own requests, and what paces
    /// and cancels a stream that was let through, need no permission. It is called on the connection's task, without a
    /// lock; it should look things up rather than wait for them. A message without an `id` also calls the responder of
    /// its topic, so decide by the topic, and not by the [`kind`](crate::Attempt::kind).
    ///
    /// Where it returns an error, no listener is called:
    ///
    /// - a request or a stream gets the error as its reply. Its code is [`forbidden`](ErrorReply::FORBIDDEN), unless the
    ///   error is an [`ErrorReply`] with another code than [`failed`](ErrorReply::FAILED);
    /// - a message is reported by `on_message_error`
    ///   ([`MessageErrorKind::Forbidden`](crate::MessageErrorKind::Forbidden)). Its sender learns of it only where the
    ///   topic has a responder with a `reply_topic`, which replies to messages.
    ///
    /// The connection lives on. If `decide` panics, the message is refused, and `on_error` reports the panic.
    ///
    /// With the feature `nats` it is called for what comes from other machines, too:
    /// [`Attempt::origin`](crate::Attempt::origin) says where an attempt comes from.
    ///
    /// Which processes may connect at all is decided by [`mode`](Self::mode), [`allow_users`](Self::allow_users) and
    /// [`allow_groups`](Self::allow_groups).
    ///
    /// # Examples
    ///
    /// Every user may ask for the state, and the superuser alone may do more:
    ///
    /// ```
    /// use socket_ipc::{ErrorReply, Server};
    ///
    /// let server = Server::builder("/run/myApp.sock")
    ///     .mode(0o666)
    ///     .authorize(|attempt| match (attempt.topic(), attempt.peer()) {
    ///         ("state", _) => Ok(()),
    ///         (_, Some(peer)) if peer.uid == 0 => Ok(()),
    ///         (topic, _) => Err(ErrorReply::new(ErrorReply::FORBIDDEN, format!("only root may {topic}"))),
    ///     })
    ///     .build();
    /// ```
    pub fn authorize(
        mut self,
        decide: impl Fn(&Attempt<'_>) -> Result<(), ErrorReply> + Send + Sync + 'static,
    ) -> Self {
        self.options.authorize = Some(Authorize::new(decide));
        self
    }
}

impl State {
    /// Asks the program whether a message may be dispatched. `Err` says why not.
    pub(super) fn may(
        &self,
        envelope: &Envelope<'_>,
        kind: AttemptKind,
        client_id: ClientId,
    ) -> Result<(), ErrorReply> {
        let Some(authorize) = &self.options.authorize else { return Ok(()) };
        #[cfg(not(feature = "nats"))]
        let origin = Origin::Client;
        #[cfg(feature = "nats")]
        let origin = self.origin(envelope, client_id)?;
        let attempt = Attempt::new(&envelope.topic, kind, client_id, self.clients.peer(client_id), origin);
        match caught(|| authorize.decide(&attempt)) {
            Ok(decision) => decision.map_err(ErrorReply::or_forbidden),
            Err(panic) => {
                self.core.events.report_panic("`authorize`", Some(client_id), panic);
                Err(ErrorReply::new(ErrorReply::FORBIDDEN, "`authorize` of the server panicked"))
            }
        }
    }
}
