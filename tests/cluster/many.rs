//! Fifty nodes in one domain.

use futures::future::join_all;
use socket_ipc::cluster::ClusterEvent;
use support::nats::Nats;
use support::soon;

use crate::groups::{client, member};
use crate::nodes::{Divide, Node, news};

const NODES: usize = 50;

support::both_flavours! {
    async fn fifty_nodes_know_each_other_and_reach_each_others_clients() {
        let Some(nats) = Nats::start() else { return };
        let names: Vec<_> = (0..NODES).map(|number| format!("host-{number}")).collect();
        let mut nodes = join_all(names.iter().map(|name| Node::join(&nats, name))).await;
        soon("all nodes", async {
            while nodes.iter().any(|node| node.cluster.nodes().len() < NODES - 1) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut clients = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            // Every tenth has a member of the room.
            clients.push(if number % 10 == 9 { member(node, "room").await } else { client(node).await });
        }
        assert_eq!(nodes[0].cluster.group("room").broadcast(&news(1)).unwrap(), 0);
        for (_, _, received) in clients.iter_mut().skip(9).step_by(10) {
            assert_eq!(received.next().await, 1);
        }
        assert_eq!(nodes[0].cluster.broadcast(&news(2)).unwrap(), 1);
        for (_, _, received) in &mut clients {
            assert_eq!(received.next().await, 2);
        }
        nodes[7].responds_to_divide();
        nodes[33].cluster.forward::<Divide>().unwrap();
        nodes[33].knows(&nodes[7], &["divide"]).await;
        let divide = Divide { dividend: 42, divisor: 6 };
        assert_eq!(soon("the reply", clients[33].0.request(&divide)).await.unwrap(), 7);

        let last = nodes.pop().unwrap();
        let gone = last.cluster.node().clone();
        soon("leaving", last.cluster.leave()).await;
        for node in &mut nodes {
            node.event(|event| *event == ClusterEvent::NodeDown(gone.clone())).await;
            assert_eq!(node.cluster.nodes().len(), NODES - 2);
        }
    }
}
