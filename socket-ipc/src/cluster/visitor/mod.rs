//! A program of a domain that is no node: it has no clients, gives no beats, and is not seen by the others. It is what
//! the command `socket-ipc` is, and is not documented: nothing else may rely on it.
//!
//! Its inbox has the form of a node's, `D.i.command.RANDOM.>`, so that nodes with the default options reply to it.

mod broadcasts;
mod error;
mod link;
mod nodes;
mod request;
mod send;
mod stream;

use std::fmt;
use std::time::Duration;

use async_nats::{Client, Event, Subject, Subscriber};
use tokio::sync::watch;
use tokio::time::timeout;

use super::connect::{self, Echo, Unconnected};
use super::headers;
use super::node::NodeId;
use super::options::ClusterOptions;
use super::requests::Sent;
use super::subject::Subjects;
use crate::error::RequestError;

use link::State;

pub use broadcasts::{Broadcasts, Received};
pub use error::VisitError;
pub use nodes::{NodeChange, Nodes};
pub use request::VisitRequest;
pub use send::Sending;
pub use stream::{StreamCanceller, VisitStream};

/// The name of a visitor where a node has its name: its permissions are for it.
const NAME: &str = "command";

/// How long to wait for the sign that says where a cancel goes. A node gives it after 20 to 40 ms.
const FIRST_SIGN: Duration = Duration::from_millis(200);

/// How long a cancel may take to leave.
const FLUSH: Duration = Duration::from_secs(1);

/// A program of a domain that is no node.
pub struct Visitor {
    nats: Client,
    domain: String,
    subjects: Subjects,
    silence: Duration,
    state: watch::Receiver<State>,
}

impl Visitor {
    /// Connects to the NATS server of a domain.
    pub async fn connect(options: &ClusterOptions) -> Result<Self, VisitError> {
        options.check().map_err(VisitError::Join)?;
        let node = NodeId::new(NAME, fastrand::u64(..));
        let (noting, state) = watch::channel(State::default());
        let on_event = move |event: &Event| link::note(&noting, event);
        let nats = connect::connect(options, &node, Echo::Yes, on_event).await.map_err(|error| {
            let may_come = matches!(error, Unconnected::Nats { may_come: true, .. });
            let error = error.of_join(options);
            if may_come { VisitError::NotThere(error) } else { VisitError::Join(error) }
        })?;
        let subjects = Subjects::new(&options.domain, node);
        Ok(Self { nats, domain: options.domain.clone(), subjects, silence: options.silence, state })
    }

    async fn subscribe(&self, subject: String) -> Result<Subscriber, VisitError> {
        let subscribed = self.nats.subscribe(subject).await;
        subscribed.map_err(|error| VisitError::Refused(error.to_string()))
    }

    /// Waits until there is no connection, or the NATS server refuses something.
    async fn trouble(&self) -> VisitError {
        let mut state = self.state.clone();
        let found = state.wait_for(|state| state.is_down || state.refused.is_some()).await;
        match found {
            Ok(state) => state.refused.clone().map_or(VisitError::LinkDown, VisitError::Refused),
            // The client is gone.
            Err(_) => VisitError::LinkDown,
        }
    }

    /// The error of a request that was not replied to as it should be.
    fn refused(&self, topic: &str, sent: Sent) -> VisitError {
        let topic = topic.to_owned();
        match sent {
            Sent::Nobody => VisitError::NoResponder { domain: self.domain.clone(), topic },
            Sent::Error(reply) | Sent::ConnectionLost(reply) => {
                VisitError::Request(RequestError::rejected(&topic, reply))
            }
            Sent::Undecodable(reason) => undecodable(topic, reason),
            _ => VisitError::LinkDown,
        }
    }

    /// How long a message may be, in bytes.
    fn check_len(&self, topic: &str, len: usize) -> Result<(), VisitError> {
        let limit = super::shared::max_payload(&self.nats);
        if len <= limit { Ok(()) } else { Err(VisitError::TooLarge { topic: topic.to_owned(), len, limit }) }
    }
}

fn undecodable(topic: String, reason: String) -> VisitError {
    VisitError::Request(RequestError::ReplyUndecodable { topic, type_name: "JSON text".to_owned(), reason })
}

/// Tells a node that nobody waits any more for what it has the request of.
async fn cancel(nats: &Client, control: Subject) {
    let said = async {
        if nats.publish_with_headers(control, headers::cancel(), Vec::new().into()).await.is_ok() {
            let _ = nats.flush().await;
        }
    };
    // If it is late, the node gives up by itself: a request after the `request_timeout` of its server, a stream where
    // renewals stay away.
    let _ = timeout(FLUSH, said).await;
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor").field("domain", &self.domain).finish_non_exhaustive()
    }
}
