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
    async fn node_that_leaves_finishes_what_is_in_flight_and_begins_nothing() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let mut far = other.holds();
        one.cluster.forward::<Held>().unwrap();
        one.knows(&other, &["held"]).await;
        other.knows(&one, &[]).await;
        let (client, listening, mut received) = (one.client().await, other.client().await, Events::new());
        let report = received.reporter();
        listening.on::<News>(move |news| report(news.number));
        let mut near = Gate::of(&client);
        // A request of its client that the other node has, and one of the other node that its client has.
        let sent = client.request(&Held);
        assert_eq!(far.begun.next().await, "begun");
        let (cluster, to) = (other.cluster.clone(), one.cluster.client_ref(one.server.clients()[0]));
        let taken = tokio::spawn(async move { cluster.request(&Held, &to).await });
        assert_eq!(near.begun.next().await, "begun");
        one.cluster.broadcast(&news(1)).unwrap();

        let begun = Instant::now();
        let mut leaving = std::pin::pin!(one.cluster.leave());
        assert!(leaving.as_mut().now_or_never().is_none());
        // What would begin now would be in the way of the end.
        let error = soon("the error", client.request(&Held)).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "link_down"), "{error}");
        let error = one.cluster.broadcast(&news(2)).unwrap_err();
        assert!(matches!(error, BroadcastError::Left { local: 1, .. }), "{error}");
        far.open();
        near.open();
        soon("leaving", leaving).await;
        assert!(begun.elapsed() < Duration::from_secs(3), "not the whole drain: {:?}", begun.elapsed());
        assert_eq!(soon("the reply", sent).await.unwrap(), 5);
        assert_eq!(soon("the reply", taken).await.unwrap().unwrap(), 5);
        assert_eq!(received.next().await, 1);
    }

    async fn goodbye_is_the_last_sign_of_a_node() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let mut signs = plain.subscribe("desk.b.>").await.unwrap();
        // The engine has acted on the subscription.
        assert!(plain.request("desk.q.nobody", "".into()).await.is_err());
        let (cluster, beat) = (one.cluster.clone(), format!("desk.b.{}", one.cluster.node()));
        let flood = tokio::spawn(async move {
            while cluster.broadcast_async(&news(1)).await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        while soon("a broadcast", signs.next()).await.unwrap().subject.as_str() == beat {}
        let mut lines = None;
        let leave = one.cluster.leave();
        let read = async {
            loop {
                let sign = signs.next().await.unwrap();
                if sign.subject.as_str() != beat {
                    lines = lines.map(|lines| lines + sign.payload.iter().filter(|byte| **byte == b'\n').count() as u64);
                    continue;
                }
                let beat: Value = serde_json::from_slice(&sign.payload).unwrap();
                let sequence = beat["sequence"].as_u64().unwrap();
                assert_eq!(lines.unwrap_or(sequence), sequence, "a beat counts what came before it");
                if beat["goodbye"] == Value::Bool(true) {
                    break;
                }
                lines = Some(sequence);
            }
        };
        soon("the goodbye", async { tokio::join!(leave, read) }).await;
        soon("the end of the flood", flood).await.unwrap();
        let ghost = in_time(Duration::from_millis(300), signs.next()).await;
        assert!(ghost.is_none(), "{ghost:?}");
    }

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

    async fn broadcast_that_waits_for_room_ends_when_the_node_leaves() {
        let Some(nats) = Nats::start() else { return };
        let options = ClusterOptions::new(nats.url(), "desk").name("one").outgoing_len(1);
        let one = Node::built(options, |server| server.drain(Duration::from_millis(300))).await;
        nats.signal(rustix::process::Signal::STOP);
        let (cluster, mut sent) = (one.cluster.clone(), Events::new());
        let report = sent.reporter();
        let flood = tokio::spawn(async move {
            let large = News { number: 1, text: "x".repeat(500_000) };
            loop {
                match cluster.broadcast_async(&large).await {
                    Ok(_) => report(()),
                    Err(error) => return error,
                }
            }
        });
        // Until the engine takes no more.
        while in_time(Duration::from_millis(500), sent.next()).await.is_some() {}
        soon("leaving", one.cluster.leave()).await;
        let error = soon("the error", flood).await.unwrap();
        assert!(matches!(error, BroadcastError::Left { .. }), "{error}");
    }

    async fn node_that_has_left_has_no_events_and_forwards_nothing() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.responds_to_divide();
        one.cluster.leave().await;
        assert_eq!(soon("the end", one.cluster.events().next()).await, None);
        let error = one.cluster.forward::<Divide>().unwrap_err();
        assert_eq!(error.to_string(), "cannot forward `divide`: this node leaves the domain or has left it; join again");
        // It is not in the way of the same server's next membership.
        let options = ClusterOptions::new(nats.url(), "desk").name("one");
        let again = soon("joining", Cluster::join(&one.server, options)).await.unwrap();
        again.forward::<Divide>().unwrap();
        let client = one.client().await;
        soon("a reply", async { while client.request(&DIVIDE).await.ok() != Some(3) {} }).await;
    }

    async fn request_to_a_server_that_closes_has_an_outcome_at_once() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.responds_to_divide();
        one.cluster.forward::<Divide>().unwrap();
        one.knows(&other, &["divide"]).await;
        let (client, closing) = (one.client().await, Closing::begins(&other).await);
        for _ in 0..200 {
            match soon("the outcome", client.request(&DIVIDE)).await {
                Ok(quotient) => assert_eq!(quotient, 3),
                Err(RequestError::NoResponder { .. }) => {}
                Err(error) => assert!(is_closing(&error), "{error}"),
            }
        }
        closing.end().await;
    }

    async fn server_that_closes_is_handed_no_further_request() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let third = Node::join(&nats, "third").await;
        for node in [&other, &third] {
            node.responds_to_divide();
            one.knows(node, &["divide"]).await;
        }
        one.cluster.forward::<Divide>().unwrap();
        other.knows(&third, &["divide"]).await;
        let (client, closing) = (one.client().await, Closing::begins(&other).await);
        let offers_it = |node: &socket_ipc::cluster::Node| {
            node.id == *other.cluster.node() && node.offers.iter().any(|topic| topic == "divide")
        };
        soon("the end of the offers", async {
            while one.cluster.nodes().iter().any(offers_it) {
                match client.request(&DIVIDE).await {
                    Ok(quotient) => assert_eq!(quotient, 3),
                    // What the server had when it began to close.
                    Err(error) => assert!(is_closing(&error), "{error}"),
                }
            }
        })
        .await;
        assert!(one.cluster.nodes().iter().any(|node| node.id == *other.cluster.node()), "it still closes");
        for _ in 0..200 {
            assert_eq!(soon("the reply", client.request(&DIVIDE)).await.unwrap(), 3);
        }
        closing.end().await;
    }
}

fn is_closing<E>(error: &RequestError<E>) -> bool {
    matches!(error, RequestError::Rejected { reply, .. } if reply.code() == ErrorReply::CLOSING)
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
