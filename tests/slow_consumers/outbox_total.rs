//! The budget for all outboxes of a server: a bound, whatever fills it, and no harm to the clients that read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socket_ipc::{
    Client, CloseCause, CloseReason, RequestError, SendError, Server, ServerBuilder, Topic, limits,
};
use support::{DEADLINE, Events, Place, RawPeer, soon};

const MIB: usize = 1024 * 1024;
const TOTAL: usize = 8 * MIB;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "give much", reply = Much)]
struct GiveMuch(usize);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "much"]
struct Much(Box<RawValue>);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "ping", reply = Pong)]
struct Ping;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "pong"]
struct Pong;

#[derive(Topic, Serialize)]
#[topic = "block"]
struct Block<'m>(&'m RawValue);

fn much(len: usize) -> Box<RawValue> {
    RawValue::from_string(format!("\"{}\"", "x".repeat(len))).unwrap()
}

/// A server that replies with as much as requested, at once or asynchronously, and its events.
struct Scene {
    place: Place,
    server: Server,
    closes: Events<CloseReason>,
    connected: Events<socket_ipc::ClientId>,
}

impl Scene {
    async fn new(is_async: bool, options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let (place, closes, connected) = (Place::new(), Events::new(), Events::new());
        let server = options(Server::builder(place.socket()).outbox_total_len(TOTAL)).build();
        if is_async {
            let reply = |GiveMuch(len), _| async move { Much(much(len)) };
            server.respond_async::<GiveMuch>(reply).unwrap();
        } else {
            server.respond::<GiveMuch>(|GiveMuch(len), _| Much(much(len))).unwrap();
        }
        server.respond::<Ping>(|Ping, _| Pong).unwrap();
        let report = closes.reporter();
        server.on_connection_close(move |_, reason: &CloseReason| report(reason.clone()));
        server.on_connection(connected.reporter());
        server.listen().await.unwrap();
        Self { place, server, closes, connected }
    }

    async fn client(&self) -> Client {
        let client = Client::new(self.place.socket());
        client.connect().await.unwrap();
        client
    }

    /// Clients that send `requests` requests each and read nothing.
    async fn greedy(&mut self, clients: usize, requests: usize, len: usize) -> Vec<RawPeer> {
        let mut greedy = Vec::new();
        for _ in 0..clients {
            let mut peer = RawPeer::connect(self.place.socket()).await;
            self.connected.next().await;
            for id in 0..requests {
                peer.write(format!("{{\"topic\":\"give much\",\"message\":{len},\"id\":{id}}}\n")).await;
            }
            greedy.push(peer);
        }
        greedy
    }

    /// Waits until all outboxes together hold `len` bytes.
    async fn filled(&self, len: usize) {
        let filled = async {
            while (self.server.stats().outbox_len as usize) < len {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon("full outboxes", filled).await;
    }
}

/// The most that may be queued for this many clients.
fn bound(clients: usize) -> usize {
    TOTAL + clients * 2 * limits::OUTBOX_HIGH_WATER
}

support::both_flavours! {
    async fn outbox_total_replies_to_slow_consumers_stay_below_it() {
        for is_async in [false, true] {
            let mut scene = Scene::new(is_async, |options| options).await;
            let clients = 40;
            let mut greedy = scene.greedy(clients, 4, MIB).await;
            scene.filled(TOTAL - 2 * MIB).await;
            // A new client gets a small reply, and an error that names the limit instead of a large one.
            let other = scene.client().await;
            soon("a small reply", other.request(&Ping)).await.unwrap();
            let RequestError::Rejected { reply, .. } =
                soon("a large reply", other.request(&GiveMuch(2 * MIB))).await.err().unwrap()
            else { panic!("another error") };
            let text = reply.text();
            assert!(text.contains("outbox_total_len") && text.contains(&TOTAL.to_string()), "{text}");
            let stats = scene.server.stats();
            assert!(stats.outbox_peak as usize <= bound(clients + 1), "{}", stats.outbox_peak);
            assert!(scene.closes.rest().is_empty(), "a client was disconnected");
            // A client that reads gets a reply, or an error, to each request.
            for _ in 0..4 {
                greedy[0].line().await;
            }
            drop(greedy);
            for _ in 0..clients {
                scene.closes.next().await;
            }
            let Much(reply) = soon("a large reply", other.request(&GiveMuch(2 * MIB))).await.unwrap();
            assert_eq!(reply.get().len(), 2 * MIB + 2);
            other.close().await;
            scene.closes.next().await;
            assert_eq!(scene.server.stats().outbox_len, 0);
        }
    }

    async fn outbox_total_full_large_send_returns_error() {
        let mut scene = Scene::new(false, |options| options.write_stall(3 * DEADLINE)).await;
        let greedy_peers = scene.greedy(9, 1, MIB).await;
        scene.filled(TOTAL - MIB).await;
        let other = scene.client().await;
        let id = scene.connected.next().await;
        let small = much(1000);
        let mut received = Events::new();
        let report = received.reporter();
        other.on_topic("block", move |message| report(message.as_str().len()));
        for error in [
            scene.server.send(&Block(&much(2 * MIB)), id).unwrap_err(),
            scene.server.broadcast(&Block(&much(2 * MIB))).unwrap_err(),
        ] {
            let SendError::OutboxTotalFull { topic, size, queued, limit } = &error else { panic!("{error}") };
            assert_eq!((topic.as_str(), *limit), ("block", TOTAL));
            assert!(*size > 2 * MIB && *queued <= TOTAL && queued + size > TOTAL);
            assert!(error.to_string().contains("outbox_total_len"), "{error}");
        }
        scene.server.send(&Block(&small), id).unwrap();
        assert_eq!(received.next().await, 1002);
        // A message that waits for room is sent as soon as there is room.
        let waiting = tokio::spawn({
            let server = scene.server.handle();
            async move { server.send_async(&Block(&much(2 * MIB)), id).await }
        });
        let broadcast = tokio::spawn({
            let server = scene.server.handle();
            async move { server.broadcast_async(&Block(&much(2 * MIB))).await }
        });
        tokio::task::yield_now().await;
        assert!(scene.closes.rest().is_empty(), "a client was disconnected");
        drop(greedy_peers);
        soon("a message that waited", waiting).await.unwrap().unwrap();
        soon("a broadcast that waited", broadcast).await.unwrap().unwrap();
        assert_eq!([received.next().await, received.next().await], [2 * MIB + 2; 2]);
        assert_eq!(scene.server.clients(), [id]);
        other.close().await;
    }

    async fn outbox_total_full_of_trickling_clients_has_room_after_write_stall() {
        // Long enough for a busy machine to fill the outboxes meanwhile.
        let stall = Duration::from_secs(2);
        let mut scene = Scene::new(false, |options| options.write_stall(stall)).await;
        let greedy = scene.greedy(8, 3, MIB).await;
        scene.filled(TOTAL - 2 * MIB).await;
        // They keep reading, but so little that their outboxes stay full.
        let trickling = tokio::spawn(async move {
            let (start, mut buffer) = (Instant::now(), vec![0; 30_000]);
            while start.elapsed() < DEADLINE {
                for peer in &greedy {
                    let _ = peer.stream.try_read(&mut buffer);
                }
                tokio::time::sleep(stall / 4).await;
            }
        });
        let other = scene.client().await;
        let id = loop {
            let id = scene.connected.next().await;
            if scene.connected.rest().is_empty() {
                break id;
            }
        };
        let received = Arc::new(tokio::sync::Notify::new());
        let notify = Arc::clone(&received);
        other.on_topic("block", move |_| notify.notify_one());
        soon("room", scene.server.send_async(&Block(&much(4 * MIB - 1000)), id)).await.unwrap();
        soon("the message", received.notified()).await;
        assert!(matches!(scene.closes.next().await.cause, CloseCause::SlowClient));
        assert!(scene.server.clients().contains(&id));
        trickling.abort();
    }
}
