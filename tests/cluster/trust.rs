//! Forged messages: from an account that may publish them, and from one that may not.

use async_nats::{Client, ConnectOptions, HeaderMap};
use socket_ipc::cluster::{ClusterEvent, ClusterOptions};
use support::nats::Nats;
use support::{Events, soon};

use crate::nodes::{Divide, DivideError, News, Node, news};

/// Nodes may do what nodes do. `one` and `other` are nodes, `outsider` a node of another name, `root` may do anything.
const CONFIG: &str = r#"
    authorization { users = [
        { user: one, password: secret, permissions: {
            publish: ["desk.b.one.>", "desk.q.>", "desk.n.>", "desk.i.>"], subscribe: "desk.>" } }
        { user: other, password: secret, permissions: {
            publish: ["desk.b.other.>", "desk.q.>", "desk.n.>", "desk.i.>"], subscribe: "desk.>" } }
        { user: outsider, password: secret, permissions: {
            publish: ["desk.b.outsider.>", "desk.q.>"], subscribe: ["desk.>", "_INBOX.>"] } }
        { user: root, password: secret }
    ] }"#;

const NEWS: &str = "news%20of%2Fthe%20day.%2A";

struct Domain {
    nats: Nats,
    one: Node,
    other: Node,
    outsider: Client,
    root: Client,
    /// What the client of `one` receives.
    received: Events<u64>,
    _client: socket_ipc::Client,
}

impl Domain {
    async fn new() -> Option<Self> {
        let nats = Nats::with(CONFIG)?;
        let options =
            |name: &str| ClusterOptions::new(nats.url(), "desk").name(name).user_and_password(name, "secret");
        let (one, other) = (Node::with(options("one")).await, Node::with(options("other")).await);
        one.knows(&other, &[]).await;
        let plain = async |name: &str| {
            let options = ConnectOptions::with_user_and_password(name.to_owned(), "secret".to_owned());
            options.connect(nats.url()).await.unwrap()
        };
        let (outsider, root) = (plain("outsider").await, plain("root").await);
        let (client, received) = (one.client().await, Events::new());
        let report = received.reporter();
        client.on::<News>(move |news| report(news.number));
        Some(Self { nats, one, other, outsider, root, received, _client: client })
    }

    /// The engine has acted on everything that the outsider sent.
    async fn outsider_is_done(&self) {
        let done = self.outsider.request("desk.q.nobody", "".into());
        let done = async { assert!(done.await.is_err()) };
        soon("the engine's reply", done).await;
    }

    /// A broadcast of the other node arrives, and nothing before it.
    async fn nothing_was_received(&mut self) {
        self.other.cluster.broadcast(&news(777)).unwrap();
        assert_eq!(self.received.next().await, 777);
    }
}

fn line(number: u64) -> String {
    format!(r#"{{"topic":"news of/the day.*","message":{{"number":{number},"text":""}}}}"#)
}

support::both_flavours! {
    async fn broadcast_in_the_name_of_another_node_needs_its_permission() {
        let Some(mut domain) = Domain::new().await else { return };
        let subject = format!("desk.b.{}.{NEWS}", domain.other.cluster.node());
        domain.outsider.publish(subject.clone(), line(1).into()).await.unwrap();
        domain.outsider_is_done().await;
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

    async fn goodbye_of_another_node_needs_its_permission() {
        let Some(mut domain) = Domain::new().await else { return };
        let node = domain.other.cluster.node().clone();
        let goodbye = r#"{"sequence":0,"clients":0,"goodbye":true}"#;
        // Under its own name, whatever node it means.
        let own = "desk.b.outsider.0123456789abcdef";
        let payload = format!(r#"{{"node":"{node}","sequence":0,"clients":0,"goodbye":true}}"#);
        domain.outsider.publish(own, payload.into()).await.unwrap();
        domain.outsider.publish(format!("desk.b.{node}"), goodbye.into()).await.unwrap();
        domain.outsider_is_done().await;
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
        domain.outsider_is_done().await;
        domain.nothing_was_received().await;
        let nodes = domain.one.cluster.nodes();
        assert!(nodes.len() < 1000, "{}", nodes.len());
        assert!(nodes.iter().any(|node| node.id == *domain.other.cluster.node()));
    }

    async fn reply_subject_that_is_no_inbox_is_refused() {
        let Some(mut domain) = Domain::new().await else { return };
        domain.other.responds_to_divide();
        domain.one.knows(&domain.other, &["divide"]).await;
        let divide = r#"{"dividend":1,"divisor":1}"#;
        let node = domain.other.cluster.node().clone();
        let to_client = format!("desk.n.{node}.1.who");
        for reply in [
            format!("desk.b.{node}.{NEWS}"),
            format!("desk.b.{node}"),
            "desk.q.divide".to_owned(),
            format!("desk.n.{node}.1.x"),
            format!("desk.i.{node}"),
            format!("desk.i.{node}.control.1"),
            format!("desk.i.{node}.1"),
            "somewhere.else".to_owned(),
            "_INBOX.abc".to_owned(),
        ] {
            for subject in ["desk.q.divide", &to_client] {
                // Both accounts may send requests.
                let sender = if subject == to_client { &domain.root } else { &domain.outsider };
                sender.publish_with_reply(subject.to_owned(), reply.clone(), divide.into()).await.unwrap();
                let is_it = |event: &ClusterEvent| {
                    matches!(event, ClusterEvent::Refused { subject: of, reason } if of == subject && reason.contains(&reply))
                };
                domain.other.event(is_it).await;
            }
        }
        domain.nothing_was_received().await;
    }

    async fn topic_that_is_not_offered_is_not_reached() {
        let Some(domain) = Domain::new().await else { return };
        domain.one.server.respond::<Divide>(|_, _| -> Result<i64, _> { panic!("it is not offered") }).unwrap();
        for topic in ["divide", "socket-ipc.stats", "socket-ipc.describe"] {
            let request = domain.root.request(format!("desk.q.{topic}"), "{}".into());
            let error = soon("the error", request).await.unwrap_err();
            assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders);
        }
    }

    async fn request_of_the_engine_is_never_forwarded() {
        let Some(nats) = Nats::start() else { return };
        let options = |name| ClusterOptions::new(nats.url(), "desk").name(name).accept_foreign_inboxes();
        let (one, other) = (Node::with(options("one")).await, Node::with(options("other")).await);
        for node in [&one, &other] {
            node.cluster.forward::<Divide>().unwrap();
            // The responder goes, and the offer stays.
            let own = node.server.respond::<Divide>(|_, _| Ok::<i64, DivideError>(-1)).unwrap();
            node.cluster.offer::<Divide>().unwrap();
            assert!(node.server.off(own));
        }
        one.knows(&other, &["divide"]).await;
        other.knows(&one, &["divide"]).await;
        let root = async_nats::connect(nats.url()).await.unwrap();
        let reply = root.request("desk.q.divide", r#"{"dividend":1,"divisor":1}"#.into());
        let reply = soon("the reply", reply).await.unwrap();
        assert!(reply.payload.starts_with(br#"{"code":"no_responder""#), "{reply:?}");
    }

    async fn cancel_of_another_nodes_request_needs_the_permission() {
        let Some(domain) = Domain::new().await else { return };
        let mut waits = domain.other.waits();
        domain.one.cluster.forward::<crate::nodes::Wait>().unwrap();
        domain.one.knows(&domain.other, &["wait"]).await;
        let client = domain.one.client().await;
        let _request = client.request(&crate::nodes::Wait);
        assert_eq!(waits.next().await, "began");
        let mut cancel = HeaderMap::new();
        cancel.insert("Socket-Ipc-Kind", "cancel");
        let control = format!("desk.i.{}.control.1", domain.other.cluster.node());
        let publish = |from: &Client| {
            let (from, control, cancel) = (from.clone(), control.clone(), cancel.clone());
            async move { from.publish_with_headers(control, cancel, "".into()).await.unwrap() }
        };
        publish(&domain.outsider).await;
        domain.outsider_is_done().await;
        domain.nats.line_with("Publish Violation");
        assert!(waits.rest().is_empty());
        publish(&domain.root).await;
        assert_eq!(waits.next().await, "dropped");
    }

    async fn reply_to_another_nodes_request_needs_the_permission() {
        let Some(domain) = Domain::new().await else { return };
        let mut waits = domain.other.waits();
        domain.one.cluster.forward::<crate::nodes::Wait>().unwrap();
        domain.one.knows(&domain.other, &["wait"]).await;
        let client = domain.one.client().await;
        let request = client.request(&crate::nodes::Wait);
        assert_eq!(waits.next().await, "began");
        let inbox = |number: u64| format!("desk.i.{}.1.{number}", domain.one.cluster.node());
        domain.outsider.publish(inbox(1), "null".into()).await.unwrap();
        domain.outsider_is_done().await;
        domain.nats.line_with("Publish Violation");
        for number in 0..100 {
            domain.root.publish(inbox(number), "null".into()).await.unwrap();
        }
        soon("the forged reply", request).await.unwrap();
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
