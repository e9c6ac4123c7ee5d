//! The counters of a server and a client.

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Stats, Topic, TopicTraffic, Traffic};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "number"]
struct Number(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "double", reply = Doubled)]
struct Double(u64);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "doubled"]
struct Doubled(u64);

/// Numbers from 0.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "numbers", stream = u64)]
struct Numbers {
    to: u64,
}

/// The length of `{"topic":"number","message":1}` and its newline.
const NUMBER_LEN: u64 = 31;

fn pair(traffic: Traffic) -> (u64, u64) {
    (traffic.messages, traffic.bytes)
}

/// The counters of a topic, which must exist.
fn of<'s>(stats: &'s Stats, topic: &str) -> &'s TopicTraffic {
    stats
        .topics
        .iter()
        .find(|traffic| traffic.topic == topic)
        .unwrap_or_else(|| panic!("no {topic} in {stats:?}"))
}

async fn connected() -> (Place, Server, Client) {
    let place = Place::new();
    let server = Server::new(place.socket());
    let mut here = Events::new();
    let report = here.reporter();
    let listener = server.on_connection(move |_| report(()));
    server.listen().await.unwrap();
    let client = Client::new(place.socket());
    client.connect().await.unwrap();
    here.next().await;
    server.off(listener);
    (place, server, client)
}

/// Waits until the server has received all earlier messages: the reply to a request on the same connection comes after
/// them.
async fn received_all(server: &Server, client: &Client) {
    let responder = server.respond_raw("ready", Some("ready reply"), |_, _| Ok(())).unwrap();
    soon("the reply", client.request_raw("ready", &())).await.unwrap();
    server.off(responder);
}

support::both_flavours! {
    async fn messages_and_bytes_are_counted_by_topic_at_both_ends() {
        let (_place, server, client) = connected().await;
        server.on::<Number>(|Number(_), _| {});
        for _ in 0..10 {
            client.send(&Number(1)).unwrap();
        }
        client.send_async(&Number(1)).await.unwrap();
        received_all(&server, &client).await;
        assert_eq!(pair(of(&server.stats(), "number").received), (11, 11 * NUMBER_LEN));
        assert_eq!(pair(of(&client.stats(), "number").sent), (11, 11 * NUMBER_LEN));
        let id = server.clients()[0];
        server.send(&Number(1), id).unwrap();
        assert_eq!(server.broadcast(&Number(1)).unwrap(), 1);
        assert_eq!(server.broadcast_async(&Number(1)).await.unwrap(), 1);
        assert_eq!(pair(of(&server.stats(), "number").sent), (3, 3 * NUMBER_LEN));
        // Sent to no client.
        assert_eq!(server.broadcast_except(&Number(1), id).unwrap(), 0);
        assert_eq!(pair(of(&server.stats(), "number").sent), (3, 3 * NUMBER_LEN));
    }

    async fn received_messages_are_counted_once_the_connection_is_idle() {
        let (_place, server, client) = connected().await;
        server.on::<Number>(|Number(_), _| {});
        for _ in 0..10 {
            client.send(&Number(1)).unwrap();
        }
        // Nothing further comes.
        let counted = async {
            while server.stats().topics.iter().all(|topic| topic.received.messages < 10) {
                tokio::task::yield_now().await;
            }
        };
        soon("the count", counted).await;
        assert_eq!(pair(of(&server.stats(), "number").received), (10, 10 * NUMBER_LEN));
    }

    async fn topics_without_listener_are_counted_together() {
        let (place, server, _client) = connected().await;
        server.on_topic("known", |_, _| {});
        let mut peer = RawPeer::connect(place.socket()).await;
        let mut sent = String::new();
        for number in 0..1_000 {
            sent += &format!("{{\"topic\":\"made up {number}\"}}\n");
        }
        peer.write(&sent).await;
        peer.write("{\"topic\":\"known\"}\nno message\n{\"topic\":\"ready\",\"id\":1}\n").await;
        assert!(peer.line().await.contains("no_responder"));
        let stats = server.stats();
        assert_eq!(stats.topics.len(), 1, "{stats:?}");
        assert_eq!(pair(of(&stats, "known").received), (1, 18));
        assert_eq!(pair(stats.other_topics.received), (1_001, sent.len() as u64 + 25));
        assert_eq!(stats.received.messages, 1_002);
        assert_eq!(stats.message_errors, 1);
        assert_eq!(stats.other_topics.sent.messages, 1, "the error reply");
    }

    async fn requests_and_replies_are_counted_by_topic() {
        let (_place, server, client) = connected().await;
        server.respond::<Double>(|Double(number), _| Doubled(2 * number)).unwrap();
        server.respond_async::<Number2>(|Number2(number), _| async move { Doubled(number) }).unwrap();
        for number in 0..5 {
            assert_eq!(soon("the reply", client.request(&Double(number))).await.unwrap(), Doubled(2 * number));
            soon("the reply", client.request(&Number2(number))).await.unwrap();
        }
        received_all(&server, &client).await;
        let (here, there) = (server.stats(), client.stats());
        assert_eq!(of(&here, "double").received.messages, 5);
        // A reply is counted under the topic of its request.
        assert_eq!(of(&here, "double").sent.messages, 5);
        assert_eq!(of(&here, "number two").sent.messages, 5);
        assert_eq!(of(&there, "double").sent, of(&here, "double").received);
        // Replies go to the requests, not to listeners, so they are counted under other topics.
        assert_eq!(there.other_topics.received.messages, 11);
        assert_eq!(here.sent, there.received);
        assert_eq!(here.received, there.sent);
    }

    async fn items_of_a_stream_are_counted_alike_at_both_ends() {
        let (_place, server, client) = connected().await;
        server.respond_stream::<Numbers>(|Numbers { to }, _| futures::stream::iter(0..to)).unwrap();
        let mut items = client.request_stream(&Numbers { to: 1_000 });
        for number in 0..1_000 {
            assert_eq!(soon("an item", items.next()).await.unwrap().unwrap(), number);
        }
        assert!(soon("the end", items.next()).await.is_none());
        received_all(&server, &client).await;
        let counted = async {
            while client.stats().received != server.stats().sent {
                tokio::task::yield_now().await;
            }
        };
        soon("the count", counted).await;
        // The start, the items, the end, and the reply.
        assert_eq!(client.stats().received.messages, 1_003);
    }

    async fn connections_and_outbox_are_counted() {
        let (place, server, client) = connected().await;
        let stats = client.stats();
        assert_eq!((stats.open_connections, stats.total_connections), (1, 1));
        let mut here = Events::new();
        let report = here.reporter();
        server.on_topic("hello", move |_, client_id| report(client_id));
        let mut ended = Events::new();
        let report = ended.reporter();
        server.on_connection_close(move |_, _| report(()));
        let mut stuck = RawPeer::connect(place.socket()).await;
        stuck.write("{\"topic\":\"hello\"}\n").await;
        let id = here.next().await;
        assert_eq!(server.stats().open_connections, 2);
        let text = "x".repeat(1_000_000);
        for _ in 0..5 {
            server.send_raw("long", &text, id).unwrap();
        }
        let stats = server.stats();
        assert!(stats.outbox_len > 3_000_000 && stats.outbox_len <= stats.outbox_peak, "{stats:?}");
        assert!(stats.outbox_peak >= 5_000_000 && stats.outbox_peak < 5_100_000, "{stats:?}");
        // Broadcasts that find it full end its connection.
        while server.clients().len() == 2 {
            server.broadcast_raw("long", &text).unwrap();
            received_all(&server, &client).await;
        }
        ended.next().await;
        let stats = server.stats();
        assert_eq!((stats.slow_consumers, stats.open_connections, stats.total_connections), (1, 1, 2));
        drop(server);
        let mut back = Events::new();
        let report = back.reporter();
        client.on_reconnect(move || report(()));
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        back.next().await;
        assert_eq!(client.stats().total_connections, 2);
        server.close().await;
    }
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "number two", reply = Doubled)]
struct Number2(u64);

#[test]
fn stats_round_trip_as_json() {
    let server = Server::new("/tmp/myApp.sock");
    server.on_topic("known", |_, _| {});
    let stats = server.stats();
    let text = serde_json::to_string(&stats).unwrap();
    assert!(text.contains(r#""topics":[{"topic":"known","received":{"messages":0,"bytes":0}"#), "{text}");
    assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
}
