//! Forged messages and counts of groups: from an account that may publish them, and from one that may not.

use socket_ipc::cluster::{ClusterEvent, ClusterOptions};
use support::nats::Nats;
use support::soon;

use crate::domain::{Domain, NEWS, line};
use crate::groups::member;
use crate::nodes::{Node, news};

support::both_flavours! {
    async fn message_to_a_group_in_the_name_of_another_node_needs_its_permission() {
        let Some(domain) = Domain::new().await else { return };
        let (_client, _, mut received) = member(&domain.one, "room 5").await;
        let subject = format!("desk.g.{}.room%205.{NEWS}", domain.other.cluster.node());
        for account in [&domain.outsider, &domain.stranger] {
            account.publish(subject.clone(), line(1).into()).await.unwrap();
            domain.is_done(account).await;
            domain.nats.line_with("Publish Violation");
        }
        domain.other.cluster.group("room 5").broadcast(&news(2)).unwrap();
        assert_eq!(received.next().await, 2);
        domain.root.publish(subject, line(3).into()).await.unwrap();
        assert_eq!(received.next().await, 3);
        // One too many arrived: that is no reason to count one that is missing.
        domain.one.settled(&domain.other, 0).await;
        assert_eq!(domain.one.lagged(&domain.other), 0);
    }

    async fn message_to_a_group_in_the_name_of_the_receiver_is_refused() {
        let Some(mut domain) = Domain::new().await else { return };
        let (_client, _, mut received) = member(&domain.one, "room").await;
        let subject = format!("desk.g.{}.room.{NEWS}", domain.one.cluster.node());
        domain.root.publish(subject.clone(), line(1).into()).await.unwrap();
        domain.one.event(|event| matches!(event, ClusterEvent::Refused { subject: of, .. } if *of == subject)).await;
        domain.other.cluster.group("room").broadcast(&news(2)).unwrap();
        assert_eq!(received.next().await, 2);
    }

    async fn count_of_another_node_needs_its_permission() {
        let Some(mut domain) = Domain::new().await else { return };
        let (_client, _, mut received) = member(&domain.one, "room").await;
        let node = domain.other.cluster.node().clone();
        let (subject, ahead) = (format!("desk.g.{node}.room.%"), |count: u64| format!(r#"{{"since":1,"epoch":1,"count":{count}}}"#));
        domain.outsider.publish(subject.clone(), ahead(1000).into()).await.unwrap();
        domain.is_done(&domain.outsider).await;
        domain.nats.line_with("Publish Violation");
        domain.root.publish(subject.clone(), ahead(1000).into()).await.unwrap();
        domain.root.publish(subject.clone(), ahead(1_000_000).into()).await.unwrap();
        domain.root.publish(subject, ahead(u64::MAX).into()).await.unwrap();
        for count in [999_000, u64::MAX - 1_000_000] {
            let lagged = domain.one.event(|event| matches!(event, ClusterEvent::GroupLagged { .. })).await;
            assert_eq!(lagged, ClusterEvent::GroupLagged { node: node.clone(), group: "room".to_owned(), count });
        }
        domain.other.cluster.group("room").broadcast(&news(2)).unwrap();
        assert_eq!(received.next().await, 2);
    }

    async fn group_messages_of_made_up_nodes_take_no_room_and_harm_nobody() {
        let Some(mut domain) = Domain::new().await else { return };
        let (_client, _, mut received) = member(&domain.one, "room").await;
        for number in 0..5000_u64 {
            let node = format!("desk.g.outsider.{number:016x}.room");
            domain.outsider.publish(format!("{node}.%"), r#"{"since":1,"epoch":1,"count":1}"#.into()).await.unwrap();
            domain.outsider.publish(format!("{node}.{NEWS}"), line(number).into()).await.unwrap();
        }
        domain.is_done(&domain.outsider).await;
        for number in 0..5000 {
            assert_eq!(received.next().await, number);
        }
        // They gave no sign of life: only beats do.
        let nodes = domain.one.cluster.nodes();
        assert_eq!(nodes.iter().map(|node| node.id.clone()).collect::<Vec<_>>(), [domain.other.cluster.node().clone()]);
        domain.nothing_was_received().await;
    }

    async fn group_subscription_without_permission_is_an_event_and_no_wait() {
        let config = r#"authorization { users = [ { user: one, password: secret, permissions: {
            publish: "desk.>", subscribe: { allow: "desk.>", deny: "desk.g.*.*.secret.>" } } } ] }"#;
        let Some(nats) = Nats::with(config) else { return };
        let options = ClusterOptions::new(nats.url(), "desk").name("one").user_and_password("one", "secret");
        let mut one = Node::with(options).await;
        let (_client, id, _received) = member(&one, "room").await;
        one.server.group("secret").join(id).unwrap();
        assert!(!soon("the error of NATS", one.cluster.group("secret").subscribed()).await);
        let is_it = |event: &ClusterEvent| {
            matches!(event, ClusterEvent::Error(error) if error.contains("desk.g.*.*.secret.>"))
        };
        one.event(is_it).await;
        // The others are as they were, and it is tried anew with the next first member.
        assert!(one.cluster.group("room").subscribed().await);
        one.server.group("secret").leave(id);
        one.server.group("another").join(id).unwrap();
        assert!(soon("the subscription", one.cluster.group("another").subscribed()).await);
        one.server.group("secret").join(id).unwrap();
        assert!(!soon("the error of NATS", one.cluster.group("secret").subscribed()).await);
    }

    async fn garbage_for_a_group_harms_nobody() {
        let Some(mut domain) = Domain::new().await else { return };
        let (_client, _, mut received) = member(&domain.one, "room").await;
        let (one, other) = (domain.one.cluster.node().clone(), domain.other.cluster.node().clone());
        let subjects = [
            format!("desk.g.{other}.room.%"),
            format!("desk.g.{other}.room.{NEWS}"),
            format!("desk.g.{other}.room.%2"),
            format!("desk.g.{other}.room.a.b.c"),
            format!("desk.g.{one}.room.%"),
            "desk.g.x.y.room.a".to_owned(),
            "desk.g.%zz.0123456789abcdef.room.a".to_owned(),
            "desk.g.*.0123456789abcdef.room.a".to_owned(),
        ];
        let payloads: [&[u8]; 8] = [
            b"", b"{", b"\xff\n\xff", b"null", b"{\"topic\":\"x\",\"message\":1}", b"[[[[",
            b"{\"topic\":\"news of/the day.*\",\"message\":1,\"id\":1}",
            b"{\"since\":-1,\"epoch\":1,\"count\":1}",
        ];
        for subject in &subjects {
            for payload in payloads {
                domain.root.publish(subject.clone(), payload.to_vec().into()).await.unwrap();
            }
        }
        let long = vec![b' '; 10_000];
        domain.root.publish(subjects[0].clone(), long.into()).await.unwrap();
        let is_it = |event: &ClusterEvent| {
            matches!(event, ClusterEvent::Refused { reason, .. } if reason.contains("a count of 10000 bytes"))
        };
        domain.one.event(is_it).await;
        domain.other.cluster.group("room").broadcast(&news(2)).unwrap();
        assert_eq!(soon("the message", received.next()).await, 2);
        domain.nothing_was_received().await;
        assert_eq!(domain.one.lagged(&domain.other), 0);
    }
}
