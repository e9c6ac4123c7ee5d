//! Forged requests, replies and cancels: from an account that may publish them, and from one that may not.

use async_nats::{Client, HeaderMap};
use futures::{FutureExt as _, StreamExt as _};
use socket_ipc::RequestError;
use socket_ipc::cluster::{ClusterEvent, ClusterOptions};
use support::nats::Nats;
use support::soon;

use crate::domain::{Domain, NEWS};
use crate::nodes::{Divide, DivideError, Node, Wait};

const DIVIDE: &str = r#"{"dividend":6,"divisor":2}"#;

support::both_flavours! {
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

    async fn request_needs_the_permission() {
        let Some(domain) = Domain::new().await else { return };
        domain.other.responds_to_divide();
        domain.one.knows(&domain.other, &["divide"]).await;
        let request = async |account: &Client, name: &str| {
            let inbox = format!("desk.i.{name}.0123456789abcdef.0.1");
            let replies = account.subscribe(inbox.clone()).await.unwrap();
            account.publish_with_reply("desk.q.divide", inbox, DIVIDE.into()).await.unwrap();
            domain.is_done(account).await;
            replies
        };
        let mut none = request(&domain.stranger, "stranger").await;
        domain.nats.line_with("Publish Violation");
        let mut replies = request(&domain.outsider, "outsider").await;
        assert_eq!(&soon("the reply", replies.next()).await.unwrap().payload[..], b"3");
        domain.is_done(&domain.stranger).await;
        assert!(none.next().now_or_never().is_none());
    }

    async fn message_and_request_to_a_client_need_the_permission() {
        let Some(mut domain) = Domain::new().await else { return };
        let (one, client) = (domain.one.cluster.node().clone(), domain.one.server.clients()[0].get());
        let news = |number: u64| format!(r#"{{"number":{number},"text":""}}"#);
        let subject = format!("desk.n.{one}.{client}.{NEWS}");
        let request = format!("desk.n.{one}.{client}.who%20are%20you%3F");
        let inbox = "desk.i.outsider.0123456789abcdef.0.1";
        let mut replies = domain.root.subscribe(inbox).await.unwrap();
        for account in [&domain.outsider, &domain.stranger] {
            account.publish(subject.clone(), news(1).into()).await.unwrap();
            account.publish_with_reply(request.clone(), inbox, "null".into()).await.unwrap();
            domain.is_done(account).await;
            for _ in 0..2 {
                domain.nats.line_with("Publish Violation");
            }
        }
        domain.nothing_was_received().await;
        domain.root.publish(subject, news(2).into()).await.unwrap();
        assert_eq!(domain.received.next().await, 2);
        // The client has no responder, and says so: the request has reached it.
        domain.root.publish_with_reply(request, inbox, "null".into()).await.unwrap();
        let reply = soon("the reply", replies.next()).await.unwrap();
        assert!(reply.payload.starts_with(br#"{"code":"no_responder""#), "{reply:?}");
    }

    async fn reply_goes_to_the_inbox_that_a_request_names_whoever_sent_it() {
        let Some(domain) = Domain::new().await else { return };
        let mut waits = domain.other.waits();
        domain.other.responds_to_divide();
        domain.one.cluster.forward::<Wait>().unwrap();
        domain.one.knows(&domain.other, &["divide", "wait"]).await;
        // It may read requests, and so the inbox of each.
        let mut requests = domain.outsider.subscribe("desk.q.wait").await.unwrap();
        domain.is_done(&domain.outsider).await;
        let client = domain.one.client().await;
        let request = client.request(&Wait);
        assert_eq!(waits.next().await, "began");
        let inbox = soon("the request", requests.next()).await.unwrap().reply.unwrap();
        domain.outsider.publish(inbox.clone(), "3".into()).await.unwrap();
        domain.is_done(&domain.outsider).await;
        domain.nats.line_with("Publish Violation");
        // What it may not publish itself, a responder publishes for it.
        domain.outsider.publish_with_reply("desk.q.divide", inbox, DIVIDE.into()).await.unwrap();
        let error = soon("the outcome", request).await.unwrap_err();
        assert!(matches!(error, RequestError::ReplyUndecodable { .. }), "{error}");
    }

    async fn topic_that_is_not_offered_is_not_reached() {
        let Some(domain) = Domain::new().await else { return };
        domain.one.server.respond::<Divide>(|_, _| -> Result<i64, _> { panic!("it is not offered") }).unwrap();
        for topic in ["divide", "socket-ipc.stats", "socket-ipc.describe"] {
            for account in [&domain.root, &domain.outsider] {
                let request = account.request(format!("desk.q.{topic}"), "{}".into());
                let error = soon("the error", request).await.unwrap_err();
                assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders);
            }
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
        domain.one.cluster.forward::<Wait>().unwrap();
        domain.one.knows(&domain.other, &["wait"]).await;
        let client = domain.one.client().await;
        let _request = client.request(&Wait);
        assert_eq!(waits.next().await, "began");
        let mut cancel = HeaderMap::new();
        cancel.insert("Socket-Ipc-Kind", "cancel");
        let control = format!("desk.i.{}.control.1", domain.other.cluster.node());
        let publish = |from: &Client| {
            let (from, control, cancel) = (from.clone(), control.clone(), cancel.clone());
            async move { from.publish_with_headers(control, cancel, "".into()).await.unwrap() }
        };
        publish(&domain.outsider).await;
        domain.is_done(&domain.outsider).await;
        domain.nats.line_with("Publish Violation");
        assert!(waits.rest().is_empty());
        publish(&domain.root).await;
        assert_eq!(waits.next().await, "dropped");
    }

    async fn reply_to_another_nodes_request_needs_the_permission() {
        let Some(domain) = Domain::new().await else { return };
        let mut waits = domain.other.waits();
        domain.one.cluster.forward::<Wait>().unwrap();
        domain.one.knows(&domain.other, &["wait"]).await;
        let client = domain.one.client().await;
        let request = client.request(&Wait);
        assert_eq!(waits.next().await, "began");
        let inbox = |number: u64| format!("desk.i.{}.1.{number}", domain.one.cluster.node());
        domain.outsider.publish(inbox(1), "null".into()).await.unwrap();
        domain.is_done(&domain.outsider).await;
        domain.nats.line_with("Publish Violation");
        for number in 0..100 {
            domain.root.publish(inbox(number), "null".into()).await.unwrap();
        }
        soon("the forged reply", request).await.unwrap();
    }
}
