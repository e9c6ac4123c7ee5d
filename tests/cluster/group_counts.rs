//! Messages to groups that do not arrive, and how many they are.

use std::collections::HashMap;

use socket_ipc::cluster::{ClusterEvent, ClusterOptions};
use support::nats::Nats;
use support::{Events, soon};

use crate::groups::member;
use crate::nodes::{Node, news};

/// Waits until a node knows that its subscriptions have their place in the order of what arrives: behind the beats of
/// another node.
async fn placed(node: &Node, other: &Node, sent: &mut u64) {
    for _ in 0..2 {
        other.cluster.broadcast(&news(1_000_000)).unwrap();
        *sent += 1;
        node.settled(other, *sent).await;
    }
}

/// Adds up the messages of each group that did not arrive, until `received` and they are all that were sent.
async fn count(
    node: &mut Node,
    received: &mut Events<u64>,
    groups: &[(&str, u64)],
) -> HashMap<String, (Vec<u64>, u64)> {
    let mut counts: HashMap<String, (Vec<u64>, u64)> = HashMap::new();
    soon("all of them", async {
        loop {
            for number in received.rest().into_iter().filter(|number| *number != 1_000_000) {
                let (group, _) = groups[usize::try_from(number).unwrap() % groups.len()];
                counts.entry(group.to_owned()).or_default().0.push(number);
            }
            let is_done = |(group, sent): &(&str, u64)| {
                counts.get(*group).is_some_and(|(arrived, lagged)| arrived.len() as u64 + lagged >= *sent)
            };
            if groups.iter().all(is_done) {
                return;
            }
            match support::in_time(std::time::Duration::from_millis(10), node.events.next()).await.flatten() {
                Some(ClusterEvent::GroupLagged { group, count, .. }) => {
                    counts.entry(group).or_default().1 += count
                }
                Some(ClusterEvent::EventsLagged(count)) => panic!("{count} events were not read"),
                _ => {}
            }
        }
    })
    .await;
    counts
}

support::both_flavours! {
    async fn messages_without_room_are_counted_exactly_for_each_group() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        let options = ClusterOptions::new(nats.url(), "desk").name("other").incoming_len(1000);
        let mut other = Node::with(options).await;
        other.knows(&one, &[]).await;
        let (_client, id, mut received) = member(&other, "a").await;
        other.server.group("b").join(id).unwrap();
        assert!(soon("the subscription", other.cluster.group("b").subscribed()).await);
        placed(&other, &one, &mut 0).await;
        // Among them the first ones: the count begins with them.
        for number in 0..4000 {
            let group = ["a", "b"][usize::try_from(number).unwrap() % 2];
            one.cluster.group(group).broadcast_async(&news(number)).await.unwrap();
        }
        let counts = count(&mut other, &mut received, &[("a", 2000), ("b", 2000)]).await;
        for (group, (arrived, lagged)) in &counts {
            assert_eq!(arrived.len() as u64 + lagged, 2000, "{group}");
            assert!(arrived.is_sorted_by(|one, next| one < next), "{group}: in order, and none twice");
        }
        let lagged: u64 = counts.values().map(|(_, lagged)| lagged).sum();
        assert!(lagged > 0, "there was room for all");
        assert_eq!(other.lagged(&one), lagged);
    }

    async fn messages_through_a_restart_arrive_in_order_or_are_counted() {
        let Some(mut nats) = Nats::start() else { return };
        let (mut one, mut other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.knows(&one, &[]).await;
        let (_client, _, mut received) = member(&other, "room").await;
        placed(&other, &one, &mut 0).await;
        let (mut sent, room) = (0, one.cluster.group("room"));
        for round in 0..2 {
            for number in 0..5000_u64 {
                if number == 2500 && round == 0 {
                    nats.kill();
                }
                if room.broadcast_async(&news(sent)).await.is_ok() {
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
                assert!(soon("the subscription", other.cluster.group("room").subscribed()).await);
            }
        }
        let counts = count(&mut other, &mut received, &[("room", sent)]).await;
        let (arrived, lagged) = &counts["room"];
        assert_eq!(arrived.len() as u64 + lagged, sent);
        assert!(arrived.is_sorted_by(|one, next| one < next), "in order, and none twice");
    }

    async fn goodbye_counts_what_did_not_arrive_of_groups() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        let options = ClusterOptions::new(nats.url(), "desk").name("other").incoming_len(1000);
        let mut other = Node::with(options).await;
        other.knows(&one, &[]).await;
        let (_client, _, mut received) = member(&other, "a").await;
        placed(&other, &one, &mut 0).await;
        for number in 0..2000 {
            one.cluster.group("a").broadcast_async(&news(number)).await.unwrap();
            one.cluster.group("nobody's").broadcast_async(&news(number)).await.unwrap();
        }
        soon("leaving", one.cluster.leave()).await;
        let counts = count(&mut other, &mut received, &[("a", 2000)]).await;
        assert_eq!(counts["a"].0.len() as u64 + counts["a"].1, 2000);
        assert!(!counts.contains_key("nobody's"));
        let node = one.cluster.node().clone();
        // It is gone, and what comes late does not make it come back.
        soon("the end of the node", async {
            while other.cluster.nodes().iter().any(|other| other.id == node) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn loss_in_a_group_that_falls_silent_is_told_later() {
        let Some(mut nats) = Nats::start() else { return };
        let (mut one, mut other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.knows(&one, &[]).await;
        let (_client, _, mut received) = member(&other, "room").await;
        placed(&other, &one, &mut 0).await;
        one.cluster.group("room").broadcast(&news(0)).unwrap();
        assert_eq!(received.next().await, 1_000_000);
        assert_eq!(received.next().await, 1_000_000);
        assert_eq!(received.next().await, 0);
        // What is lost here is all that is ever sent again: no later message tells of it.
        nats.signal(rustix::process::Signal::STOP);
        let sent = 1000;
        for number in 1..=sent {
            one.cluster.group("room").broadcast(&news(number)).unwrap();
        }
        nats.kill();
        one.event(|event| *event == ClusterEvent::LinkDown).await;
        nats.restart();
        one.event(|event| *event == ClusterEvent::LinkUp).await;
        let counts = count(&mut other, &mut received, &[("room", sent)]).await;
        assert_eq!(counts["room"].0.len() as u64 + counts["room"].1, sent);
    }
}
