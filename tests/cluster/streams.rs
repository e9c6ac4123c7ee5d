//! Streams of clients of other nodes.

use std::time::{Duration, Instant};

use socket_ipc::cluster::{ClientRef, ClusterError, ClusterOptions};
use socket_ipc::{Client, CloseCause, ErrorReply, RequestError};
use support::nats::Nats;
use support::soon;

use crate::nodes::{Node, Slow};
use crate::stream_topics::{Count, Failure, Follow, Streams, Texts, all, count, failed, is_silent, next};

/// Two nodes, and a client of the other one that responds.
async fn nodes(nats: &Nats) -> (Node, Node, Client, ClientRef, Streams) {
    let (one, other) = (Node::join(nats, "one").await, Node::join(nats, "other").await);
    let client = other.client().await;
    let streams = Streams::of_client(&client);
    let to = other.cluster.client_ref(other.server.clients()[0]);
    one.knows(&other, &[]).await;
    other.knows(&one, &[]).await;
    (one, other, client, to, streams)
}

support::both_flavours! {
    async fn stream_of_a_client_of_another_node_is_whole_and_in_order() {
        let Some(nats) = Nats::start() else { return };
        let (one, other, _client, to, _streams) = nodes(&nats).await;
        for cluster in [&one.cluster, &other.cluster] {
            let (items, error) = all(cluster.request_stream(&count(20_000), &to)).await;
            assert!(error.is_none(), "{error:?}");
            assert!(items.into_iter().eq(0..20_000));
            // One without items.
            let mut none = cluster.request_stream(&count(0), &to);
            soon("the start", none.started()).await.unwrap();
            assert!(next(&mut none).await.is_none());
            let failure = Failure::Odd { number: 3 };
            let (items, error) = all(cluster.request_stream(&Count { to: 3, failure: Some(failure.clone()) }, &to)).await;
            assert_eq!(items, [0, 1, 2]);
            let error = match error {
                Some(ClusterError::Request(RequestError::Failed { error, .. })) => error,
                other => panic!("{other:?}"),
            };
            assert_eq!(error, failure);
        }
    }

    async fn stream_of_a_client_that_is_dropped_drops_the_responders() {
        let Some(nats) = Nats::start() else { return };
        let (one, _other, _client, to, mut streams) = nodes(&nats).await;
        let mut numbers = one.cluster.request_stream(&Follow { numbers: 2 }, &to);
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        assert_eq!(streams.follows.next().await, "began");
        drop(numbers);
        assert_eq!(streams.follows.next().await, "dropped");
        // Also where nothing has come yet.
        let mut nothing = one.cluster.request_stream(&Follow { numbers: 0 }, &to);
        soon("the start", nothing.started()).await.unwrap();
        assert_eq!(streams.follows.next().await, "began");
        drop(nothing);
        assert_eq!(streams.follows.next().await, "dropped");
    }

    async fn stream_of_a_client_fails_as_on_one_machine() {
        let Some(nats) = Nats::start() else { return };
        let (one, other, client, to, _streams) = nodes(&nats).await;
        client.respond::<Slow>(|Slow(number)| number).unwrap();
        #[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
        #[topic(name = "slow", stream = u64)]
        struct SlowStream;
        let error = failed(one.cluster.request_stream(&SlowStream, &to)).await;
        assert!(
            matches!(&error, ClusterError::Request(RequestError::Rejected { reply, .. }) if reply.code() == ErrorReply::STREAM),
            "{error}"
        );
        let nobody = ClientRef { client: 999, ..to.clone() };
        let error = failed(one.cluster.request_stream(&count(1), &nobody)).await;
        assert!(matches!(&error, ClusterError::UnknownClient { client, .. } if *client == nobody), "{error}");
        let nowhere = ClientRef { node: "gone.0123456789abcdef".parse().unwrap(), client: 1 };
        let mut stream = one.cluster.request_stream(&count(1), &nowhere);
        let error = soon("the error", stream.started()).await.unwrap_err();
        assert!(matches!(error, ClusterError::UnknownNode { .. }), "{error}");
        assert!(next(&mut stream).await.is_none());
        let mut numbers = one.cluster.request_stream(&Follow { numbers: 1 }, &to);
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        assert!(other.server.disconnect(other.server.clients()[0]));
        let (_, error) = all(numbers).await;
        let cause = match error {
            Some(ClusterError::Request(RequestError::ConnectionLost { cause, .. })) => cause,
            error => panic!("{error:?}"),
        };
        assert!(matches!(cause, CloseCause::Disconnected), "{cause}");
    }

    async fn stream_without_a_start_or_an_item_in_time_is_given_up() {
        let Some(nats) = Nats::start() else { return };
        let (one, other, client, to, mut streams) = nodes(&nats).await;
        let short = Duration::from_millis(300);
        let begun = Instant::now();
        let mut idle = one.cluster.request_stream(&Follow { numbers: 1 }, &to).idle_timeout(short);
        assert_eq!(next(&mut idle).await.unwrap().unwrap(), 0);
        let error = next(&mut idle).await.unwrap().unwrap_err();
        assert!(matches!(error, ClusterError::Timeout { timeout, .. } if timeout == short), "{error}");
        assert_eq!(streams.follows.take(2).await, ["began", "dropped"]);
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        // A client that stands in a listener begins nothing.
        drop(client);
        soon("the end of the connection", async {
            while !other.server.clients().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let silent = support::RawPeer::connect(other.place.socket()).await;
        soon("the connection", async {
            while other.server.clients().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let to = other.cluster.client_ref(other.server.clients()[0]);
        let error = failed(one.cluster.request_stream(&count(1), &to).timeout(short)).await;
        assert!(matches!(error, ClusterError::Timeout { timeout, .. } if timeout == short), "{error}");
        drop(silent);
    }

    async fn slow_reader_paces_the_client_of_another_node_alone() {
        let Some(nats) = Nats::start() else { return };
        let (one, _other, _client, to, streams) = nodes(&nats).await;
        let mut slow = one.cluster.request_stream(&Texts { len: 1000 }, &to).window(100_000);
        soon("the start", slow.started()).await.unwrap();
        let made = streams.texts_at_rest().await;
        // What the window of each of the two connections holds, and what one of them had at hand.
        assert!((100..=205).contains(&made), "{made} texts of 1,000 bytes for a window of 100,000");
        // Another stream of the same client, and a request, are not held up.
        let (items, error) = all(one.cluster.request_stream(&count(5000), &to)).await;
        assert!(error.is_none() && items.len() == 5000, "{error:?}");
        for _ in 0..500 {
            assert_eq!(next(&mut slow).await.unwrap().unwrap().len(), 1000);
        }
        let after = streams.texts_at_rest().await;
        assert!((500..=705).contains(&after), "{after}");
        assert!(one.cluster.request_stream(&Texts { len: 2000 }, &to).window(1000).next().await.unwrap().is_err());
    }

    async fn small_windows_come_to_no_standstill() {
        let Some(nats) = Nats::start() else { return };
        let (one, _other, _client, to, _streams) = nodes(&nats).await;
        for window in [64, 100, 129, 1000] {
            let (items, error) = all(one.cluster.request_stream(&count(300), &to).window(window)).await;
            assert!(error.is_none() && items.len() == 300, "{window}: {error:?}");
        }
    }

    async fn stream_of_a_client_ends_at_once_where_the_link_is_down() {
        let Some(mut nats) = Nats::start() else { return };
        let (one, _other, _client, to, mut streams) = nodes(&nats).await;
        let mut numbers = one.cluster.request_stream(&Follow { numbers: 1 }, &to);
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        let killed = Instant::now();
        nats.kill();
        let error = next(&mut numbers).await.unwrap().unwrap_err();
        assert!(matches!(error, ClusterError::LinkDown { .. }), "{error}");
        let error = failed(one.cluster.request_stream(&count(1), &to)).await;
        assert!(matches!(error, ClusterError::LinkDown { .. }), "{error}");
        assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
        nats.restart();
        // It is told that nobody waits any more, once there is a link again.
        assert_eq!(streams.follows.take(2).await, ["began", "dropped"]);
    }

    async fn streams_end_where_a_node_leaves() {
        let Some(nats) = Nats::start() else { return };
        let (one, other, _client, to, mut streams) = nodes(&nats).await;
        let follow = async || {
            let mut numbers = one.cluster.request_stream(&Follow { numbers: 1 }, &to);
            assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
            numbers
        };
        let (mut first, left) = (follow().await, Instant::now());
        soon("leaving", other.cluster.leave()).await;
        let error = next(&mut first).await.unwrap().unwrap_err();
        assert!(
            matches!(&error, ClusterError::Request(RequestError::Rejected { reply, .. }) if reply.code() == ErrorReply::CLOSING),
            "{error}"
        );
        assert_eq!(streams.follows.take(2).await, ["began", "dropped"]);
        assert!(left.elapsed() < Duration::from_secs(3), "it waits for no stream: {:?}", left.elapsed());
    }

    async fn streams_of_a_node_that_leaves_itself_end_with_left() {
        let Some(nats) = Nats::start() else { return };
        let (one, _other, _client, to, mut streams) = nodes(&nats).await;
        let mut numbers = one.cluster.request_stream(&Follow { numbers: 1 }, &to);
        assert_eq!(next(&mut numbers).await.unwrap().unwrap(), 0);
        soon("leaving", one.cluster.leave()).await;
        let error = next(&mut numbers).await.unwrap().unwrap_err();
        assert!(matches!(error, ClusterError::Left { .. }), "{error}");
        assert_eq!(streams.follows.take(2).await, ["began", "dropped"]);
        let error = failed(one.cluster.request_stream(&count(1), &to)).await;
        assert!(matches!(error, ClusterError::Left { .. }), "{error}");
    }

    async fn too_large_request_or_too_many_streams_are_errors() {
        let Some(nats) = Nats::with("max_payload: 4096") else { return };
        let other = Node::join(&nats, "other").await;
        let one = Node::with(ClusterOptions::new(nats.url(), "desk").name("one").max_requests(2)).await;
        let client = other.client().await;
        let _streams = Streams::of_client(&client);
        let to = other.cluster.client_ref(other.server.clients()[0]);
        let error = failed(one.cluster.request_stream(&Named("x".repeat(5000)), &to)).await;
        assert!(matches!(error, ClusterError::TooLarge { limit: 3840, .. }), "{error}");
        // An item that is too long for NATS ends its stream.
        let error = failed(one.cluster.request_stream(&Texts { len: 4000 }, &to)).await;
        assert!(error.to_string().contains("an item of 4002 bytes is over the 3840"), "{error}");
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut numbers = one.cluster.request_stream(&Follow { numbers: 0 }, &to);
            soon("the start", numbers.started()).await.unwrap();
            open.push(numbers);
        }
        let mut beyond = one.cluster.request_stream(&Follow { numbers: 0 }, &to);
        let error = next(&mut beyond).await.unwrap().unwrap_err();
        assert!(matches!(error, ClusterError::TooManyRequests { limit: 2, .. }), "{error}");
        assert!(is_silent(&mut open[0]).await);
    }
}

#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "named", stream = u64)]
struct Named(String);
