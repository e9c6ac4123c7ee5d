//! The description of a server, which it replies with on request where its options allow that.

use std::sync::Arc;

use super::builder::ServerBuilder;
use super::state::State;
use crate::client_id::ClientId;
use crate::connection::Outcome;
use crate::description::{
    DESCRIBE, Description, Direction, Framing, Limits, RESERVED, STATS, TopicDescription,
};
use crate::endpoint::requests;
use crate::listener::ListenerId;
use crate::router::{CallResult, ComesBack, RespondingRaw};
use crate::topic::TopicName;
use crate::wire::ReplyTo;
use crate::wire::raw_message::RawMessage;

/// # Describing itself
impl ServerBuilder {
    /// Makes the server reply to the request [`socket-ipc.describe`](DESCRIBE) with a [`Description`]: its limits, its
    /// wire and the topics that have a listener. Off unless set; the request then has no responder.
    ///
    /// A server without a protocol does not know the topics that it sends; add them with
    /// [`describe_as`](Self::describe_as). The server responds to the topic itself: attaching another responder to it
    /// fails with [`RegisterError::AlreadyRegistered`](crate::RegisterError::AlreadyRegistered).
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// let server = Server::builder("/tmp/myApp.sock").describe().build();
    /// ```
    pub fn describe(self) -> Self {
        self.describe_as(Description::new())
    }
}

/// # Describing itself
impl<P> ServerBuilder<P> {
    /// Does what `describe` does, with a description that says more: schemas, or what a server without a protocol
    /// sends.
    ///
    /// Its version, limits and wire are replaced by the server's, and the topics that have a listener are added
    /// where it does not have them.
    ///
    /// ```
    /// use socket_ipc::description::{Description, Direction, TopicDescription};
    /// use socket_ipc::Server;
    ///
    /// let mut description = Description::new();
    /// description.topics.push(TopicDescription::new("greeting", Direction::TowardClient));
    /// let server = Server::builder("/tmp/myApp.sock").describe_as(description).build();
    /// ```
    pub fn describe_as(mut self, description: Description) -> Self {
        self.options.description = Some(Box::new(description));
        self
    }
}

/// Attaches the responders of the library's own topics, if the server's options have them.
pub(super) fn respond(state: &Arc<State>) {
    if state.options.description.is_some() {
        respond_to(state, DESCRIBE, State::describe);
        respond_to(state, STATS, State::stats);
    }
}

/// Attaches one of them. The topic is also named as the one that its replies travel under, so that a request without an
/// id gets a reply.
fn respond_to<M: serde::Serialize>(
    state: &Arc<State>,
    topic: &'static str,
    reply: impl Fn(&State) -> M + Send + Sync + 'static,
) {
    let weak = Arc::downgrade(state);
    let responder = RespondingRaw::new(
        Some(topic.into()),
        move |_: RawMessage<'_>, client_id: ClientId, to: &ReplyTo| {
            if let Some(state) = weak.upgrade() {
                let reply = Ok(reply(&state));
                requests::reply(&*state, client_id, to, TopicName::OfType(topic), Outcome::untyped(&reply));
            }
            CallResult::Done
        },
    );
    // There can be no other responder yet: the server is about to be made.
    let _ = state.core.router.attach_as(ListenerId::next(), topic, responder);
}

impl State {
    /// What the server was given to say, and the topics that have a listener at this moment.
    fn describe(&self) -> Description {
        let mut description = self.options.description.as_deref().cloned().unwrap_or_default();
        let options = &self.options.limits;
        description.version = Description::new().version;
        description.limits = Limits::new(options.max_message_len, options.max_topic_len);
        description.wire = Framing::of(options.wire);
        for (topic, comes_back) in self.core.router.topics() {
            let is_known = description.topic(&topic, Direction::TowardServer).is_some();
            if !is_known && !RESERVED.contains(&&*topic) {
                let mut topic = TopicDescription::new(&*topic, Direction::TowardServer);
                match comes_back {
                    ComesBack::Nothing => {}
                    ComesBack::ReplyUnder(reply) => topic.reply = Some(reply),
                    ComesBack::Stream => topic.stream = true,
                }
                description.topics.push(topic);
            }
        }
        description
    }
}
