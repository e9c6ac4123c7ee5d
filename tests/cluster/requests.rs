//! Requests that take long, are given up, or find no responder.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket_ipc::cluster::{ClusterError, ClusterOptions, ForwardError, OfferError};
use socket_ipc::{AttemptKind, CloseCause, ErrorReply, RequestError, Topic};
use support::nats::Nats;
use support::{Events, soon};

use crate::nodes::{Divide, DivideError, Gate, Held, News, Node, OnDrop, Slow, Wait, Who, news};

/// `Divide` as a newer version has it.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "divide", reply = i64)]
struct NewerDivide {
    numerator: i64,
}

fn code<E: std::fmt::Debug>(error: &RequestError<E>) -> &str {
    match error {
        RequestError::Rejected { reply, .. } => reply.code(),
        error => panic!("{error:?}"),
    }
}

support::both_flavours! {
    async fn request_nobody_responds_to_fails_at_once() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        one.cluster.forward::<(Divide, Wait)>().unwrap();
        let client = one.client().await;
        let begun = Instant::now();
        let error = soon("the error", client.request(&Wait)).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { topic } if topic == "wait"));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    async fn slow_responder_is_waited_for_as_long_as_the_deadline_says() {
        let Some(nats) = Nats::start() else { return };
        let options = |name| ClusterOptions::new(nats.url(), "desk").name(name).silence(Duration::from_millis(1500));
        let (one, other) = (Node::with(options("one")).await, Node::with(options("other")).await);
        other.responds_slowly();
        one.cluster.forward::<Slow>().unwrap();
        one.knows(&other, &["slow"]).await;
        let client = one.client().await;
        // Far longer than the silence limit.
        assert_eq!(soon("the reply", client.request(&Slow(3500))).await.unwrap(), 3500);
        let begun = Instant::now();
        let error = client.request(&Slow(60_000)).timeout(Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, RequestError::Timeout { .. }));
        assert!(begun.elapsed() < Duration::from_secs(2));
    }

    async fn authorize_decides_over_requests_of_other_nodes() {
        let Some(nats) = Nats::start() else { return };
        let mut seen = Events::new();
        let report = seen.reporter();
        let options = ClusterOptions::new(nats.url(), "desk").name("other");
        let other = Node::built(options, |server| {
            server.authorize(move |attempt| {
                report((attempt.topic().to_owned(), attempt.kind(), attempt.peer()));
                if attempt.peer().is_some() { Ok(()) } else { Err("only on this machine".into()) }
            })
        })
        .await;
        other.responds_slowly();
        let one = Node::join(&nats, "one").await;
        one.cluster.forward::<Slow>().unwrap();
        one.knows(&other, &["slow"]).await;
        let error = soon("the error", one.client().await.request(&Slow(1))).await.unwrap_err();
        assert_eq!(code(&error), ErrorReply::FORBIDDEN);
        assert_eq!(seen.next().await, ("slow".to_owned(), AttemptKind::Request, None));
        assert_eq!(soon("the reply", other.client().await.request(&Slow(1))).await.unwrap(), 1);
        assert!(seen.next().await.2.is_some());
    }

    async fn slow_client_of_another_node_is_waited_for_until_the_deadline() {
        let Some(nats) = Nats::start() else { return };
        let options = ClusterOptions::new(nats.url(), "desk").name("other");
        let timeout = Duration::from_millis(300);
        let other = Node::built(options, |server| server.request_timeout(timeout)).await;
        let one = Node::join(&nats, "one").await;
        other.knows(&one, &[]).await;
        let (client, slow) = (other.client().await, |Slow(milliseconds)| async move {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            milliseconds
        });
        client.respond_async::<Slow>(slow).unwrap();
        let to = other.cluster.client_ref(other.server.clients()[0]);
        assert_eq!(soon("the reply", one.cluster.request(&Slow(1000), &to)).await.unwrap(), 1000);
    }

    async fn request_to_a_client_fails_as_on_one_machine() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let client = other.client().await;
        // A code of the responder's own is not the node's word.
        client.respond::<Slow>(|Slow(_)| Err::<u64, _>(ErrorReply::new("unknown_client", "it is mine"))).unwrap();
        let to = other.cluster.client_ref(other.server.clients()[0]);
        let error = soon("the error", one.cluster.request(&Slow(1), &to)).await.unwrap_err();
        assert!(matches!(&error, ClusterError::Request(error) if code(error) == "unknown_client"), "{error}");
        let mut gate = Gate::of(&client);
        let (cluster, of) = (one.cluster.clone(), to.clone());
        let request = tokio::spawn(async move { cluster.request(&Held, &of).await });
        assert_eq!(gate.begun.next().await, "begun");
        assert!(other.server.disconnect(other.server.clients()[0]));
        let error = soon("the error", request).await.unwrap().unwrap_err();
        let cause = match error {
            ClusterError::Request(RequestError::ConnectionLost { cause, .. }) => cause,
            error => panic!("{error}"),
        };
        assert!(matches!(cause, CloseCause::Disconnected), "{cause}");
        drop(client);
        soon("the end of the connection", async {
            while !other.server.clients().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let error = soon("the error", one.cluster.request(&Slow(1), &to)).await.unwrap_err();
        assert!(matches!(&error, ClusterError::UnknownClient { client, .. } if *client == to), "{error}");
    }

    async fn request_given_up_drops_the_responder_of_another_node() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let mut waits = other.waits();
        one.cluster.forward::<Wait>().unwrap();
        one.knows(&other, &["wait"]).await;
        let client = one.client().await;
        let request = client.request(&Wait);
        assert_eq!(waits.next().await, "began");
        drop(request);
        assert_eq!(waits.next().await, "dropped");
        // And where the client is gone altogether.
        let another = one.client().await;
        let _request = another.request(&Wait);
        assert_eq!(waits.next().await, "began");
        soon("closing", another.close()).await;
        assert_eq!(waits.next().await, "dropped");
    }

    async fn request_to_a_client_given_up_drops_its_responder() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let (client, mut waits) = (other.client().await, Events::new());
        let report = waits.reporter();
        client
            .respond_async::<Wait>(move |Wait| {
                let report = report.clone();
                async move {
                    report("began");
                    let _dropped = OnDrop(move || report("dropped"));
                    std::future::pending::<()>().await;
                }
            })
            .unwrap();
        let to = other.cluster.client_ref(other.server.clients()[0]);
        let cluster = one.cluster.clone();
        let request = tokio::spawn(async move { cluster.request(&Wait, &to).await });
        assert_eq!(waits.next().await, "began");
        request.abort();
        assert_eq!(waits.next().await, "dropped");
        let to = other.cluster.client_ref(other.server.clients()[0]);
        let error = one.cluster.request(&Who, &to).await.unwrap_err();
        assert!(matches!(error, ClusterError::Request(RequestError::NoResponder { .. })), "{error:?}");
    }

    async fn request_of_another_version_is_an_error_that_names_the_field() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.responds_to_divide();
        one.cluster.forward::<Divide>().unwrap();
        one.knows(&other, &["divide"]).await;
        let client = one.client().await;
        let error = client.request(&NewerDivide { numerator: 4 }).await.unwrap_err();
        assert!(
            matches!(&error, RequestError::RequestUndecodable { text, .. } if text.contains("missing field `dividend`")),
            "{error}"
        );
    }

    async fn responder_that_panics_fails_the_request_alone() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.server.respond::<Slow>(|Slow(number), _| { assert!(number != 7); number }).unwrap();
        other.cluster.offer::<Slow>().unwrap();
        one.cluster.forward::<Slow>().unwrap();
        one.knows(&other, &["slow"]).await;
        let client = one.client().await;
        let error = client.request(&Slow(7)).await.unwrap_err();
        assert!(matches!(error, RequestError::ResponderPanicked { .. }), "{error}");
        assert_eq!(client.request(&Slow(8)).await.unwrap(), 8);
    }

    async fn own_responder_comes_before_the_forwarder() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        other.responds_to_divide();
        one.knows(&other, &["divide"]).await;
        let own = one.server.respond::<Divide>(|_, _| Ok::<i64, DivideError>(-1)).unwrap();
        one.cluster.forward::<Divide>().unwrap();
        let error = one.cluster.forward::<Divide>().unwrap_err();
        assert_eq!(error, ForwardError::AlreadyForwarded { topic: "divide".into() });
        let client = one.client().await;
        let divide = Divide { dividend: 6, divisor: 2 };
        assert_eq!(client.request(&divide).await.unwrap(), -1);
        assert!(one.server.off(own));
        assert_eq!(client.request(&divide).await.unwrap(), 3);
        one.server.respond::<Divide>(|_, _| Ok::<i64, DivideError>(-2)).unwrap();
        assert_eq!(client.request(&divide).await.unwrap(), -2);
    }

    async fn requester_beyond_this_machine_is_no_client() {
        let Some(nats) = Nats::start() else { return };
        let options = ClusterOptions::new(nats.url(), "desk").name("other");
        // It is offered to the domain: the users of this machine are not asked.
        let other = Node::built(options, |server| server.same_user_only()).await;
        let one = Node::join(&nats, "one").await;
        let (server, mut seen) = (other.server.handle(), Events::new());
        let report = seen.reporter();
        other.server.on_connection(|_| panic!("a requester beyond this machine is no connection"));
        other
            .server
            .respond::<Slow>(move |_, id| {
                let room = server.group("room 5");
                let is_member = room.join(id).unwrap() || !room.members().is_empty();
                let is_client = server.clients().contains(&id) || server.disconnect(id) || is_member;
                report((is_client, server.peer(id).is_some(), server.send(&news(1), id).is_ok(), id.get() > 1 << 50));
                Ok::<u64, ErrorReply>(server.broadcast(&news(2))? as u64)
            })
            .unwrap();
        other.cluster.offer::<Slow>().unwrap();
        one.cluster.forward::<Slow>().unwrap();
        one.knows(&other, &["slow"]).await;
        assert_eq!(one.client().await.request(&Slow(1)).await.unwrap(), 0);
        assert_eq!(seen.next().await, (false, false, false, true));
    }

    async fn many_requests_at_once_are_bounded_and_each_has_an_outcome() {
        let Some(nats) = Nats::start() else { return };
        let options = ClusterOptions::new(nats.url(), "desk").name("other");
        let other = Node::built(options, |server| server.max_requests(8)).await;
        let one = Node::join(&nats, "one").await;
        let mut waits = other.waits();
        one.cluster.forward::<Wait>().unwrap();
        one.knows(&other, &["wait"]).await;
        let client = one.client().await;
        let requests: Vec<_> = (0..20).map(|_| client.request(&Wait)).collect();
        let mut refused = 0;
        let mut pending = Vec::new();
        for request in requests {
            match support::in_time(Duration::from_millis(if refused < 12 { 500 } else { 0 }), request).await {
                Some(outcome) => {
                    assert_eq!(code(&outcome.unwrap_err()), ErrorReply::TOO_MANY_REQUESTS);
                    refused += 1;
                }
                None => pending.push(()),
            }
        }
        assert_eq!((refused, pending.len()), (12, 8));
        for _ in 0..8 {
            assert_eq!(waits.next().await, "began");
        }
    }

    async fn offer_without_responder_is_an_error() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        let error = one.cluster.offer::<(Divide, News)>().unwrap_err();
        assert_eq!(error, OfferError::NoResponder { topic: "divide".into() });
        // A forwarder replies to no other node.
        one.cluster.forward::<Divide>().unwrap();
        let error = one.cluster.offer::<Divide>().unwrap_err();
        assert_eq!(error, OfferError::NoResponder { topic: "divide".into() });
        one.responds_to_divide();
        one.cluster.leave().await;
        one.server.on::<News>(|_, _| {});
        assert!(matches!(one.cluster.offer::<News>(), Err(OfferError::Left { .. })));
    }
}
