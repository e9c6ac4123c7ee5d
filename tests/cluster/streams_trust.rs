//! Forged parts of streams: from an account that may publish them, and from one that may not.

use async_nats::{Client, HeaderMap};
use socket_ipc::RequestError;
use support::soon;

use crate::domain::Domain;
use crate::stream_topics::{Count, Follow, Streams, Texts, next};

async fn publish(from: &Client, subject: &str, pairs: &[(&'static str, &str)], payload: &'static str) {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.insert(*name, *value);
    }
    from.publish_with_headers(subject.to_owned(), headers, payload.into()).await.unwrap();
}

support::both_flavours! {
    async fn items_and_ends_of_another_nodes_stream_need_the_permission() {
        let Some(domain) = Domain::new().await else { return };
        let mut streams = Streams::of(&domain.other);
        domain.one.cluster.forward::<Follow>().unwrap();
        domain.one.knows(&domain.other, &["follow"]).await;
        let client = domain.one.client().await;
        let mut numbers = client.request_stream(&Follow { numbers: 1 });
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        let inbox = format!("desk.i.{}.1.1", domain.one.cluster.node());
        // The numbers of requests are not secret, and joining has used some.
        let inboxes = |number: u64| inbox.replace(".1.1", &format!(".1.{number}"));
        publish(&domain.outsider, &inboxes(1), &[("Socket-Ipc-Item", "2")], "99").await;
        domain.is_done(&domain.outsider).await;
        domain.nats.line_with("Publish Violation");
        for number in 0..20 {
            publish(&domain.root, &inboxes(number), &[("Socket-Ipc-Item", "2")], "99").await;
        }
        // Nothing came of the first account.
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 99);
        for number in 0..20 {
            publish(&domain.root, &inboxes(number), &[("Socket-Ipc-Item", "3"), ("Socket-Ipc-End", "true")], "null").await;
        }
        assert!(next(&mut numbers).await.is_none());
        // The responder goes on until its next sign of life: the requester says then that nobody waits.
        assert_eq!(streams.follows.take(2).await, ["began", "dropped"]);
    }

    async fn controls_of_another_nodes_stream_need_the_permission() {
        let Some(domain) = Domain::new().await else { return };
        let mut streams = Streams::of(&domain.other);
        domain.one.cluster.forward::<(Texts, Follow)>().unwrap();
        domain.one.knows(&domain.other, &["follow", "texts"]).await;
        let client = domain.one.client().await;
        let mut slow = client.request_stream(&Texts { len: 1000 }).window(50_000);
        soon("the start", slow.started()).await.unwrap();
        let before = streams.texts_at_rest().await;
        let control = |number: u64| format!("desk.i.{}.control.{number}", domain.other.cluster.node());
        publish(&domain.outsider, &control(1), &[("Socket-Ipc-Kind", "more")], "1e9").await;
        domain.is_done(&domain.outsider).await;
        domain.nats.line_with("Publish Violation");
        assert_eq!(streams.texts_at_rest().await, before);
        // What the window has no room for ends the stream at its requester: nothing of it is kept.
        for number in 0..20 {
            publish(&domain.root, &control(number), &[("Socket-Ipc-Kind", "more")], "1e9").await;
        }
        let error = soon("the end", async {
            loop {
                if let Err(error) = slow.next().await.unwrap() {
                    return error;
                }
            }
        })
        .await;
        assert!(
            matches!(&error, RequestError::Rejected { reply, .. } if reply.text().contains("beyond the window of 50000 bytes")),
            "{error}"
        );
        let at_rest = streams.texts_at_rest().await;
        assert!(at_rest < 100_000, "it was cancelled: {at_rest}");
        let mut numbers = client.request_stream(&Follow { numbers: 1 });
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        for number in 0..20 {
            publish(&domain.root, &control(number), &[("Socket-Ipc-Kind", "cancel")], "").await;
        }
        assert_eq!(streams.follows.take(2).await, ["began", "dropped"]);
    }

    async fn stream_of_the_engine_is_never_forwarded() {
        let Some(domain) = Domain::new().await else { return };
        for node in [&domain.one, &domain.other] {
            node.cluster.forward::<Count>().unwrap();
            // The responder goes, and the offer stays.
            let own = node.server.respond_stream::<Count>(|_, _| futures::stream::empty::<u64>()).unwrap();
            node.cluster.offer::<Count>().unwrap();
            assert!(node.server.off(own));
        }
        domain.one.knows(&domain.other, &["count"]).await;
        domain.other.knows(&domain.one, &["count"]).await;
        let inbox = "desk.i.outsider.0123456789abcdef.0.1";
        let mut replies = domain.outsider.subscribe(inbox).await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("Socket-Ipc-Kind", "stream");
        let request = r#"{"to":1,"failure":null}"#;
        domain.outsider.publish_with_reply_and_headers("desk.q.count", inbox, headers, request.into()).await.unwrap();
        let reply = soon("the reply", futures::StreamExt::next(&mut replies)).await.unwrap();
        assert!(reply.payload.starts_with(br#"{"code":"no_responder""#), "{reply:?}");
    }
}
