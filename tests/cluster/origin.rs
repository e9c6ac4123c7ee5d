//! Where a request comes from, as `authorize` sees it.

use async_nats::HeaderMap;
use futures::StreamExt as _;
use socket_ipc::cluster::{ClusterOptions, NodeId};
use socket_ipc::{AttemptKind, Client, ErrorReply, Origin, RequestError};
use support::nats::Nats;
use support::{Events, soon};

use crate::domain::Domain;
use crate::nodes::{Divide, DivideError, News, Node, Wait};
use crate::stream_topics::{Count, Streams, all, count};

const DIVIDE: &str = r#"{"dividend":6,"divisor":2}"#;

type Seen = (String, AttemptKind, Origin);

/// A node that reports what `authorize` sees, and lets all of it through but what `refused` says.
async fn watched(
    options: ClusterOptions,
    refused: impl Fn(&Origin) -> bool + Send + Sync + 'static,
) -> (Node, Events<Seen>) {
    let seen = Events::new();
    let report = seen.reporter();
    let node = Node::built(options, |server| {
        server.authorize(move |attempt| {
            report((attempt.topic().to_owned(), attempt.kind(), attempt.origin().clone()));
            if refused(attempt.origin()) {
                return Err(ErrorReply::new(ErrorReply::FORBIDDEN, "not from there"));
            }
            Ok(())
        })
    })
    .await;
    (node, seen)
}

/// A client of a node, and the origin of its requests for another node.
async fn client_of(node: &Node) -> (Client, Origin) {
    let client = node.client().await;
    let newest = node.server.clients().into_iter().max().unwrap();
    (client, Origin::Node(node.cluster.client_ref(newest)))
}

fn request(topic: &str, origin: Origin) -> Seen {
    (topic.to_owned(), AttemptKind::Request, origin)
}

support::both_flavours! {
    async fn each_request_has_the_origin_of_its_client_over_one_connection() {
        let Some(nats) = Nats::start() else { return };
        let (other, mut seen) = watched(ClusterOptions::new(nats.url(), "desk").name("other"), |_| false).await;
        other.responds_to_divide();
        let mut waits = other.waits();
        let one = Node::join(&nats, "one").await;
        one.cluster.forward::<(Divide, Wait)>().unwrap();
        one.knows(&other, &["divide", "wait"]).await;
        // Before a node has given a sign of life its requests share a connection with those of strangers.
        other.knows(&one, &[]).await;
        let ((first, from_first), (second, from_second)) = (client_of(&one).await, client_of(&one).await);
        assert_ne!(from_first, from_second);
        let waiting = first.request(&Wait);
        assert_eq!(waits.next().await, "began");
        assert_eq!(seen.next().await, request("wait", from_first.clone()));
        for (client, origin) in [(&second, from_second), (&first, from_first)] {
            let divide = Divide { dividend: 6, divisor: 2 };
            assert_eq!(soon("the reply", client.request(&divide)).await.unwrap(), 3);
            assert_eq!(seen.next().await, request("divide", origin));
        }
        drop(waiting);
        assert_eq!(waits.next().await, "dropped");
        let own = other.client().await;
        assert_eq!(own.request(&Divide { dividend: 6, divisor: 2 }).await.unwrap(), 3);
        assert_eq!(seen.next().await, request("divide", Origin::Client));
        assert!(!Origin::Client.is_remote() && Origin::Engine.is_remote());
    }

    async fn stream_has_the_origin_of_its_client() {
        let Some(nats) = Nats::start() else { return };
        let (other, mut seen) = watched(ClusterOptions::new(nats.url(), "desk").name("other"), |_| false).await;
        let _streams = Streams::of(&other);
        let one = Node::join(&nats, "one").await;
        one.cluster.forward::<Count>().unwrap();
        one.knows(&other, &["count"]).await;
        let (client, origin) = client_of(&one).await;
        let (items, error) = all(client.request_stream(&count(3))).await;
        assert!(error.is_none() && items == [0, 1, 2], "{items:?} {error:?}");
        assert_eq!(seen.next().await, ("count".to_owned(), AttemptKind::Stream, origin));
    }

    async fn plain_program_is_of_the_engine_whatever_it_sends() {
        let Some(nats) = Nats::start() else { return };
        let options = ClusterOptions::new(nats.url(), "desk").name("one").accept_foreign_inboxes();
        let (one, mut seen) = watched(options, |_| false).await;
        let other = Node::join(&nats, "other").await;
        one.responds_to_divide();
        let received = Events::new();
        let report = received.reporter();
        one.server.on::<News>(move |news, _| report(news.number));
        one.cluster.offer::<News>().unwrap();
        other.knows(&one, &["divide", "news of/the day.*"]).await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let reply = soon("the reply", plain.request("desk.q.divide", DIVIDE.into())).await.unwrap();
        assert_eq!(&reply.payload[..], b"3");
        assert_eq!(seen.next().await, request("divide", Origin::Engine));
        // A message says nothing of a node, whatever it has for a reply subject.
        let mut message = HeaderMap::new();
        message.insert("Socket-Ipc-Kind", "message");
        let inbox = format!("desk.i.{}.1.1", other.cluster.node());
        let news = r#"{"number":9,"text":"from outside"}"#;
        let subject = "desk.q.news%20of%2Fthe%20day.%2A";
        plain.publish_with_reply_and_headers(subject, inbox, message, news.into()).await.unwrap();
        plain.flush().await.unwrap();
        let (topic, kind, origin) = seen.next().await;
        assert_eq!((&*topic, kind, origin), ("news of/the day.*", AttemptKind::Message, Origin::Engine));
    }

    async fn origin_that_is_refused_gets_an_error_reply_and_others_do_not() {
        let Some(nats) = Nats::start() else { return };
        let refused = |origin: &Origin| matches!(origin, Origin::Node(client) if client.node.name() == "two");
        let (other, _seen) = watched(ClusterOptions::new(nats.url(), "desk").name("other"), refused).await;
        other.responds_to_divide();
        let (one, two) = (Node::join(&nats, "one").await, Node::join(&nats, "two").await);
        for node in [&one, &two] {
            node.cluster.forward::<Divide>().unwrap();
            node.knows(&other, &["divide"]).await;
        }
        let divide = Divide { dividend: 6, divisor: 2 };
        let error = soon("the error", two.client().await.request(&divide)).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == ErrorReply::FORBIDDEN), "{error}");
        assert_eq!(soon("the reply", one.client().await.request(&divide)).await.unwrap(), 3);
    }

    async fn per_client_has_no_value_for_a_remote_request() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let values = other.server.per_client(|client_id| client_id.get());
        let kept = values.clone();
        let divide = move |_: Divide, client_id| Ok::<_, DivideError>(kept.get(client_id).map_or(-1, |_| 1));
        other.server.respond::<Divide>(divide).unwrap();
        other.cluster.offer::<Divide>().unwrap();
        one.cluster.forward::<Divide>().unwrap();
        one.knows(&other, &["divide"]).await;
        let divide = Divide { dividend: 1, divisor: 1 };
        assert_eq!(soon("the reply", one.client().await.request(&divide)).await.unwrap(), -1);
        assert_eq!(soon("the reply", other.client().await.request(&divide)).await.unwrap(), 1);
    }

    async fn forged_origin_needs_the_permission_to_request_and_is_never_a_client() {
        let Some(domain) = Domain::new().await else { return };
        let nats = &domain.nats;
        let options = ClusterOptions::new(nats.url(), "desk").name("other").user_and_password("other", "secret");
        let (node, mut seen) = watched(options, |_| false).await;
        node.responds_to_divide();
        domain.one.knows(&node, &["divide"]).await;
        let one = domain.one.cluster.node().clone();
        let inbox = |node: &NodeId, client: &str| format!("desk.i.{node}.{client}.7");
        let forge = async |from: &async_nats::Client, inbox: String| {
            from.publish_with_reply("desk.q.divide", inbox, DIVIDE.into()).await.unwrap();
            domain.is_done(from).await;
        };
        forge(&domain.stranger, inbox(&one, "1")).await;
        nats.line_with("Publish Violation");
        // An account that may request may name another node, and any client of it, but does not get the reply.
        let mut replies = domain.root.subscribe(inbox(&one, "5")).await.unwrap();
        domain.is_done(&domain.root).await;
        forge(&domain.outsider, inbox(&one, "5")).await;
        let client = socket_ipc::cluster::ClientRef { node: one.clone(), client: 5 };
        assert_eq!(seen.next().await, request("divide", Origin::Node(client)));
        assert_eq!(&soon("the reply", replies.next()).await.unwrap().payload[..], b"3");
        // Neither a client of this server nor a number that is none can be named.
        forge(&domain.outsider, inbox(node.cluster.node(), "1")).await;
        assert_eq!(seen.next().await, request("divide", Origin::Engine));
        for none in ["-1", "x", "18446744073709551616"] {
            forge(&domain.outsider, inbox(&one, none)).await;
        }
        forge(&domain.outsider, inbox(&one, "0")).await;
        let server = socket_ipc::cluster::ClientRef { node: one, client: 0 };
        assert_eq!(seen.next().await, request("divide", Origin::Node(server)));
    }
}
