//! Forged broadcasts and beats: from an account that may publish them, and from one that may not.

use async_nats::HeaderMap;
use socket_ipc::cluster::ClusterEvent;
use support::soon;

use crate::domain::{Domain, NEWS, line};
use crate::nodes::{Divide, News};

support::both_flavours! {
    async fn broadcast_in_the_name_of_another_node_needs_its_permission() {
        let Some(mut domain) = Domain::new().await else { return };
        let subject = format!("desk.b.{}.{NEWS}", domain.other.cluster.node());
        domain.outsider.publish(subject.clone(), line(1).into()).await.unwrap();
        domain.is_done(&domain.outsider).await;
        domain.nats.line_with("Publish Violation");
        domain.nothing_was_received().await;
        domain.root.publish(subject, line(2).into()).await.unwrap();
        assert_eq!(domain.received.next().await, 2);
        // One too many arrived: that is no reason to count one that is missing.
        domain.one.settled(&domain.other, 1).await;
        assert_eq!(domain.one.lagged(&domain.other), 0);
    }

    async fn broadcast_in_the_name_of_the_receiver_is_refused() {
        let Some(mut domain) = Domain::new().await else { return };
        let subject = format!("desk.b.{}.{NEWS}", domain.one.cluster.node());
        domain.root.publish(subject.clone(), line(1).into()).await.unwrap();
        domain.one.event(|event| matches!(event, ClusterEvent::Refused { subject: of, .. } if *of == subject)).await;
        domain.nothing_was_received().await;
    }

    async fn beat_of_another_node_needs_its_permission() {
        let Some(mut domain) = Domain::new().await else { return };
        // The count begins with a beat.
        domain.nothing_was_received().await;
        domain.one.settled(&domain.other, 1).await;
        let node = domain.other.cluster.node().clone();
        let (subject, ahead) = (format!("desk.b.{node}"), r#"{"sequence":1000000,"clients":0}"#);
        domain.outsider.publish(subject.clone(), ahead.into()).await.unwrap();
        domain.is_done(&domain.outsider).await;
        domain.nats.line_with("Publish Violation");
        domain.nothing_was_received().await;
        domain.one.settled(&domain.other, 2).await;
        assert_eq!(domain.one.lagged(&domain.other), 0);
        domain.root.publish(subject, ahead.into()).await.unwrap();
        let lagged = domain.one.event(|event| matches!(event, ClusterEvent::Lagged { .. })).await;
        assert_eq!(lagged, ClusterEvent::Lagged { node, count: 999_998 });
    }

    async fn goodbye_of_another_node_needs_its_permission() {
        let Some(mut domain) = Domain::new().await else { return };
        let node = domain.other.cluster.node().clone();
        let goodbye = r#"{"sequence":0,"clients":0,"goodbye":true}"#;
        // Under its own name, whatever node it means.
        let own = "desk.b.outsider.0123456789abcdef";
        let payload = format!(r#"{{"node":"{node}","sequence":0,"clients":0,"goodbye":true}}"#);
        domain.outsider.publish(own, payload.into()).await.unwrap();
        domain.outsider.publish(format!("desk.b.{node}"), goodbye.into()).await.unwrap();
        domain.is_done(&domain.outsider).await;
        domain.nats.line_with("Publish Violation");
        domain.nothing_was_received().await;
        assert!(domain.one.cluster.nodes().iter().any(|other| other.id == node));
        domain.root.publish(format!("desk.b.{node}"), goodbye.into()).await.unwrap();
        domain.one.event(|event| *event == ClusterEvent::NodeDown(node.clone())).await;
        // It is not gone, and says so.
        domain.one.event(|event| *event == ClusterEvent::NodeUp(node.clone())).await;
    }

    async fn made_up_nodes_of_one_name_push_out_no_other() {
        let Some(mut domain) = Domain::new().await else { return };
        let long = format!(r#"{{"sequence":0,"clients":0,"offers":["{}"]}}"#, "x".repeat(100_000));
        domain.outsider.publish("desk.b.outsider.0000000000000000", long.into()).await.unwrap();
        let is_it = |event: &ClusterEvent| {
            matches!(event, ClusterEvent::Refused { reason, .. } if reason.contains("it is a beat of 1000"))
        };
        domain.one.event(is_it).await;
        for number in 0..5000 {
            let beat = r#"{"sequence":0,"clients":0}"#;
            domain.outsider.publish(format!("desk.b.outsider.{number:016x}"), beat.into()).await.unwrap();
        }
        domain.is_done(&domain.outsider).await;
        domain.nothing_was_received().await;
        let nodes = domain.one.cluster.nodes();
        assert!(nodes.len() < 1000, "{}", nodes.len());
        assert!(nodes.iter().any(|node| node.id == *domain.other.cluster.node()));
    }

    async fn garbage_on_every_subject_harms_nobody() {
        let Some(mut domain) = Domain::new().await else { return };
        domain.one.responds_to_divide();
        domain.one.server.on::<News>(|_, _| {});
        domain.one.cluster.offer::<News>().unwrap();
        domain.other.knows(&domain.one, &["divide", "news of/the day.*"]).await;
        let (one, other) = (domain.one.cluster.node(), domain.other.cluster.node());
        let subjects = [
            "desk.q.divide".to_owned(),
            format!("desk.q.{NEWS}"),
            "desk.b.x".to_owned(),
            "desk.b.x.y.z".to_owned(),
            "desk.b.%zz.0123456789abcdef.a".to_owned(),
            format!("desk.b.{other}"),
            format!("desk.b.{other}.{NEWS}"),
            format!("desk.b.{other}.%"),
            format!("desk.n.{one}.x"),
            format!("desk.n.{one}.x.y"),
            format!("desk.n.{one}.1.who%20are%20you%3F"),
            format!("desk.n.{one}.18446744073709551615.a"),
            format!("desk.n.{one}.4503599627370497.a"),
            format!("desk.i.{one}.x"),
            format!("desk.i.{one}.control.x"),
            format!("desk.i.{one}.control.1"),
            format!("desk.i.{one}.1.1"),
        ];
        let payloads: [&[u8]; 9] = [
            b"", b"{", b"\xff\n\xff", b"null", b"{\"topic\":\"x\",\"message\":1}", b"[[[[", b"\n\n\r\n",
            b"{\"topic\":\"news of/the day.*\",\"message\":1,\"id\":1}",
            b"{\"sequence\":18446744073709551615,\"clients\":18446744073709551615}",
        ];
        let inbox = format!("desk.i.{other}.1.1");
        for subject in &subjects {
            for payload in payloads {
                for kind in ["", "message", "request", "cancel", "stream", "\u{e9}"] {
                    let mut headers = HeaderMap::new();
                    if !kind.is_empty() {
                        headers.insert("Socket-Ipc-Kind", kind);
                        headers.insert("Socket-Ipc-Error", kind);
                        headers.insert("Socket-Ipc-Working", kind);
                    }
                    let (subject, payload) = (subject.clone(), payload.to_vec());
                    domain.root.publish_with_headers(subject.clone(), headers.clone(), payload.clone().into()).await.unwrap();
                    domain
                        .root
                        .publish_with_reply_and_headers(subject, inbox.clone(), headers, payload.into())
                        .await
                        .unwrap();
                }
            }
        }
        domain.root.flush().await.unwrap();
        domain.nothing_was_received().await;
        domain.other.cluster.forward::<Divide>().unwrap();
        let divide = Divide { dividend: 6, divisor: 2 };
        assert_eq!(soon("the reply", domain.other.client().await.request(&divide)).await.unwrap(), 3);
    }
}
