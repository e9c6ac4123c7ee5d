//! Nodes that leave in good order, and servers that close.

use std::time::{Duration, Instant};

use futures::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use socket_ipc::cluster::{BroadcastError, Cluster, ClusterEvent, ClusterOptions, NodeId};
use socket_ipc::{ErrorReply, RequestError};
use support::nats::Nats;
use support::{Events, in_time, soon};

use crate::nodes::{Divide, Gate, Held, News, Node, news};

const DIVIDE: Divide = Divide { dividend: 6, divisor: 2 };

support::both_flavours! {
    async fn goodbye_counts_what_did_not_arrive() {
        let Some(nats) = Nats::start() else { return };
        let mut one = Node::join(&nats, "one").await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let node: NodeId = "plain.0123456789abcdef".parse().unwrap();
        for beat in [r#"{"sequence":3,"clients":0}"#, r#"{"sequence":10,"clients":0,"goodbye":true}"#] {
            plain.publish(format!("desk.b.{node}"), beat.into()).await.unwrap();
        }
        let is_it = |event: &ClusterEvent| matches!(event, ClusterEvent::Lagged { .. } | ClusterEvent::NodeDown(_));
        assert_eq!(one.event(is_it).await, ClusterEvent::Lagged { node: node.clone(), count: 7 });
        assert_eq!(one.event(is_it).await, ClusterEvent::NodeDown(node));
    }

    async fn request_to_a_server_that_closes_has_an_outcome_at_once() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.responds_to_divide();
        one.cluster.forward::<Divide>().unwrap();
        one.knows(&other, &["divide"]).await;
        let (client, closing) = (one.client().await, Closing::begins(&other).await);
        for _ in 0..200 {
            let is_expected = |error: &RequestError<_>| match error {
                RequestError::NoResponder { .. } => true,
                RequestError::Rejected { reply, .. } => reply.code() == ErrorReply::CLOSING,
                _ => false,
            };
            match soon("the outcome", client.request(&DIVIDE)).await {
                Ok(quotient) => assert_eq!(quotient, 3),
                Err(error) => assert!(is_expected(&error), "{error}"),
            }
        }
        closing.end().await;
    }
}

/// A server that closes, and waits for the reply to a request of a client of its own.
struct Closing {
    gate: Gate,
    closing: socket_ipc::Closing,
    held: tokio::task::JoinHandle<u64>,
}

impl Closing {
    async fn begins(node: &Node) -> Self {
        let (mut gate, client) = (node.holds(), node.client().await);
        let held = tokio::spawn(async move { client.request(&Held).await.unwrap() });
        assert_eq!(gate.begun.next().await, "begun");
        Self { gate, closing: node.server.close(), held }
    }

    async fn end(self) {
        self.gate.open();
        assert_eq!(soon("the reply", self.held).await.unwrap(), 5);
        soon("closing", self.closing).await;
    }
}
