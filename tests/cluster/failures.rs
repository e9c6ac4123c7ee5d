//! NATS servers that are killed, stopped, replaced, or take less than a message.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket_ipc::RequestError;
use socket_ipc::cluster::{BroadcastError, ClusterError, ClusterEvent, ClusterOptions};
use support::nats::Nats;
use support::{Events, soon};

use crate::nodes::{Divide, News, Node, Wait, news};

support::both_flavours! {
    async fn link_down_is_told_at_once_and_comes_back_by_itself() {
        let Some(mut nats) = Nats::start() else { return };
        let (mut one, mut other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let mut waits = other.waits();
        one.cluster.forward::<Wait>().unwrap();
        one.knows(&other, &["wait"]).await;
        other.knows(&one, &[]).await;
        let (near, far) = (one.client().await, other.client().await);
        let (mut received_near, mut received_far) = (Events::new(), Events::new());
        for (client, received) in [(&near, &received_near), (&far, &received_far)] {
            let report = received.reporter();
            client.on::<News>(move |news| report(news.number));
        }
        let request = near.request(&Wait);
        assert_eq!(waits.next().await, "began");
        let (cluster, to) = (one.cluster.clone(), other.cluster.client_ref(other.server.clients()[0]));
        far.respond_async::<crate::nodes::Who>(|_| std::future::pending::<String>()).unwrap();
        let direct = tokio::spawn(async move { cluster.request(&crate::nodes::Who, &to).await });
        one.cluster.broadcast(&news(0)).unwrap();
        assert_eq!((received_near.next().await, received_far.next().await), (0, 0));

        let killed = Instant::now();
        nats.kill();
        let error = soon("the error", request).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "link_down"), "{error}");
        let error = soon("the error", direct).await.unwrap().unwrap_err();
        assert!(matches!(error, ClusterError::LinkDown { .. }), "{error}");
        assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
        one.event(|event| *event == ClusterEvent::LinkDown).await;
        let error = one.cluster.broadcast(&news(1)).unwrap_err();
        assert!(matches!(error, BroadcastError::LinkDown { local: 1, .. }), "{error}");
        assert_eq!(received_near.next().await, 1);
        assert!(!one.cluster.is_linked());
        let error = soon("the error", near.request(&Wait)).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "link_down"), "{error}");

        nats.restart();
        one.event(|event| *event == ClusterEvent::LinkUp).await;
        other.event(|event| *event == ClusterEvent::LinkUp).await;
        // Until the other node has subscribed again, broadcasts are lost, and counted.
        soon("a broadcast that arrives", async {
            for number in 2.. {
                one.cluster.broadcast(&news(number)).unwrap();
                if support::in_time(Duration::from_millis(50), received_far.next()).await.is_some() {
                    break;
                }
            }
        })
        .await;
        let _request = near.request(&Wait);
        soon("a responder", async { while waits.next().await != "began" {} }).await;
    }

    async fn broadcasts_through_a_restart_arrive_in_order_or_are_counted() {
        let Some(mut nats) = Nats::start() else { return };
        let (mut one, mut other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.knows(&one, &[]).await;
        let (client, mut received) = (other.client().await, Events::new());
        let report = received.reporter();
        client.on::<News>(move |news| report(news.number));
        // The count begins with a beat.
        one.cluster.broadcast(&news(0)).unwrap();
        received.next().await;
        other.settled(&one, 1).await;
        let (mut sent, mut numbers) = (0_u64, Vec::new());
        for round in 0..2 {
            for number in 0..5000_u64 {
                if number == 2500 && round == 0 {
                    nats.kill();
                }
                if one.cluster.broadcast_async(&news(sent + 1)).await.is_ok() {
                    sent += 1;
                }
                if number % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            if round == 0 {
                one.event(|event| *event == ClusterEvent::LinkDown).await;
                nats.restart();
                one.event(|event| *event == ClusterEvent::LinkUp).await;
                other.event(|event| *event == ClusterEvent::LinkUp).await;
            }
        }
        let lagged = soon("all of them", async {
            loop {
                numbers.append(&mut received.rest());
                let lagged = other.lagged(&one);
                if numbers.len() as u64 + lagged >= sent {
                    return lagged;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        assert_eq!(numbers.len() as u64 + lagged, sent);
        assert!(numbers.is_sorted_by(|one, other| one < other), "in order, and none twice");
    }

    async fn second_server_takes_over() {
        let route = |routes: &str| format!("cluster {{ name: c, listen: \"127.0.0.1:-1\", routes: [{routes}] }}");
        let Some(mut first) = Nats::with(&route("")) else { return };
        let second = Nats::with(&route(&format!("\"nats://127.0.0.1:{}\"", first.route_port()))).unwrap();
        second.line_with("Route connection created");
        let options = ClusterOptions::new(first.url(), "desk").url(second.url()).name("one");
        let mut one = Node::with(options).await;
        let other = Node::join(&second, "other").await;
        other.responds_to_divide();
        one.cluster.forward::<Divide>().unwrap();
        one.knows(&other, &["divide"]).await;
        first.kill();
        // It was connected to the first of its URLs.
        one.event(|event| *event == ClusterEvent::LinkDown).await;
        one.event(|event| *event == ClusterEvent::LinkUp).await;
        let client = one.client().await;
        let divide = Divide { dividend: 8, divisor: 2 };
        soon("a reply over the second server", async {
            while client.request(&divide).await.ok() != Some(4) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(one.cluster.is_linked());
    }

    async fn too_large_for_nats_is_an_error_before_anything_is_sent() {
        let Some(nats) = Nats::with("max_payload: 4096") else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.responds_to_divide();
        one.cluster.forward::<(Divide, Text)>().unwrap();
        other.server.respond::<Text>(|Text(text), _| text.repeat(100)).unwrap();
        other.cluster.offer::<Text>().unwrap();
        one.knows(&other, &["divide", "text"]).await;
        let (client, mut received) = (one.client().await, Events::new());
        let report = received.reporter();
        client.on::<News>(move |news| report(news.number));
        let large = News { number: 1, text: "x".repeat(5000) };
        let error = one.cluster.broadcast(&large).unwrap_err();
        assert!(matches!(error, BroadcastError::TooLarge { len: 5063, limit: 4096, .. }), "{error:?}");
        let error = one.cluster.broadcast_async(&large).await.unwrap_err();
        assert!(matches!(error, BroadcastError::TooLarge { .. }));
        let to = other.cluster.client_ref(other.server.clients().first().copied().unwrap_or(one.server.clients()[0]));
        let error = one.cluster.send(&large, &to).await.unwrap_err();
        assert!(matches!(error, ClusterError::TooLarge { limit: 3840, .. }), "{error}");
        one.cluster.broadcast(&news(2)).unwrap();
        assert_eq!(received.next().await, 2, "the first was not sent to own clients either");
        // In both directions of a request.
        let error = client.request(&Text("x".repeat(5000))).await.unwrap_err();
        assert!(error.to_string().contains("5002 bytes are over the 3840 that"), "{error}");
        let error = client.request(&Text("x".repeat(50))).await.unwrap_err();
        assert!(error.to_string().contains("a reply of 5002 bytes"), "{error}");
        assert_eq!(client.request(&Text("x".repeat(5))).await.unwrap().len(), 500);
    }

    async fn engine_that_stands_still_makes_nobody_wait() {
        let Some(nats) = Nats::start() else { return };
        let options = |name| ClusterOptions::new(nats.url(), "desk").name(name).silence(Duration::from_millis(1500));
        let (mut one, other) = (Node::with(options("one")).await, Node::with(options("other")).await);
        let mut waits = other.waits();
        one.cluster.forward::<Wait>().unwrap();
        one.knows(&other, &["wait"]).await;
        let client = one.client().await;
        let request = client.request(&Wait);
        assert_eq!(waits.next().await, "began");
        let stopped = Instant::now();
        nats.signal(Signal::STOP);
        let error = soon("the error", request).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "lost"), "{error}");
        let node = other.cluster.node().clone();
        one.event(|event| *event == ClusterEvent::NodeDown(node.clone())).await;
        assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
        assert_eq!(one.cluster.broadcast(&news(1)).unwrap(), 1);
        nats.signal(Signal::CONT);
        one.event(|event| *event == ClusterEvent::NodeUp(node.clone())).await;
        assert_eq!(waits.next().await, "dropped");
        let _request = client.request(&Wait);
        assert_eq!(waits.next().await, "began");
    }
}

/// A request that is replied to with more text.
#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "text", reply = String)]
struct Text(String);
