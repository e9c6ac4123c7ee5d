//! Messages to groups whose members are on several nodes.

use async_nats::StatusCode;
use futures::StreamExt as _;
use socket_ipc::cluster::{BroadcastError, ClusterEvent, ClusterOptions};
use socket_ipc::{Client, ClientId};
use support::nats::Nats;
use support::{Events, soon};

use crate::nodes::{News, Node, news};

/// A client of a node, and the numbers that it receives.
pub async fn client(node: &Node) -> (Client, ClientId, Events<u64>) {
    let (client, received) = (node.client().await, Events::new());
    let report = received.reporter();
    client.on::<News>(move |news| report(news.number));
    let newest = node.server.clients().into_iter().max().unwrap();
    (client, newest, received)
}

/// A client that is a member of a group, whose node is subscribed to it.
pub async fn member(node: &Node, group: &str) -> (Client, ClientId, Events<u64>) {
    let (client, id, received) = client(node).await;
    assert!(node.server.group(group).join(id).unwrap());
    assert!(soon("the subscription", node.cluster.group(group).subscribed()).await);
    (client, id, received)
}

/// Whether any node is subscribed to a group, as the NATS server says.
async fn is_subscribed_to(plain: &async_nats::Client, group: &str) -> bool {
    let inbox = plain.new_inbox();
    let mut replies = plain.subscribe(inbox.clone()).await.unwrap();
    let subject = format!("desk.g.plain.0123456789abcdef.{group}.%");
    plain.publish_with_reply(subject, inbox.clone(), "{}".into()).await.unwrap();
    plain.publish(inbox, "behind it".into()).await.unwrap();
    let first = soon("a reply", replies.next()).await.unwrap();
    first.status != Some(StatusCode::NO_RESPONDERS)
}

support::both_flavours! {
    async fn message_reaches_the_members_on_all_nodes_in_order_and_nobody_else() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let (_near, _, mut near) = member(&one, "room 5").await;
        let (_far, far_id, mut far) = member(&other, "room 5").await;
        let (_far_too, _, mut far_too) = member(&other, "room 5").await;
        let (_stranger, _, mut stranger) = member(&other, "room 6").await;
        let (_alone, alone_id, mut alone) = client(&other).await;
        let room = one.cluster.group("room 5");
        for number in 0..1000 {
            assert_eq!(room.broadcast(&news(number)).unwrap(), 1);
        }
        for received in [&mut near, &mut far, &mut far_too] {
            for number in 0..1000 {
                assert_eq!(received.next().await, number);
            }
        }
        // The other forms.
        assert_eq!(room.broadcast_async(&news(1000)).await.unwrap(), 1);
        let near_id = one.server.clients()[0];
        assert_eq!(room.broadcast_except(&news(1001), near_id).unwrap(), 0);
        assert_eq!(room.broadcast_raw("news of/the day.*", &news(1002)).unwrap(), 1);
        assert_eq!(room.broadcast_raw_async("news of/the day.*", &news(1003)).await.unwrap(), 1);
        for number in [1000, 1002, 1003] {
            assert_eq!(near.next().await, number);
        }
        for number in 1000..1004 {
            assert_eq!((far.next().await, far_too.next().await), (number, number));
        }
        // One that leaves gets no more, one that joins the next.
        assert!(other.server.group("room 5").leave(far_id));
        assert!(other.server.group("room 5").join(alone_id).unwrap());
        room.broadcast(&news(1004)).unwrap();
        assert_eq!((far_too.next().await, alone.next().await), (1004, 1004));
        one.cluster.broadcast(&news(2000)).unwrap();
        for received in [&mut stranger, &mut far, &mut far_too, &mut alone] {
            assert_eq!(received.next().await, 2000);
        }
        assert_eq!((other.lagged(&one), one.lagged(&other)), (0, 0));
    }

    async fn node_is_subscribed_to_a_group_while_it_has_members_there() {
        let Some(nats) = Nats::start() else { return };
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let place = support::Place::new();
        let server = socket_ipc::Server::new(place.socket());
        server.listen().await.unwrap();
        // A group that has a member before the server joins the domain.
        let early = Client::new(place.socket());
        soon("a connection", early.connect()).await.unwrap();
        soon("the client", async { while server.clients().is_empty() { tokio::task::yield_now().await } }).await;
        server.group("early").join(server.clients()[0]).unwrap();
        let options = ClusterOptions::new(nats.url(), "desk").name("one");
        let cluster = soon("joining", socket_ipc::cluster::Cluster::join(&server, options)).await.unwrap();
        let events = cluster.events();
        let one = Node { server, cluster, events, place };
        assert!(soon("the subscription", one.cluster.group("early").subscribed()).await);
        assert!(is_subscribed_to(&plain, "early").await);

        assert!(!is_subscribed_to(&plain, "room").await);
        assert!(!one.cluster.group("room").subscribed().await);
        let (first, first_id, _received) = member(&one, "room").await;
        assert!(is_subscribed_to(&plain, "room").await);
        let (second, _, _received_too) = member(&one, "room").await;
        let gone = async || {
            soon("the end of the subscription", async {
                while is_subscribed_to(&plain, "room").await {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        };
        // The last of them goes with its connection.
        assert!(one.server.group("room").leave(first_id));
        assert!(soon("the subscription", one.cluster.group("room").subscribed()).await);
        assert!(is_subscribed_to(&plain, "room").await);
        second.close().await;
        gone().await;
        assert!(!one.cluster.group("room").subscribed().await);
        // And by leaving.
        one.server.group("room").join(first_id).unwrap();
        assert!(soon("the subscription", one.cluster.group("room").subscribed()).await);
        assert!(is_subscribed_to(&plain, "room").await);
        one.server.group("room").leave(first_id);
        gone().await;
        assert!(is_subscribed_to(&plain, "early").await);
        drop((first, early));
        soon("leaving", one.cluster.leave()).await;
        assert!(!one.cluster.group("early").subscribed().await);
    }

    async fn groups_that_come_and_go_leave_the_last_state_and_no_task() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let (_client, id, mut received) = member(&other, "stays").await;
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        for round in 0..200 {
            for group in 0..20 {
                let group = other.server.group(format!("room {group}"));
                group.join(id).unwrap();
                if round % 3 > 0 {
                    tokio::task::yield_now().await;
                }
                group.leave(id);
            }
        }
        let last = other.server.group("room 7");
        last.join(id).unwrap();
        assert!(soon("the subscription", other.cluster.group("room 7").subscribed()).await);
        for (group, number) in [("room 6", 6), ("room 7", 7), ("stays", 9)] {
            one.cluster.group(group).broadcast(&news(number)).unwrap();
        }
        let mut both = [received.next().await, received.next().await];
        both.sort_unstable();
        assert_eq!(both, [7, 9]);
        last.leave(id);
        soon("the end of the tasks", async {
            while tasks() > before {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn group_is_subscribed_to_again_after_the_link_was_down() {
        let Some(mut nats) = Nats::start() else { return };
        let (mut one, mut other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let (_near, _, mut near) = member(&one, "room").await;
        let (_far, far_id, mut far) = member(&other, "room").await;
        nats.kill();
        one.event(|event| *event == ClusterEvent::LinkDown).await;
        other.event(|event| *event == ClusterEvent::LinkDown).await;
        let error = one.cluster.group("room").broadcast(&news(1)).unwrap_err();
        assert!(matches!(&error, BroadcastError::LinkDown { topic, local: 1 } if topic == "news of/the day.*"), "{error}");
        let error = one.cluster.group("nobody's").broadcast_async(&news(1)).await.unwrap_err();
        assert!(matches!(error, BroadcastError::LinkDown { local: 0, .. }), "{error}");
        assert_eq!(near.next().await, 1);
        // What changes meanwhile takes effect behind it.
        other.server.group("later").join(far_id).unwrap();
        let (room, later) = (other.cluster.group("room"), other.cluster.group("later"));
        let mut waiting = std::pin::pin!(async { (room.subscribed().await, later.subscribed().await) });
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(!other.cluster.group("nobody's").subscribed().await);
        nats.restart();
        one.event(|event| *event == ClusterEvent::LinkUp).await;
        assert_eq!(soon("the subscriptions", waiting).await, (true, true));
        one.cluster.group("room").broadcast(&news(2)).unwrap();
        assert_eq!((near.next().await, far.next().await), (2, 2));
        one.cluster.group("later").broadcast(&news(3)).unwrap();
        assert_eq!(far.next().await, 3);
    }

    async fn subscription_needs_no_place_among_the_requests() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        let other = Node::with(ClusterOptions::new(nats.url(), "desk").name("other").max_requests(0)).await;
        let (_client, _, mut received) = member(&other, "room").await;
        one.cluster.group("room").broadcast(&news(1)).unwrap();
        assert_eq!(received.next().await, 1);
    }

    async fn subscription_is_confirmed_beside_a_program_that_takes_everything() {
        let Some(nats) = Nats::start() else { return };
        let options = |name| ClusterOptions::new(nats.url(), "desk").name(name).silence(std::time::Duration::ZERO);
        let (one, other) = (Node::with(options("one")).await, Node::with(options("other")).await);
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let _everything = plain.subscribe("desk.>").await.unwrap();
        plain.flush().await.unwrap();
        let (_client, _, mut received) = member(&other, "room").await;
        one.cluster.group("room").broadcast(&news(1)).unwrap();
        assert_eq!(received.next().await, 1);
    }

    async fn idle_node_publishes_nothing_but_its_beats() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let (_client, _, _received) = member(&one, "room").await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let mut everything = plain.subscribe("desk.>").await.unwrap();
        let beats: Vec<_> = [&one, &other].map(|node| format!("desk.b.{}", node.cluster.node())).into();
        for _ in 0..6 {
            let message = soon("a beat", everything.next()).await.unwrap();
            assert!(beats.contains(&message.subject.to_string()), "{}", message.subject);
        }
    }

    async fn every_name_is_that_of_one_group() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let long = "ü".repeat(128);
        let names = [
            "room", "room.5", "room 5", "room.*", "room.>", "*", ">", "", "%", "%2A", ".", "..", "räume/5", "\u{1F3E0}", "\n", &long,
        ];
        let mut members = Vec::new();
        for name in names {
            members.push(member(&other, name).await);
        }
        for (name, number) in names.into_iter().zip(1..) {
            assert_eq!(one.cluster.group(name).broadcast(&news(number)).unwrap(), 0);
        }
        // Over the limit: nobody is its member, and nothing is sent.
        let longer = one.cluster.group(format!("{long}x"));
        assert_eq!(longer.name(), long);
        assert_eq!(longer.broadcast(&news(99)).unwrap(), 0);
        assert_eq!(longer.broadcast_async(&news(99)).await.unwrap(), 0);
        assert!(!longer.subscribed().await);
        one.cluster.broadcast(&news(100)).unwrap();
        for ((_, _, received), number) in members.iter_mut().zip(1..) {
            let mut both = [received.next().await, received.next().await];
            both.sort_unstable();
            assert_eq!(both, [number, 100], "its own group's, and that of all");
        }
    }

    async fn message_to_a_group_fails_as_a_broadcast_does() {
        let Some(nats) = Nats::with("max_payload: 4096") else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let (_near, _, mut near) = member(&one, "room").await;
        let (_far, _, mut far) = member(&other, "room").await;
        let room = one.cluster.group("room");
        let large = News { number: 1, text: "x".repeat(5000) };
        let error = room.broadcast(&large).unwrap_err();
        assert!(matches!(error, BroadcastError::TooLarge { len: 5063, limit: 4096, .. }), "{error:?}");
        assert!(matches!(room.broadcast_async(&large).await.unwrap_err(), BroadcastError::TooLarge { .. }));
        room.broadcast(&news(2)).unwrap();
        assert_eq!((near.next().await, far.next().await), (2, 2), "the first was sent to nobody");
        soon("leaving", one.cluster.leave()).await;
        assert!(matches!(room.broadcast(&news(3)).unwrap_err(), BroadcastError::Left { local: 1, .. }));
        assert_eq!(near.next().await, 3);
        soon("closing", one.server.close()).await;
        assert!(matches!(room.broadcast(&news(4)).unwrap_err(), BroadcastError::Local(_)));
    }
}
