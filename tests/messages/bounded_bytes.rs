//! Sets of topics and streams of events are bounded in bytes, as subscriptions of one topic are.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::limits::SUBSCRIPTION_BYTES;
use socket_ipc::{Client, ClientEvent, Server, ServerEvent, Subscription, Topic, TopicSet};
use support::{Events, Place, RawPeer, soon};

const MIB: usize = 1024 * 1024;

/// How many messages of 1 MiB fit.
const MOST: usize = SUBSCRIPTION_BYTES / MIB;

/// How many are sent.
const COUNT: usize = 20;

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "even"]
struct Even(usize, String);

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "odd"]
struct Odd(usize, String);

#[derive(TopicSet, Debug)]
enum Both {
    Even(Even),
    Odd(Odd),
}

impl Both {
    fn number(self) -> usize {
        let (Self::Even(Even(number, text)) | Self::Odd(Odd(number, text))) = self;
        assert!(text.len() > MIB - 100);
        number
    }
}

/// A message of 1 MiB as a line, under the topic of its number.
fn line(number: usize) -> String {
    let topic = if number.is_multiple_of(2) { "even" } else { "odd" };
    let (before, after) = (format!("{{\"topic\":\"{topic}\",\"message\":[{number},\""), "\"]}\n");
    let filler = "x".repeat(MIB - before.len() - after.len());
    before + &filler + after
}

/// Reads all messages of a stream, of which the listeners noted the dispatch, and finds it full and never more than full.
async fn read_all<T>(mut stream: Subscription<T>, mut noted: Events<()>, number: impl Fn(T) -> usize)
where
    Subscription<T>: std::fmt::Debug,
{
    noted.take(MOST).await;
    // What is dispatched beyond the bound is noted within this time, at the latest as messages are read.
    let beyond = tokio::time::timeout(Duration::from_millis(300), noted.next());
    assert!(beyond.await.is_err(), "one beyond the bound was dispatched");
    let mut dispatched = MOST;
    for next in 0..COUNT {
        dispatched += noted.rest().len();
        assert!(dispatched <= next + MOST, "{dispatched} were dispatched, and {next} read");
        let held = format!("{stream:?}");
        let (_, held) = held.split_once("held: ").unwrap();
        let held: usize = held.split_once(',').unwrap().0.parse().unwrap();
        assert!(held <= MOST && (next > 0 || held == MOST), "{held} MiB are held");
        assert_eq!(number(soon("a message", stream.next()).await.unwrap()), next);
    }
}

async fn listening() -> (Place, Server) {
    let place = Place::new();
    let server = Server::new(place.socket());
    server.listen().await.unwrap();
    (place, server)
}

/// A note for each message that has passed the streams that are there already.
macro_rules! noted {
    ($endpoint:expr, |$($argument:pat_param),*|) => {{
        let noted = Events::new();
        for topic in ["even", "odd"] {
            let report = noted.reporter();
            $endpoint.on_topic(topic, move |$($argument),*| report(()));
        }
        noted
    }};
}

async fn write_all(mut peer: RawPeer) -> RawPeer {
    for number in 0..COUNT {
        peer.write(line(number)).await;
    }
    peer
}

support::both_flavours! {
    async fn set_long_messages_of_two_topics_is_bounded_in_bytes_and_loses_none() {
        let (place, server) = listening().await;
        let set = server.subscribe::<Both>();
        let noted = noted!(server, |_, _|);
        let sending = tokio::spawn(write_all(RawPeer::connect(place.socket()).await));
        read_all(set, noted, |(message, _)| message.number()).await;
        sending.await.unwrap();
    }

    async fn server_events_long_messages_is_bounded_in_bytes_and_loses_none() {
        let (place, server) = listening().await;
        let mut events = server.events::<Both>();
        let noted = noted!(server, |_, _|);
        let peer = RawPeer::connect(place.socket()).await;
        assert!(matches!(soon("the beginning", events.next()).await, Some(ServerEvent::Connected(_))));
        let sending = tokio::spawn(write_all(peer));
        let number = |event| match event {
            ServerEvent::Message(message, _) => Both::number(message),
            other => panic!("{other:?}"),
        };
        read_all(events, noted, number).await;
        sending.await.unwrap();
    }

    async fn client_events_long_messages_is_bounded_in_bytes_and_loses_none() {
        let (place, mut connected) = (Place::new(), Events::new());
        let server = Server::builder(place.socket()).outbox_len(2 * COUNT * MIB).build();
        server.on_connection(connected.reporter());
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        let mut events = client.events::<Both>();
        let noted = noted!(client, |_|);
        client.connect().await.unwrap();
        let id = connected.next().await;
        assert!(matches!(soon("the beginning", events.next()).await, Some(ClientEvent::Connected { .. })));
        let text = "x".repeat(MIB - 50);
        for number in 0..COUNT {
            match number % 2 {
                0 => server.send(&Even(number, text.clone()), id).unwrap(),
                _ => server.send(&Odd(number, text.clone()), id).unwrap(),
            }
        }
        let number = |event| match event {
            ClientEvent::Message(message) => Both::number(message),
            other => panic!("{other:?}"),
        };
        read_all(events, noted, number).await;
    }
}
