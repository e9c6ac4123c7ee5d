//! Streams of the clients of a node, which another node responds to.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket_ipc::cluster::{ClusterOptions, ForwardError};
use socket_ipc::{Client, ErrorReply, RequestError, Topic, Wire};
use support::nats::Nats;
use support::soon;

use crate::nodes::{Divide, Node, Slow};
use crate::stream_topics::{Count, Failure, Follow, Streams, Texts, all, count, failed, next};

/// Two nodes, the other of which responds, and a client of the one that forwards.
async fn nodes(nats: &Nats) -> (Node, Node, Client, Streams) {
    let (one, other) = (Node::join(nats, "one").await, Node::join(nats, "other").await);
    let streams = Streams::of(&other);
    one.cluster.forward::<(Count, Follow, Texts)>().unwrap();
    one.knows(&other, &["count", "follow", "texts"]).await;
    other.knows(&one, &[]).await;
    let client = one.client().await;
    (one, other, client, streams)
}

fn code<E: std::fmt::Debug>(error: &RequestError<E>) -> &str {
    match error {
        RequestError::Rejected { reply, .. } => reply.code(),
        error => panic!("{error:?}"),
    }
}

support::both_flavours! {
    async fn forwarded_stream_is_whole_and_in_order() {
        let Some(nats) = Nats::start() else { return };
        let (_one, other, client, _streams) = nodes(&nats).await;
        let (items, error) = all(client.request_stream(&count(50_000))).await;
        assert!(error.is_none(), "{error:?}");
        assert!(items.into_iter().eq(0..50_000));
        let (texts, error) = all(futures::StreamExt::take(client.request_stream(&Texts { len: 10_000 }), 300)).await;
        assert!(error.is_none() && texts.iter().all(|text| text.len() == 10_000), "{error:?}");
        let mut none = client.request_stream(&count(0));
        soon("the start", none.started()).await.unwrap();
        assert!(next(&mut none).await.is_none());
        // On the node itself as ever.
        let (items, _) = all(other.client().await.request_stream(&count(10))).await;
        assert_eq!(items.len(), 10);
    }

    async fn forwarded_stream_fails_as_on_one_machine() {
        let Some(nats) = Nats::start() else { return };
        let (one, other, client, _streams) = nodes(&nats).await;
        let failure = Failure::Odd { number: 7 };
        let (items, error) = all(client.request_stream(&Count { to: 2, failure: Some(failure.clone()) })).await;
        assert_eq!(items, [0, 1]);
        assert!(matches!(error, Some(RequestError::Failed { error, .. }) if error == failure));
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "count", stream = u64)]
        struct Newer {
            until: u64,
        }
        let error = failed(client.request_stream(&Newer { until: 3 })).await;
        assert!(
            matches!(&error, RequestError::RequestUndecodable { text, .. } if text.contains("missing field `to`")),
            "{error}"
        );
        // A stream that is requested as a single reply, and the other way round.
        #[derive(Topic, Serialize, Deserialize, Debug)]
        #[topic(name = "follow", reply = u64)]
        struct Single;
        let error = soon("the error", client.request(&Single)).await.unwrap_err();
        assert_eq!(code(&error), ErrorReply::STREAM);
        #[derive(Topic, Serialize, Deserialize, Debug)]
        #[topic(name = "divide", stream = i64)]
        struct Divisions;
        other.responds_to_divide();
        one.cluster.forward::<Divisions>().unwrap();
        one.knows(&other, &["divide"]).await;
        let error = failed(client.request_stream(&Divisions)).await;
        assert_eq!(code(&error), ErrorReply::STREAM);
        other.server.respond_stream::<Panics>(|Panics, _| futures::stream::poll_fn(|_| -> std::task::Poll<Option<u64>> { panic!("on purpose") })).unwrap();
        other.cluster.offer::<Panics>().unwrap();
        one.cluster.forward::<Panics>().unwrap();
        one.knows(&other, &["panics"]).await;
        let error = failed(client.request_stream(&Panics)).await;
        assert!(matches!(error, RequestError::ResponderPanicked { .. }), "{error}");
    }

    async fn forwarded_stream_nobody_responds_to_fails_before_it_has_begun() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        one.cluster.forward::<(Divide, Count)>().unwrap();
        let client = one.client().await;
        let mut stream = client.request_stream(&count(1));
        let begun = Instant::now();
        let error = soon("the error", stream.started()).await.unwrap_err();
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "count"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(1));
        // A node that has one of its own does not forward.
        let own = one.server.respond_stream::<Count>(|_, _| futures::stream::iter([77])).unwrap();
        assert_eq!(all(client.request_stream(&count(1))).await.0, [77]);
        assert!(one.server.off(own));
        let error = failed(client.request_stream(&count(1))).await;
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error}");
        let error = one.cluster.forward::<Count>().unwrap_err();
        assert_eq!(error, ForwardError::AlreadyForwarded { topic: "count".into() });
        let options = ClusterOptions::new(nats.url(), "desk").name("of the Node library");
        let node = Node::built(options, |server| server.wire(Wire::NODE_0_4)).await;
        assert_eq!(node.cluster.forward::<Count>(), Err(ForwardError::NoStreams { topic: "count".into() }));
    }

    async fn forwarded_stream_given_up_drops_the_responders() {
        let Some(nats) = Nats::start() else { return };
        let (one, _other, client, mut streams) = nodes(&nats).await;
        let mut numbers = client.request_stream(&Follow { numbers: 1 });
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        drop(numbers);
        assert_eq!(streams.follows.take(2).await, ["began", "dropped"]);
        // And where the client is gone altogether.
        let another = one.client().await;
        let mut numbers = another.request_stream(&Follow { numbers: 1 });
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        soon("closing", another.close()).await;
        assert_eq!(streams.follows.take(2).await, ["began", "dropped"]);
    }

    async fn slow_client_paces_the_responder_of_another_node_alone() {
        let Some(nats) = Nats::start() else { return };
        let (_one, _other, client, streams) = nodes(&nats).await;
        let mut slow = client.request_stream(&Texts { len: 1000 }).window(100_000);
        soon("the start", slow.started()).await.unwrap();
        let made = streams.texts_at_rest().await;
        assert!((100..=205).contains(&made), "{made} texts of 1,000 bytes for a window of 100,000");
        let (items, error) = all(client.request_stream(&count(5000))).await;
        assert!(error.is_none() && items.len() == 5000, "{error:?}");
        for _ in 0..500 {
            assert_eq!(next(&mut slow).await.unwrap().unwrap().len(), 1000);
        }
        let after = streams.texts_at_rest().await;
        assert!((500..=705).contains(&after), "{after}");
        // One that takes any number of bytes is paced by the node.
        let mut huge = client.request_stream(&Texts { len: 1000 }).window(u64::MAX);
        assert_eq!(next(&mut huge).await.unwrap().unwrap().len(), 1000);
        let error = failed(client.request_stream(&Texts { len: 2000 }).window(1000)).await;
        assert_eq!(code(&error), ErrorReply::WINDOW);
        assert!(error.to_string().contains("more than the window of 1000"), "{error}");
    }

    async fn long_envelopes_come_to_no_standstill() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        // Each line of the server that responds is four times as long as its item.
        other.server.respond_stream::<LongName>(|LongName, _| futures::stream::iter(0..1000)).unwrap();
        other.cluster.offer::<LongName>().unwrap();
        one.cluster.forward::<LongName>().unwrap();
        one.knows(&other, &[<LongName as Topic>::NAME]).await;
        let client = one.client().await;
        for window in [300, 1000, 10_000] {
            let (numbers, error) = all(client.request_stream(&LongName).window(window)).await;
            assert!(error.is_none() && numbers.len() == 1000, "{window}: {error:?}");
        }
    }

    async fn many_streams_at_once_are_each_whole() {
        let Some(nats) = Nats::start() else { return };
        let (_one, _other, client, _streams) = nodes(&nats).await;
        let streams = (0..50_u64).map(|extra| {
            let window = 64 << (extra % 12);
            let stream = client.request_stream(&count(500 + extra)).window(window);
            async move {
                let (items, error) = all(stream).await;
                assert!(error.is_none(), "{error:?}");
                assert!(items.into_iter().eq(0..500 + extra));
            }
        });
        futures::future::join_all(streams).await;
    }

    async fn forwarded_stream_ends_at_once_where_the_link_is_down() {
        let Some(mut nats) = Nats::start() else { return };
        let (_one, _other, client, mut streams) = nodes(&nats).await;
        let mut numbers = client.request_stream(&Follow { numbers: 1 });
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        let killed = Instant::now();
        nats.kill();
        let error = next(&mut numbers).await.unwrap().unwrap_err();
        assert_eq!(code(&error), "link_down");
        assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
        nats.restart();
        assert_eq!(streams.follows.take(2).await, ["began", "dropped"]);
    }

    async fn forwarded_stream_of_a_silent_node_is_lost() {
        let Some(nats) = Nats::start() else { return };
        let options = |name| ClusterOptions::new(nats.url(), "desk").name(name).silence(Duration::from_millis(1500));
        let (one, other) = (Node::with(options("one")).await, Node::with(options("other")).await);
        let mut streams = Streams::of(&other);
        one.cluster.forward::<Follow>().unwrap();
        one.knows(&other, &["follow"]).await;
        let client = one.client().await;
        let mut numbers = client.request_stream(&Follow { numbers: 1 });
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        // Signs of life keep it, however long it is silent.
        assert!(support::in_time(Duration::from_secs(4), numbers.next()).await.is_none());
        let stopped = Instant::now();
        nats.signal(rustix::process::Signal::STOP);
        let error = next(&mut numbers).await.unwrap().unwrap_err();
        assert_eq!(code(&error), "lost");
        assert!(stopped.elapsed() < Duration::from_secs(3), "{:?}", stopped.elapsed());
        nats.signal(rustix::process::Signal::CONT);
        assert_eq!(streams.follows.take(2).await, ["began", "dropped"]);
    }

    async fn forwarded_streams_end_where_a_node_leaves_or_a_server_closes() {
        let Some(nats) = Nats::start() else { return };
        let (one, other, client, mut streams) = nodes(&nats).await;
        let third = Node::join(&nats, "third").await;
        let mut of_third = Streams::of(&third);
        one.knows(&third, &["follow"]).await;
        other.knows(&third, &["follow"]).await;
        // One of the two nodes has it.
        let mut numbers = client.request_stream(&Follow { numbers: 1 });
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        let (left, has_first) = (Instant::now(), !streams.follows.rest().is_empty());
        let (first, second, of_second) =
            if has_first { (&other, &third, &mut of_third) } else { (&third, &other, &mut streams) };
        soon("leaving", first.cluster.leave()).await;
        let error = next(&mut numbers).await.unwrap().unwrap_err();
        assert_eq!(code(&error), ErrorReply::CLOSING);
        assert!(left.elapsed() < Duration::from_secs(3), "it waits for no stream: {:?}", left.elapsed());
        // A new one goes to the node that is left.
        let mut numbers = follow_again(&client).await;
        assert_eq!(of_second.follows.next().await, "began");
        soon("closing", second.server.close()).await;
        let error = next(&mut numbers).await.unwrap().unwrap_err();
        assert_eq!(code(&error), ErrorReply::CLOSING);
        // And where the node of the client leaves.
        let again = Node::join(&nats, "again").await;
        let mut of_again = Streams::of(&again);
        one.knows(&again, &["follow"]).await;
        let mut numbers = follow_again(&client).await;
        soon("leaving", one.cluster.leave()).await;
        let error = next(&mut numbers).await.unwrap().unwrap_err();
        assert_eq!(code(&error), "link_down");
        assert_eq!(of_again.follows.take(2).await, ["began", "dropped"]);
    }

    async fn streams_of_another_node_are_bounded_and_leave_places_for_others() {
        let Some(nats) = Nats::start() else { return };
        let other = Node::built(ClusterOptions::new(nats.url(), "desk").name("other"), |server| server.max_requests(4)).await;
        let one = Node::join(&nats, "one").await;
        let mut streams = Streams::of(&other);
        other.responds_slowly();
        one.cluster.forward::<(Follow, Slow)>().unwrap();
        one.knows(&other, &["follow", "slow"]).await;
        let client = one.client().await;
        let mut open = Vec::new();
        for _ in 0..4 {
            let mut numbers = client.request_stream(&Follow { numbers: 1 });
            assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
            open.push(numbers);
        }
        let error = failed(client.request_stream(&Follow { numbers: 1 })).await;
        assert_eq!(code(&error), ErrorReply::TOO_MANY_REQUESTS);
        open.pop();
        streams.follows.take(5).await;
        assert_eq!(soon("the reply", client.request(&Slow(1))).await.unwrap(), 1);
    }
}

/// Requests a stream after a node has left. One request for each such node may have been on its way to it.
async fn follow_again(client: &Client) -> socket_ipc::ReplyStream<u64> {
    for _ in 0..3 {
        let mut numbers = client.request_stream(&Follow { numbers: 1 });
        match next(&mut numbers).await.unwrap() {
            Ok(number) => {
                assert_eq!(number, 0);
                return numbers;
            }
            Err(error) => assert!([ErrorReply::CLOSING, "lost"].contains(&code(&error)), "{error}"),
        }
    }
    panic!("nobody responds")
}

/// A stream that panics.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "panics", stream = u64)]
struct Panics;

/// A topic with a long name.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(
    name = "a_name_that_is_so_long_that_the_lines_of_its_items_are_long_and_the_items_themselves_are_as_short_as_can_be_which_is_what_a_window_between_two_nodes_has_to_make_up_for_whatever_else_there_is",
    stream = u64
)]
struct LongName;
