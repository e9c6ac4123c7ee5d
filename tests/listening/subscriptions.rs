//! Messages as a bounded stream.

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use socket_ipc::limits::{SUBSCRIPTION_BYTES, SUBSCRIPTION_LEN};
use socket_ipc::{Client, Server, Topic};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "number"]
struct Number(usize);

fn numbers(range: std::ops::Range<usize>) -> String {
    range.map(|number| format!("{{\"topic\":\"number\",\"message\":{number}}}\n")).collect()
}

async fn listening() -> (Place, Server) {
    let place = Place::new();
    let server = Server::new(place.socket());
    server.listen().await.unwrap();
    (place, server)
}

support::both_flavours! {
    async fn server_subscription_yields_every_message_and_its_sender() {
        let (place, server) = listening().await;
        let mut subscription = server.subscribe::<Number>();
        for client in 1..=3 {
            RawPeer::connect(place.socket()).await.write(numbers(client..client + 1)).await;
            let (number, id) = soon("a message", subscription.next()).await.unwrap();
            assert_eq!((number, id.get()), (Number(client), client as u64));
        }
    }

    async fn client_subscription_slow_consumer_misses_no_message() {
        const COUNT: usize = 20 * SUBSCRIPTION_LEN;
        let (place, server) = listening().await;
        let handle = server.handle();
        server.on_connection(move |client_id| {
            for number in 0..COUNT {
                handle.send(&Number(number), client_id).unwrap();
            }
            handle.disconnect(client_id);
        });
        let mut gone = Events::new();
        let client = Client::new(place.socket());
        let (report, handle) = (gone.reporter(), client.handle());
        client.on_disconnect(move |_| {
            drop(handle.close());
            report(());
        });
        let mut subscription = client.subscribe::<Number>();
        client.connect().await.unwrap();
        for number in 0..COUNT {
            assert_eq!(soon("a message", subscription.next()).await, Some(Number(number)));
        }
        gone.next().await;
        assert_eq!(soon("the end", subscription.next()).await, None);
    }

    async fn full_subscription_delays_only_senders_of_its_topic() {
        let (place, server) = listening().await;
        let mut subscription = server.subscribe::<Number>();
        let mut received = Events::new();
        let report = received.reporter();
        server.on_topic("other", move |_, client_id| report(client_id.get()));
        let mut flooding = RawPeer::connect(place.socket()).await;
        flooding.write(numbers(0..2 * SUBSCRIPTION_LEN) + "{\"topic\":\"other\"}\n").await;
        let mut other = RawPeer::connect(place.socket()).await;
        for _ in 0..100 {
            other.write("{\"topic\":\"other\"}\n").await;
            assert_eq!(received.next().await, 2);
        }
        for number in 0..2 * SUBSCRIPTION_LEN {
            assert_eq!(soon("a message", subscription.next()).await.unwrap().0, Number(number));
        }
        assert_eq!(received.next().await, 1, "after all that came before");
    }

    async fn full_subscription_serves_waiting_clients_in_turn() {
        const EACH: usize = 2 * SUBSCRIPTION_LEN;
        let (place, server) = listening().await;
        let mut subscription = server.subscribe::<Number>();
        // Both have more than fits, so both wait from some point on.
        let (mut one, mut two) =
            (RawPeer::connect(place.socket()).await, RawPeer::connect(place.socket()).await);
        one.write(numbers(0..EACH)).await;
        two.write(numbers(0..EACH)).await;
        let mut all = Vec::new();
        while all.len() < 2 * EACH {
            all.push(soon("a message", subscription.next()).await.unwrap());
            // A slow consumer gives waiting clients the time to queue.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        for id in 1..=2 {
            let of_one: Vec<_> = all.iter().filter(|(_, from)| from.get() == id).map(|(number, _)| number.0).collect();
            assert!(of_one.iter().copied().eq(0..EACH), "client {id}: {of_one:?}");
        }
        // Neither client has all its messages taken before the other one's turn.
        let of_first = |half: &[(Number, socket_ipc::ClientId)]| half.iter().filter(|(_, id)| id.get() == 1).count();
        let (first, second) = all.split_at(EACH);
        assert!(of_first(first) < EACH && of_first(second) < EACH, "one client waited until the other was done");
    }

    async fn subscription_dropped_is_removed_and_waiting_clients_go_on() {
        let (place, server) = listening().await;
        let (mut received, mut errors) = (Events::new(), Events::new());
        let subscription = server.subscribe::<Number>();
        let (report, error) = (received.reporter(), errors.reporter());
        server.on_topic("number", move |message, _| report(message.as_str().to_owned()));
        server.on_message_error(move |found, _| error(found.to_string()));
        let mut peer = RawPeer::connect(place.socket()).await;
        let count = 4 * SUBSCRIPTION_LEN;
        peer.write(numbers(0..count)).await;
        assert_eq!(received.take(SUBSCRIPTION_LEN).await.last(), Some(&(SUBSCRIPTION_LEN - 1).to_string()));
        assert_eq!(format!("{subscription:?}"), format!("Subscription {{ held: {SUBSCRIPTION_LEN}, .. }}"));
        drop(subscription);
        assert_eq!(received.take(count - SUBSCRIPTION_LEN).await.last(), Some(&(count - 1).to_string()));
        // No subscription decodes it any more.
        peer.write("{\"topic\":\"number\",\"message\":\"none\"}\n").await;
        assert_eq!(received.next().await, "\"none\"");
        assert!(errors.rest().is_empty());
    }

    async fn several_subscriptions_each_yield_all_and_one_dropped() {
        let (place, server) = listening().await;
        let (mut first, mut second, mut third) =
            (server.subscribe::<Number>(), server.subscribe::<Number>(), server.subscribe::<Number>());
        let client = Client::new(place.socket());
        let (mut of_client, gone) = (client.subscribe::<Number>(), client.subscribe::<Number>());
        client.connect().await.unwrap();
        for number in 0..10 {
            client.send(&Number(number)).unwrap();
        }
        for number in 0..10 {
            for subscription in [&mut first, &mut second, &mut third] {
                assert_eq!(soon("a message", subscription.next()).await.unwrap().0, Number(number));
            }
        }
        drop(second);
        drop(gone);
        // More than the dropped one held: no sender waits for its room.
        let last = 10 + 2 * SUBSCRIPTION_LEN;
        for number in 10..last {
            client.send_async(&Number(number)).await.unwrap();
            for subscription in [&mut first, &mut third] {
                assert_eq!(soon("a message", subscription.next()).await.unwrap().0, Number(number));
            }
        }
        for number in 0..2 * SUBSCRIPTION_LEN {
            server.broadcast(&Number(number)).unwrap();
            assert_eq!(soon("a message", of_client.next()).await, Some(Number(number)));
        }
    }

    async fn raw_subscription_yields_all_topics_in_order_and_the_sender() {
        let (place, server) = listening().await;
        let mut on_server = server.subscribe_raw();
        let client = Client::new(place.socket());
        let mut on_client = client.subscribe_raw();
        client.connect().await.unwrap();
        for number in 0..10 {
            client.send(&Number(number)).unwrap();
            client.send_raw("", &[number]).unwrap();
        }
        for number in 0..10 {
            let (topic, message, id) = soon("a message", on_server.next()).await.unwrap();
            assert_eq!((&*topic, message.decode().unwrap(), id.get()), ("number", Number(number), 1));
            let (topic, message, id) = soon("a message", on_server.next()).await.unwrap();
            assert_eq!((&*topic, message.decode().unwrap(), id.get()), ("none", [number], 1));
            // And back, as it came.
            server.send_raw(&topic, &message, id).unwrap();
        }
        for number in 0..10 {
            let (topic, message) = soon("a message", on_client.next()).await.unwrap();
            assert_eq!((&*topic, message.as_str()), ("none", &*format!("[{number}]")));
        }
        client.close().await;
        assert_eq!(soon("the end", on_client.next()).await, None);
    }

    async fn raw_subscription_full_delays_every_message_and_loses_none() {
        const COUNT: usize = 10 * SUBSCRIPTION_LEN;
        let (place, server) = listening().await;
        let mut all = server.subscribe_raw();
        let mut received = Events::new();
        let report = received.reporter();
        server.on::<Number>(move |Number(number), _| report(number));
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(numbers(0..COUNT)).await;
        // The message that found no room has not reached the listeners of its topic.
        assert!(received.take(SUBSCRIPTION_LEN).await.into_iter().eq(0..SUBSCRIPTION_LEN));
        assert_eq!(format!("{all:?}"), format!("Subscription {{ held: {SUBSCRIPTION_LEN}, .. }}"));
        for number in 0..COUNT - 1 {
            let (_, message, _) = soon("a message", all.next()).await.unwrap();
            assert_eq!(message.decode::<Number>().unwrap(), Number(number));
        }
        drop(all);
        assert!(received.take(COUNT - SUBSCRIPTION_LEN).await.into_iter().eq(SUBSCRIPTION_LEN..COUNT));
    }

    async fn subscription_server_closed_yields_the_rest_and_ends() {
        let (place, server) = listening().await;
        let mut received = Events::new();
        let (mut closed, mut dropped) = (server.subscribe::<Number>(), server.subscribe::<Number>());
        let report = received.reporter();
        server.on::<Number>(move |msg, _| report(msg.0));
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(numbers(0..3)).await;
        received.take(3).await;
        server.close().await;
        for number in 0..3 {
            assert_eq!(soon("a message", closed.next()).await.unwrap().0, Number(number));
        }
        assert!(soon("the end", closed.next()).await.is_none());
        drop(server);
        assert_eq!(dropped.by_ref().count().await, 3);
        let server = Server::new(place.socket());
        let mut dropped = server.subscribe::<Number>();
        let late = server.handle();
        drop(server);
        assert!(soon("the end", dropped.next()).await.is_none());
        assert!(soon("the end", late.subscribe::<Number>().next()).await.is_none());
    }

    async fn subscription_as_stream_composes() {
        let (place, server) = listening().await;
        let numbers_of = server.subscribe::<Number>();
        let client = Client::new(place.socket());
        client.connect().await.unwrap();
        for number in 0..100 {
            client.send(&Number(number)).unwrap();
        }
        let squares = numbers_of.map(|(number, _)| number.0).filter(|number| futures::future::ready(number % 2 == 1)).map(|odd| odd * odd);
        let chunks: Vec<Vec<usize>> = soon("the chunks", squares.chunks(10).take(5).collect()).await;
        assert_eq!(chunks.concat().len(), 50);
        assert_eq!(chunks[0][..3], [1, 9, 25]);
    }

    async fn subscription_next_dropped_loses_no_message() {
        let (place, server) = listening().await;
        let mut subscription = server.subscribe::<Number>();
        let mut peer = RawPeer::connect(place.socket()).await;
        for number in 0..200 {
            {
                let mut next = std::pin::pin!(subscription.next());
                assert!(futures::poll!(next.as_mut()).is_pending());
            }
            peer.write(numbers(number..number + 1)).await;
            assert_eq!(soon("a message", subscription.next()).await.unwrap().0, Number(number));
        }
    }

    async fn subscription_long_messages_is_bounded_in_bytes_and_loses_none() {
        let (place, server) = listening().await;
        let mut raw = server.subscribe_raw();
        let mut typed = server.subscribe::<Text>();
        let mut noted = Events::new();
        let report = noted.reporter();
        server.on_topic("text", move |message, _| report(message.as_str().len()));
        let mut peer = RawPeer::connect(place.socket()).await;
        let sending = tokio::spawn(async move {
            for number in 0..20 {
                peer.write(text(number, MIB)).await;
            }
            peer
        });
        // Both subscriptions are full, since both hold the same messages. The next message waits for both.
        let most = SUBSCRIPTION_BYTES / MIB;
        assert_eq!(noted.take(most).await.len(), most);
        for number in 0..20 {
            let (held_raw, held_typed) = (format!("{raw:?}"), format!("{typed:?}"));
            for held in [held_raw, held_typed] {
                let (_, held) = held.split_once("held: ").unwrap();
                let held: usize = held.split_once(',').unwrap().0.parse().unwrap();
                assert!(held <= most, "{held} MiB are held");
            }
            let (_, message, _) = soon("a raw message", raw.next()).await.unwrap();
            assert!(message.as_str().starts_with(&format!("[{number},")));
            let (Text(found, text), _) = soon("a message", typed.next()).await.unwrap();
            assert_eq!((found, text.len() > MIB - 100), (number, true));
        }
        sending.await.unwrap();
    }

    async fn subscription_empty_takes_a_message_of_any_length() {
        let place = Place::new();
        let len = 2 * SUBSCRIPTION_BYTES;
        let server = Server::builder(place.socket()).max_message_len(len).build();
        server.listen().await.unwrap();
        let mut subscription = server.subscribe::<Text>();
        let mut peer = RawPeer::connect(place.socket()).await;
        let sending = tokio::spawn(async move {
            for (number, len) in [(0, 100), (1, len), (2, len), (3, 100)] {
                peer.write(text(number, len)).await;
            }
            peer
        });
        for number in 0..4 {
            assert_eq!(soon("a message", subscription.next()).await.unwrap().0.0, number);
        }
        sending.await.unwrap();
    }

    async fn raw_subscriptions_share_one_copy_of_a_message() {
        let (place, server) = listening().await;
        let mut subscriptions = [(); 3].map(|()| server.subscribe_raw());
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(text(1, 1_000)).await;
        let mut places = Vec::new();
        for subscription in &mut subscriptions {
            let (_, message, _) = soon("a message", subscription.next()).await.unwrap();
            places.push((message.as_str().as_ptr() as usize, message));
        }
        assert!(places.iter().all(|(place, _)| *place == places[0].0));
    }
}

const MIB: usize = 1024 * 1024;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "text"]
struct Text(usize, String);

/// A line of `len` bytes.
fn text(number: usize, len: usize) -> String {
    let (before, after) = (format!("{{\"topic\":\"text\",\"message\":[{number},\""), "\"]}\n");
    let filler = "x".repeat(len - before.len() - after.len());
    before + &filler + after
}
