//! What works when all is well.

use socket_ipc::cluster::{ClusterError, ClusterEvent, ClusterOptions};
use socket_ipc::{Client, RequestError, Wire};
use support::nats::Nats;
use support::{Events, soon};

use crate::nodes::{Divide, DivideError, News, Node, Who, news};

support::both_flavours! {
    async fn broadcast_reaches_clients_of_all_nodes_in_order() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        one.knows(&other, &[]).await;
        other.knows(&one, &[]).await;
        let mut received = Vec::new();
        let mut clients = Vec::new();
        for node in [&one, &other] {
            let (client, events) = (node.client().await, Events::new());
            let report = events.reporter();
            client.on::<News>(move |news| report(news.number));
            received.push(events);
            clients.push(client);
        }
        const COUNT: u64 = 2000;
        for number in 0..COUNT {
            assert_eq!(one.cluster.broadcast_async(&news(number)).await.unwrap(), 1);
        }
        for received in &mut received {
            assert_eq!(received.take(COUNT as usize).await, (0..COUNT).collect::<Vec<_>>());
        }
        other.cluster.broadcast(&news(COUNT)).unwrap();
        for received in &mut received {
            assert_eq!(received.next().await, COUNT);
        }
    }

    async fn broadcast_reaches_clients_of_all_nodes_in_each_of_its_forms() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.knows(&one, &[]).await;
        let (left_out, near, far) = (one.client().await, one.client().await, other.client().await);
        let mut received = [&left_out, &near, &far].map(|client| {
            let events = Events::new();
            let report = events.reporter();
            client.on::<News>(move |news| report(news.number));
            events
        });
        let first = *one.server.clients().iter().min().unwrap();
        assert_eq!(one.cluster.broadcast_except(&news(1), first).unwrap(), 1);
        assert_eq!(one.cluster.broadcast_raw("news of/the day.*", &news(2)).unwrap(), 2);
        assert_eq!(one.cluster.broadcast_raw_async("news of/the day.*", &news(3)).await.unwrap(), 2);
        assert_eq!(one.cluster.broadcast_async(&news(4)).await.unwrap(), 2);
        assert_eq!(received[0].take(3).await, [2, 3, 4]);
        for received in &mut received[1..] {
            assert_eq!(received.take(4).await, [1, 2, 3, 4]);
        }
    }

    async fn nodes_of_different_wires_understand_each_other() {
        let Some(nats) = Nats::start() else { return };
        let options = ClusterOptions::new(nats.url(), "desk").name("other");
        let other = Node::built(options, |server| server.wire(Wire::NODE_0_4)).await;
        let one = Node::join(&nats, "one").await;
        other.responds_to_divide();
        one.cluster.forward::<Divide>().unwrap();
        one.knows(&other, &["divide"]).await;
        other.knows(&one, &[]).await;
        let (near, far) = (one.client().await, Client::builder(other.place.socket()).wire(Wire::NODE_0_4).build());
        soon("a connection", far.connect()).await.unwrap();
        soon("a client of the other", async {
            while other.server.clients().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for (from, to) in [(&one, &far), (&other, &near)] {
            let mut received = Events::new();
            let report = received.reporter();
            to.on::<News>(report);
            from.cluster.broadcast(&news(1)).unwrap();
            assert_eq!(received.next().await, news(1));
        }
        assert_eq!(soon("the reply", near.request(&Divide { dividend: 6, divisor: 2 })).await.unwrap(), 3);
        far.respond::<Who>(|_| "one of the Node library".to_owned()).unwrap();
        let to = other.cluster.client_ref(other.server.clients()[0]);
        assert_eq!(soon("the reply", one.cluster.request(&Who, &to)).await.unwrap(), "one of the Node library");
    }

    async fn request_of_a_client_is_replied_to_by_another_node() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.responds_to_divide();
        one.cluster.forward::<Divide>().unwrap();
        one.knows(&other, &["divide"]).await;
        let client = one.client().await;
        let divide = |dividend, divisor| client.request(&Divide { dividend, divisor });
        assert_eq!(soon("the reply", divide(42, 6)).await.unwrap(), 7);
        let error = soon("the error", divide(42, 0)).await.unwrap_err();
        let by_zero = DivideError::ByZero { dividend: 42 };
        assert!(matches!(error, RequestError::Failed { error, .. } if error == by_zero));
    }

    async fn client_of_another_node_is_sent_to_and_replies() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let (client, mut received) = (other.client().await, Events::new());
        let report = received.reporter();
        client.on::<News>(move |news| report(news.number));
        client.respond::<Who>(|_| "the client of the other".to_owned()).unwrap();
        let to = other.cluster.client_ref(other.server.clients()[0]);
        soon("the acknowledgement", one.cluster.send(&news(5), &to)).await.unwrap();
        assert_eq!(received.next().await, 5);
        let reply = soon("the reply", one.cluster.request(&Who, &to)).await.unwrap();
        assert_eq!(reply, "the client of the other");
        let gone = socket_ipc::cluster::ClientRef { client: 99, ..to };
        let error = one.cluster.send(&news(6), &gone).await.unwrap_err();
        assert!(matches!(error, ClusterError::UnknownClient { client, .. } if client == gone));
        let nowhere = socket_ipc::cluster::ClientRef { node: "x.0000000000000000".parse().unwrap(), client: 1 };
        let error = one.cluster.send(&news(6), &nowhere).await.unwrap_err();
        assert!(matches!(error, ClusterError::UnknownNode { .. }), "{error}");
    }

    async fn node_that_leaves_says_goodbye() {
        let Some(nats) = Nats::start() else { return };
        let (mut one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let id = other.cluster.node().clone();
        one.event(|event| *event == ClusterEvent::NodeUp(id.clone())).await;
        soon("leaving", other.cluster.leave()).await;
        one.event(|event| *event == ClusterEvent::NodeDown(id.clone())).await;
        assert!(one.cluster.nodes().is_empty());
    }
}
