//! Streams of plain NATS programs, without this library, and of those that send what no node sends.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subscriber};
use futures::StreamExt as _;
use socket_ipc::cluster::{ClusterError, ClusterEvent, ClusterOptions};
use socket_ipc::{ErrorReply, RequestError};
use support::nats::Nats;
use support::{Events, soon};

use crate::nodes::Node;
use crate::stream_topics::{Count, Streams, count, failed, is_silent, next};

fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.headers.as_ref()?.get(name).map(|value| value.as_str())
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.insert(*name, *value);
    }
    headers
}

/// A plain program that has requested a stream.
struct Plain {
    nats: Client,
    replies: Subscriber,
    /// Where the node takes `more` and `cancel`.
    control: Option<async_nats::Subject>,
    numbers: Vec<u64>,
    /// The number of the next item.
    item: u64,
}

impl Plain {
    async fn requests(nats: &Client, topic: &str, payload: &'static str, window: Option<&str>) -> Self {
        let inbox = nats.new_inbox();
        let replies = nats.subscribe(inbox.clone()).await.unwrap();
        let mut request = headers(&[("Socket-Ipc-Kind", "stream")]);
        if let Some(window) = window {
            request.insert("Socket-Ipc-Window", window);
        }
        nats.publish_with_reply_and_headers(format!("desk.q.{topic}"), inbox, request, payload.into())
            .await
            .unwrap();
        Self { nats: nats.clone(), replies, control: None, numbers: Vec::new(), item: 1 }
    }

    /// Reads on until this many items are there, or the end. Returns the end.
    async fn read(&mut self, count: usize) -> Option<Message> {
        while self.numbers.len() < count {
            let message = soon("a message", self.replies.next()).await.unwrap();
            if header(&message, "Socket-Ipc-Working").is_some() {
                self.control = message.reply;
            } else if header(&message, "Socket-Ipc-End").is_some()
                || header(&message, "Socket-Ipc-Error").is_some()
            {
                return Some(message);
            } else {
                assert_eq!(header(&message, "Socket-Ipc-Item"), Some(&*self.item.to_string()));
                let lines = std::str::from_utf8(&message.payload).unwrap().lines();
                let before = self.numbers.len();
                self.numbers.extend(lines.map(|line| line.parse::<u64>().unwrap()));
                self.item += (self.numbers.len() - before) as u64;
            }
        }
        None
    }

    async fn says(&self, kind: &str, payload: &str) {
        let control = self.control.clone().expect("a sign of life has come");
        self.nats
            .publish_with_headers(control, headers(&[("Socket-Ipc-Kind", kind)]), payload.to_owned().into())
            .await
            .unwrap();
    }

    /// Whether no further item comes for a moment.
    async fn is_paused(&mut self) -> bool {
        support::in_time(Duration::from_millis(300), self.read(usize::MAX)).await.is_none()
    }
}

async fn node(
    nats: &Nats,
    with: impl FnOnce(socket_ipc::ServerBuilder) -> socket_ipc::ServerBuilder,
) -> (Node, Streams, Client) {
    let options = ClusterOptions::new(nats.url(), "desk").name("one").accept_foreign_inboxes();
    let one = Node::built(options, with).await;
    let streams = Streams::of(&one);
    let watching = Node::join(nats, "watching").await;
    watching.knows(&one, &["count", "follow", "texts"]).await;
    (one, streams, async_nats::connect(nats.url()).await.unwrap())
}

/// A plain program that responds to `count`: it reports the requests, as they come.
async fn responds(nats: &Client) -> Events<Message> {
    let mut requests = nats.queue_subscribe("desk.q.count", "socket-ipc".into()).await.unwrap();
    // The engine has acted on the subscription.
    assert!(nats.request("desk.q.nobody", "".into()).await.is_err());
    let events = Events::new();
    let report = events.reporter();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            report(request);
        }
    });
    events
}

support::both_flavours! {
    async fn plain_program_requests_a_stream_and_paces_it() {
        let Some(nats) = Nats::start() else { return };
        let (_one, mut streams, plain) = node(&nats, |server| server).await;
        let mut whole = Plain::requests(&plain, "count", r#"{"to":1000,"failure":null}"#, None).await;
        let end = whole.read(usize::MAX).await.unwrap();
        assert!(whole.numbers.iter().copied().eq(0..1000));
        assert_eq!((header(&end, "Socket-Ipc-End"), header(&end, "Socket-Ipc-Item")), (Some("true"), Some("1001")));
        assert_eq!(end.payload.as_ref(), b"null");
        let mut fails = Plain::requests(&plain, "count", r#"{"to":2,"failure":{"Odd":{"number":5}}}"#, None).await;
        let error = fails.read(usize::MAX).await.unwrap();
        assert_eq!((header(&error, "Socket-Ipc-Error"), header(&error, "Socket-Ipc-Item")), (Some("true"), Some("3")));
        assert!(std::str::from_utf8(&error.payload).unwrap().contains(r#""data":{"Odd":{"number":5}}"#), "{error:?}");

        // Ten short items for a window of 640 bytes, and as many as `more` says in all.
        let mut paced = Plain::requests(&plain, "count", r#"{"to":1000000,"failure":null}"#, Some("640")).await;
        assert!(paced.read(10).await.is_none());
        assert!(paced.is_paused().await);
        assert_eq!(paced.numbers.len(), 10);
        paced.says("more", "1280").await;
        assert!(paced.read(20).await.is_none());
        // The same again is nothing new.
        paced.says("more", "1280").await;
        assert!(paced.is_paused().await);
        assert_eq!(paced.numbers.len(), 20);
        paced.says("cancel", "").await;
        paced.says("more", "12800").await;
        assert!(paced.is_paused().await);
        assert_eq!(paced.numbers.len(), 20);

        let mut follow = Plain::requests(&plain, "follow", r#"{"numbers":3}"#, None).await;
        assert!(follow.read(3).await.is_none());
        assert_eq!(streams.follows.next().await, "began");
        follow.says("cancel", "").await;
        assert_eq!(streams.follows.next().await, "dropped");
    }

    async fn stream_of_a_plain_program_that_is_gone_or_says_nothing_is_dropped() {
        let Some(nats) = Nats::start() else { return };
        // Its server would wait for long. NATS says that nobody receives the signs of life.
        let hour = Duration::from_secs(3600);
        let (one, mut streams, gone) = node(&nats, |server| server.request_timeout(hour)).await;
        let mut follow = Plain::requests(&gone, "follow", r#"{"numbers":1}"#, None).await;
        assert!(follow.read(1).await.is_none());
        assert_eq!(streams.follows.next().await, "began");
        drop((gone, follow));
        assert_eq!(streams.follows.next().await, "dropped");
        soon("leaving", one.cluster.leave()).await;
        let short = Duration::from_millis(1500);
        let (_one, mut streams, plain) = node(&nats, |server| server.request_timeout(short)).await;
        let mut follow = Plain::requests(&plain, "follow", r#"{"numbers":1}"#, None).await;
        assert!(follow.read(1).await.is_none());
        assert_eq!(streams.follows.next().await, "began");
        // It lasts for as long as it says `more`, also without more bytes.
        for _ in 0..5 {
            assert!(support::in_time(Duration::from_millis(500), follow.read(2)).await.is_none());
            follow.says("more", "0").await;
        }
        assert!(streams.follows.rest().is_empty());
        let error = follow.read(2).await.unwrap();
        assert!(std::str::from_utf8(&error.payload).unwrap().contains("has not said `more` within 1.5s"), "{error:?}");
        assert_eq!(streams.follows.next().await, "dropped");
    }

    async fn stream_with_a_window_of_any_kind_has_an_outcome() {
        let Some(nats) = Nats::start() else { return };
        let (_one, _streams, plain) = node(&nats, |server| server).await;
        for window in ["-1", "null", "", "many", "1.5", "\"640\"", "6e-1"] {
            let mut refused = Plain::requests(&plain, "count", r#"{"to":9,"failure":null}"#, Some(window)).await;
            let error = refused.read(1).await.unwrap();
            let error: serde_json::Value = serde_json::from_slice(&error.payload).unwrap();
            assert_eq!(error["code"], ErrorReply::STREAM, "{window}: {error}");
        }
        for window in ["1e3", "99999999999999999999999999999999999", "18446744073709551615"] {
            let mut whole = Plain::requests(&plain, "count", r#"{"to":9,"failure":null}"#, Some(window)).await;
            whole.read(usize::MAX).await.unwrap();
            assert_eq!(whole.numbers.len(), 9, "{window}");
        }
        // A window of 0 begins, and waits for `more`.
        let mut closed = Plain::requests(&plain, "count", r#"{"to":9,"failure":null}"#, Some("0")).await;
        assert!(closed.is_paused().await);
        assert!(closed.numbers.is_empty() && closed.control.is_some());
        closed.says("more", "640").await;
        closed.read(usize::MAX).await.unwrap();
        assert_eq!(closed.numbers.len(), 9);
    }

    async fn more_and_cancel_of_any_kind_harm_nobody() {
        let Some(nats) = Nats::start() else { return };
        let (mut one, mut streams, plain) = node(&nats, |server| server).await;
        let mut paced = Plain::requests(&plain, "count", r#"{"to":1000,"failure":null}"#, Some("64")).await;
        assert!(paced.read(1).await.is_none());
        assert!(paced.is_paused().await);
        for payload in ["-1", "", "more", "1.5", "[1,2]", "\u{fffd}"] {
            paced.says("more", payload).await;
            let is_it = |event: &ClusterEvent| {
                matches!(event, ClusterEvent::Refused { reason, .. } if reason.contains("no number of bytes"))
            };
            one.event(is_it).await;
        }
        // Of what does not exist, or is no stream.
        let node = one.cluster.node().clone();
        for number in [0, 999, u64::MAX] {
            for (kind, payload) in [("more", "640"), ("cancel", "")] {
                let control = format!("desk.i.{node}.control.{number}");
                plain.publish_with_headers(control, headers(&[("Socket-Ipc-Kind", kind)]), payload.into()).await.unwrap();
            }
        }
        for _ in 0..1000 {
            paced.says("more", "0").await;
            paced.says("more", "64").await;
        }
        assert!(paced.is_paused().await);
        assert_eq!(paced.numbers.len(), 1);
        for payload in ["18446744073709551615", "1e99", "18446744073709551615"] {
            paced.says("more", payload).await;
        }
        paced.read(usize::MAX).await.unwrap();
        assert_eq!(paced.numbers.len(), 1000);
        assert!(streams.follows.rest().is_empty());
    }

    async fn plain_program_is_refused_a_stream_unless_its_inboxes_are_accepted() {
        let Some(nats) = Nats::start() else { return };
        let mut one = Node::join(&nats, "one").await;
        let mut streams = Streams::of(&one);
        let watching = Node::join(&nats, "watching").await;
        watching.knows(&one, &["follow"]).await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let _refused = Plain::requests(&plain, "follow", r#"{"numbers":1}"#, None).await;
        one.event(|event| matches!(event, ClusterEvent::Refused { reason, .. } if reason.contains("accept_foreign_inboxes"))).await;
        assert!(streams.follows.rest().is_empty());
        // A stream that nobody could get is none.
        plain.publish_with_headers("desk.q.follow", headers(&[("Socket-Ipc-Kind", "stream")]), r#"{"numbers":1}"#.into()).await.unwrap();
        one.event(|event| matches!(event, ClusterEvent::Refused { reason, .. } if reason.contains("reply subject"))).await;
    }

    async fn items_that_are_missing_end_the_stream_as_lost() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let mut requests = responds(&plain).await;
        one.cluster.forward::<Count>().unwrap();
        let client = one.client().await;
        // An item, the end, an error, and a sign of life that come after one that did not arrive.
        for (name, value) in [("", ""), ("Socket-Ipc-End", "true"), ("Socket-Ipc-Error", "true"), ("Socket-Ipc-Working", "true")] {
            let mut numbers = client.request_stream(&count(9)).timeout(Duration::from_secs(60));
            let (reply, control) = (async {
                numbers.next().await.unwrap().unwrap()
            }, async {
                let request = requests.next().await;
                assert_eq!(header(&request, "Socket-Ipc-Kind"), Some("stream"));
                assert_eq!(header(&request, "Socket-Ipc-Window"), Some("262144"));
                let reply = request.reply.unwrap();
                let first = headers(&[("Socket-Ipc-Item", "1")]);
                plain.publish_with_headers(reply.clone(), first, "0\n1".into()).await.unwrap();
                reply
            });
            let (first, reply) = soon("an item", async { tokio::join!(reply, control) }).await;
            assert_eq!((first, next(&mut numbers).await.unwrap().unwrap()), (0, 1));
            let mut late = headers(&[("Socket-Ipc-Item", "6")]);
            if !name.is_empty() {
                late.insert(name, value);
            }
            plain.publish_with_headers(reply.clone(), late, "5".into()).await.unwrap();
            let error = next(&mut numbers).await.unwrap().unwrap_err();
            assert!(
                matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "lost" && reply.text().starts_with("3 items")),
                "{name}: {error}"
            );
            assert!(next(&mut numbers).await.is_none());
            // What comes after the end is for nobody.
            let more = headers(&[("Socket-Ipc-Item", "3")]);
            plain.publish_with_headers(reply, more, "2".into()).await.unwrap();
        }
    }

    async fn items_that_no_node_sends_end_the_stream_or_are_refused() {
        let Some(nats) = Nats::start() else { return };
        let mut one = Node::join(&nats, "one").await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let node: socket_ipc::cluster::NodeId = "plain.0123456789abcdef".parse().unwrap();
        let mut requests = plain.subscribe(format!("desk.n.{node}.>")).await.unwrap();
        let mut controls = plain.subscribe(format!("desk.i.{node}.>")).await.unwrap();
        assert!(plain.request("desk.q.nobody", "".into()).await.is_err());
        let to = socket_ipc::cluster::ClientRef { node: node.clone(), client: 1 };
        let item = |number: &str| headers(&[("Socket-Ipc-Item", number)]);
        let long = format!("\"{}\"", "x".repeat(300));
        let many = ["1"; 100].join("\n");
        for (what, mut sent, payload) in [
            ("beyond the window", item("1"), many.as_str()),
            ("beyond the window", item("1"), long.as_str()),
            ("is no stream", headers(&[]), "7"),
            ("is no stream", item("one"), "7"),
            ("is no stream", item("-1"), "7"),
            ("is not a", item("1"), "{"),
            ("is not a", item("1"), "\"text\""),
        ] {
            let mut numbers = one.cluster.request_stream(&count(9), &to).window(256);
            let first = tokio::spawn(async move { (numbers.next().await, numbers) });
            let reply = soon("the request", requests.next()).await.unwrap().reply.unwrap();
            let control = format!("desk.i.{node}.control.7");
            let sign = headers(&[("Socket-Ipc-Working", "true"), ("Socket-Ipc-Item", "1")]);
            plain.publish_with_reply_and_headers(reply.clone(), control, sign, "".into()).await.unwrap();
            if payload == many {
                sent.insert("Socket-Ipc-Unknown", "x");
            }
            plain.publish_with_headers(reply.clone(), sent, payload.to_owned().into()).await.unwrap();
            let (first, mut numbers) = soon("the first item", first).await.unwrap();
            let error = match first.unwrap() {
                Err(error) => error,
                Ok(_) => loop {
                    // What the window has room for arrives first.
                    if let Err(error) = next(&mut numbers).await.unwrap() {
                        break error;
                    }
                },
            };
            assert!(error.to_string().contains(what), "{what}: {error}");
            let told = soon("a cancel", async {
                loop {
                    let control = controls.next().await.unwrap();
                    if header(&control, "Socket-Ipc-Kind") == Some("cancel") {
                        return control;
                    }
                }
            });
            assert!(told.await.subject.ends_with("control.7"));
        }
        // Items again, and messages without any, are refused, and the stream goes on.
        let mut numbers = one.cluster.request_stream(&count(9), &to);
        let first = tokio::spawn(async move { (numbers.next().await, numbers) });
        let reply = soon("the request", requests.next()).await.unwrap().reply.unwrap();
        for (number, payload) in [("1", "0"), ("1", "0"), ("0", "9"), ("2", ""), ("2", "\n\n"), ("2", "1")] {
            plain.publish_with_headers(reply.clone(), item(number), payload.into()).await.unwrap();
        }
        let (first, mut numbers) = soon("the first item", first).await.unwrap();
        assert_eq!((first.unwrap().unwrap(), next(&mut numbers).await.unwrap().unwrap()), (0, 1));
        for _ in 0..4 {
            one.event(|event| matches!(event, ClusterEvent::Refused { subject, .. } if *subject == reply.to_string())).await;
        }
        assert!(is_silent(&mut numbers).await);
        drop(numbers);
        let error: ClusterError<_> = failed(one.cluster.request_stream(&count(9), &socket_ipc::cluster::ClientRef {
            node: "gone.0123456789abcdef".parse().unwrap(),
            client: 1,
        })).await;
        assert!(matches!(error, ClusterError::UnknownNode { .. }), "{error}");
    }

    async fn controls_before_the_first_sign_come_with_it_and_again() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let mut requests = responds(&plain).await;
        let control = "desk.i.plain.0123456789abcdef.control.5";
        let mut controls = plain.subscribe(control).await.unwrap();
        assert!(plain.request("desk.q.nobody", "".into()).await.is_err());
        let sign = async |reply: &async_nats::Subject| {
            let sign = headers(&[("Socket-Ipc-Working", "true")]);
            plain.publish_with_reply_and_headers(reply.clone(), control, sign, "".into()).await.unwrap();
        };
        one.cluster.forward::<Count>().unwrap();
        let client = one.client().await;
        let mut numbers = client.request_stream(&count(9)).window(640).timeout(Duration::from_secs(60));
        let first = tokio::spawn(async move { (numbers.next().await, numbers) });
        let reply = requests.next().await.reply.unwrap();
        let items = headers(&[("Socket-Ipc-Item", "1")]);
        plain.publish_with_headers(reply.clone(), items, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9".into()).await.unwrap();
        let (first, mut numbers) = soon("an item", first).await.unwrap();
        assert_eq!(first.unwrap().unwrap(), 0);
        for number in 1..10 {
            assert_eq!(next(&mut numbers).await.unwrap().unwrap(), number);
        }
        assert!(is_silent(&mut controls).await, "nobody has said where they go");
        // Each sign of life is answered with what may be sent in all, in case that was lost.
        for _ in 0..3 {
            sign(&reply).await;
            let more = soon("a renewal", controls.next()).await.unwrap();
            assert_eq!(header(&more, "Socket-Ipc-Kind"), Some("more"));
            assert_eq!(more.payload.as_ref(), b"1280");
        }
        drop(numbers);
        let cancel = soon("a cancel", controls.next()).await.unwrap();
        assert_eq!(header(&cancel, "Socket-Ipc-Kind"), Some("cancel"));
        let numbers = client.request_stream(&count(9));
        let waits = tokio::spawn(async move { { numbers }.started().await });
        let reply = requests.next().await.reply.unwrap();
        waits.abort();
        assert!(waits.await.is_err());
        assert!(is_silent(&mut controls).await, "nobody has said where they go");
        sign(&reply).await;
        let cancel = soon("a cancel", controls.next()).await.unwrap();
        assert_eq!(header(&cancel, "Socket-Ipc-Kind"), Some("cancel"));
    }
}
