//! Messages of which only the latest matters: every client ends with the last one, however slowly it reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{
    Client, ClientId, CloseCause, CloseReason, Delivery, SendError, Server, ServerBuilder, Topic, limits,
};
use support::{Events, Place, RawPeer, soon};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, DuplexStream, Lines, duplex};

const KIB: usize = 1024;

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "gauge"]
struct Gauge {
    number: u64,
    filling: String,
}

fn gauge(number: u64, len: usize) -> Gauge {
    Gauge { number, filling: "x".repeat(len) }
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "block"]
struct Block(String);

/// A server with raw clients, and the close reason of each.
struct Scene {
    server: Server,
    connected: Events<ClientId>,
    gone: Events<(ClientId, CloseReason)>,
    place: Place,
}

impl Scene {
    async fn new(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let (place, connected, gone) = (Place::new(), Events::new(), Events::new());
        // The tests decide which client is too slow.
        let options = options(Server::builder(place.socket()).write_stall(Duration::from_secs(3_600)));
        let server = options.build();
        server.on_connection(connected.reporter());
        let report = gone.reporter();
        server.on_connection_close(move |id, reason| report((id, reason.clone())));
        server.listen().await.unwrap();
        Self { server, connected, gone, place }
    }

    async fn client(&mut self) -> (RawPeer, ClientId) {
        let peer = RawPeer::connect(self.place.socket()).await;
        (peer, self.connected.next().await)
    }

    /// A client of which little is written until it reads, so that the length of its outbox is known.
    async fn slow(&mut self) -> (Slow, ClientId) {
        let (ours, theirs) = duplex(Slow::TAKES);
        let id = self.server.serve_connection(ours).unwrap().unwrap();
        assert_eq!(self.connected.next().await, id);
        (Slow(BufReader::new(theirs).lines()), id)
    }

    /// Fills the outbox of such a client to this length at least. Returns how many blocks were sent.
    async fn fill(&self, id: ClientId, len: usize) -> usize {
        let block = Block("b".repeat(32 * KIB));
        let before = self.server.stats();
        let blocks = len / (32 * KIB) + 1;
        (0..blocks).for_each(|_| self.server.send(&block, id).unwrap());
        let sent = self.server.stats().sent.bytes - before.sent.bytes;
        let filled = async {
            while self.server.stats().outbox_len != before.outbox_len + sent - Slow::TAKES as u64 {
                tokio::task::yield_now().await;
            }
        };
        soon("a full transport", filled).await;
        blocks
    }

    fn latest(&self, number: u64, len: usize) -> Delivery {
        self.server.broadcast_latest(&gauge(number, len)).unwrap()
    }
}

/// A client that reads a line at a time.
struct Slow(Lines<BufReader<DuplexStream>>);

impl Slow {
    /// How many bytes can be written to it before it reads.
    const TAKES: usize = 16;

    /// The next line; an empty one at the end.
    async fn line(&mut self) -> String {
        soon("a line", self.0.next_line()).await.unwrap().unwrap_or_default()
    }

    /// The numbers of gauges up to this one, which comes last; blocks between them are skipped.
    async fn gauges_until(&mut self, last: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.last() != Some(&last) {
            numbers.extend(read(&self.line().await).1);
        }
        numbers
    }
}

fn delivery(queued: usize, deferred: usize, replaced: usize) -> Delivery {
    let mut delivery = Delivery::default();
    (delivery.queued, delivery.deferred, delivery.replaced) = (queued, deferred, replaced);
    delivery
}

/// The topic of a line, and the number of a gauge.
fn read(line: &str) -> (String, Option<u64>) {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    (value["topic"].as_str().unwrap().to_owned(), value["message"]["number"].as_u64())
}

/// The numbers of gauges up to this one, which comes last; blocks between them are skipped.
async fn gauges_until(peer: &mut RawPeer, last: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        numbers.extend(read(&peer.line().await).1);
    }
    numbers
}

support::both_flavours! {
    async fn client_that_keeps_up_gets_every_message() {
        let mut scene = Scene::new(|options| options).await;
        let (mut peer, _) = scene.client().await;
        for number in 0..1_000 {
            assert_eq!(scene.latest(number, 100), delivery(1, 0, 0));
            assert_eq!(read(&peer.line().await).1, Some(number));
        }
    }

    async fn client_above_high_water_keeps_one_message_a_topic() {
        let mut scene = Scene::new(|options| options).await;
        let ((mut slow, id), (mut fast, _)) = (scene.slow().await, scene.client().await);
        let blocks = scene.fill(id, limits::OUTBOX_HIGH_WATER + 32 * KIB).await;
        let before = scene.server.stats().outbox_len;
        for number in 1..=500 {
            let expected = if number == 1 { delivery(1, 1, 0) } else { delivery(1, 0, 1) };
            assert_eq!(scene.latest(number, 100), expected);
            assert_eq!(scene.server.broadcast_latest_raw("other", &number).unwrap(), expected);
            assert_eq!(read(&fast.line().await).1, Some(number));
            assert_eq!(fast.line().await, format!(r#"{{"topic":"other","message":{number}}}"#));
        }
        let kept = scene.server.stats().outbox_len - before;
        assert!((150..300).contains(&kept), "two messages are kept, and {kept} bytes");
        assert_eq!(scene.server.stats().replaced_messages, 2 * 499);
        for _ in 0..blocks {
            assert_eq!(read(&slow.line().await).0, "block");
        }
        assert_eq!(read(&slow.line().await), ("gauge".to_owned(), Some(500)));
        assert_eq!(slow.line().await, r#"{"topic":"other","message":500}"#);
        assert_eq!(scene.latest(501, 100), delivery(2, 0, 0));
        assert_eq!(read(&slow.line().await).1, Some(501), "nothing else came, and it has caught up");
    }

    async fn kept_message_is_queued_as_soon_as_there_is_room() {
        let mut scene = Scene::new(|options| options).await;
        let (mut slow, id) = scene.slow().await;
        let blocks = scene.fill(id, limits::OUTBOX_HIGH_WATER + 200 * KIB).await;
        scene.latest(1, 100);
        scene.server.send(&Block("after".into()), id).unwrap();
        let mut seen = Vec::new();
        while seen.len() < blocks + 2 {
            seen.push(read(&slow.line().await));
        }
        let at = seen.iter().position(|(topic, _)| topic == "gauge").unwrap();
        assert!(at > blocks && seen[at].1 == Some(1), "at {at} of {blocks} blocks and two messages");
        // It is not sent behind everything that is queued later, either.
        let blocks = scene.fill(id, limits::OUTBOX_HIGH_WATER + 200 * KIB).await;
        scene.latest(2, 100);
        let paced = async {
            for _ in 0..100 {
                scene.server.send_async(&Block("b".repeat(32 * KIB)), id).await.unwrap();
            }
        };
        let reading = async {
            let mut at = None;
            for line in 0..blocks + 101 {
                if read(&slow.line().await).1 == Some(2) {
                    at = Some(line);
                }
            }
            at.unwrap()
        };
        let ((), at) = tokio::join!(paced, reading);
        assert!(at <= blocks + 2, "after {at} lines, of which {blocks} were there before");
    }

    async fn readers_of_any_speed_end_with_the_last_message_of_a_burst() {
        const BURSTS: u64 = 20;
        let mut scene = Scene::new(|options| options).await;
        // Bytes that each reads at a time; what it does in between makes it slower or faster than the sender.
        let mut readers = Vec::new();
        for (at, chunk) in [64 * KIB, 4 * KIB, 700, 50_000, 1_500].into_iter().enumerate() {
            let (mut peer, _) = scene.client().await;
            let (seen, mut last) = tokio::sync::watch::channel(0);
            tokio::spawn(async move {
                let (mut buffer, mut received) = (vec![0; chunk], Vec::new());
                loop {
                    for _ in 0..at * 3 {
                        tokio::task::yield_now().await;
                    }
                    let count = peer.stream.read(&mut buffer).await.unwrap_or(0);
                    if count == 0 {
                        return;
                    }
                    received.extend_from_slice(&buffer[..count]);
                    while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
                        let line: Vec<_> = received.drain(..=end).collect();
                        if let Some(number) = read(std::str::from_utf8(&line).unwrap()).1 {
                            seen.send_modify(|last| {
                                assert!(number > *last, "{number} after {last}");
                                *last = number;
                            });
                        }
                    }
                }
            });
            last.mark_unchanged();
            readers.push(last);
        }
        // Reads only between the bursts.
        let (mut stopped, _) = scene.client().await;
        let (mut number, mut random) = (0, fastrand::Rng::with_seed(5));
        let mut all = Delivery::default();
        for burst in 0..BURSTS {
            // The first is more than a socket and an outbox below the high-water mark hold.
            for _ in 0..if burst == 0 { 600 } else { random.usize(1..300) } {
                number += 1;
                let Delivery { queued, deferred, replaced, .. } = scene.latest(number, random.usize(0..3_000));
                assert_eq!(queued + deferred + replaced, readers.len() + 1);
                all = delivery(all.queued + queued, all.deferred + deferred, all.replaced + replaced);
                if random.u8(0..10) == 0 {
                    tokio::task::yield_now().await;
                }
            }
            assert!(gauges_until(&mut stopped, number).await.is_sorted_by(|one, next| one < next));
            for last in &mut readers {
                soon("the last of a burst", last.wait_for(|last| *last == number)).await.unwrap();
            }
        }
        println!("{all:?}");
        assert!(all.replaced > 0, "{all:?}");
        let sent = scene.server.stats().sent.messages as usize;
        assert_eq!(sent, all.queued + all.deferred, "a replaced one was never sent");
    }

    async fn client_library_slow_subscription_ends_with_the_last() {
        let mut scene = Scene::new(|options| options).await;
        let client = Client::new(scene.place.socket());
        let mut gauges = client.subscribe::<Gauge>();
        client.connect().await.unwrap();
        scene.connected.next().await;
        let mut replaced = 0;
        for number in 1..=3_000 {
            replaced += scene.latest(number, 2_000).replaced;
            tokio::task::yield_now().await;
        }
        assert!(replaced > 0);
        let mut last = 0;
        while last < 3_000 {
            let Gauge { number, .. } = soon("a gauge", gauges.next()).await.unwrap();
            assert!(number > last);
            last = number;
        }
    }

    async fn long_messages_are_kept_and_replaced_too() {
        let mut scene = Scene::new(|options| options).await;
        let ((mut slow, id), (mut other, other_id)) = (scene.slow().await, scene.slow().await);
        scene.fill(id, 2 * limits::OUTBOX_HIGH_WATER).await;
        scene.fill(other_id, 4 * limits::OUTBOX_HIGH_WATER).await;
        let before = scene.server.stats().outbox_len as usize;
        for number in 1..=12 {
            let len = 10 * KIB + (number as usize % 5) * 500 * KIB;
            assert_eq!(scene.latest(number, len), if number == 1 { delivery(0, 2, 0) } else { delivery(0, 0, 2) });
            let kept = scene.server.stats().outbox_len as usize - before;
            assert!((len..len + 100).contains(&kept), "{kept} bytes for {len}, shared by both");
        }
        assert_eq!(slow.gauges_until(12).await, [12]);
        assert_eq!(other.gauges_until(12).await, [12]);
    }

    async fn gauge_alone_never_ends_a_connection_however_short_its_outbox() {
        for outbox_len in [1, 1_000, 100 * KIB] {
            let mut scene = Scene::new(|options| options.outbox_len(outbox_len)).await;
            let (mut slow, _) = scene.client().await;
            let mut replaced = 0;
            for number in 1..=2_000 {
                replaced += scene.latest(number, 2_000).replaced;
            }
            assert!(replaced > 0 && scene.server.clients().len() == 1);
            assert!(gauges_until(&mut slow, 2_000).await.is_sorted());
        }
    }

    async fn topics_without_end_end_a_client_that_does_not_read() {
        let mut scene = Scene::new(|options| options.outbox_len(200 * KIB)).await;
        let ((_slow, id), (mut fast, _)) = (scene.slow().await, scene.client().await);
        scene.fill(id, 100 * KIB).await;
        let mut kept = 0;
        for number in 0_u64.. {
            let message = "x".repeat(1_000);
            let delivery = scene.server.broadcast_latest_raw(&format!("topic {number}"), &message).unwrap();
            fast.line().await;
            assert_eq!((delivery.queued, delivery.replaced), (1, 0));
            if delivery.deferred == 0 {
                break;
            }
            kept += 1;
        }
        assert!((60..105).contains(&kept), "{kept} topics of 1 KB were kept beside at least 100 KiB");
        let (gone, reason) = scene.gone.next().await;
        assert_eq!(gone, id);
        assert!(matches!(reason.cause, CloseCause::SlowClient), "{reason}");
        assert!(reason.unsent_messages >= kept && reason.unsent_bytes >= 1_000 * kept, "{reason}");
        assert_eq!(scene.server.clients().len(), 1);
    }

    async fn kept_message_counts_in_the_outbox_for_other_sends() {
        let mut scene = Scene::new(|options| options.outbox_len(300 * KIB)).await;
        let (_slow, id) = scene.slow().await;
        scene.fill(id, 100 * KIB).await;
        let block = Block("b".repeat(50 * KIB));
        scene.server.send(&block, id).unwrap();
        assert_eq!(scene.latest(1, 140 * KIB), delivery(0, 1, 0));
        let error = scene.server.send(&block, id).unwrap_err();
        assert!(matches!(error, SendError::OutboxFull { .. }), "{error}");
        assert_eq!(scene.latest(2, 1), delivery(0, 0, 1));
        scene.server.send(&block, id).unwrap();
    }

    async fn disconnect_and_close_write_the_last_message() {
        for closes in [false, true] {
            let mut scene = Scene::new(|options| options).await;
            let (mut slow, id) = scene.slow().await;
            scene.fill(id, 2 * limits::OUTBOX_HIGH_WATER).await;
            for number in 1..=10 {
                scene.latest(number, 100_000);
            }
            if closes {
                drop(scene.server.close());
            } else {
                scene.server.disconnect(id);
            }
            assert_eq!(scene.latest_of_ended(), closes.then_some(()), "nothing is accepted any more");
            assert_eq!(slow.gauges_until(10).await, [10]);
            assert_eq!(slow.line().await, "", "the end");
            drop(slow);
            let (_, reason) = scene.gone.next().await;
            assert_eq!((reason.unsent_messages, reason.unsent_bytes), (0, 0), "{reason}");
        }
    }

    async fn connection_lost_says_that_the_last_message_was_not_sent() {
        let mut scene = Scene::new(|options| options).await;
        let (slow, id) = scene.slow().await;
        let blocks = scene.fill(id, 2 * limits::OUTBOX_HIGH_WATER).await;
        let before = scene.server.stats().outbox_len;
        for number in 1..=10 {
            scene.latest(number, 1_000);
        }
        drop(slow);
        let (_, reason) = scene.gone.next().await;
        assert!((1_000..1_100).contains(&(reason.unsent_bytes - before)), "{reason}");
        assert_eq!(reason.unsent_messages as usize, blocks + 1, "{reason}");
        assert_eq!(scene.server.stats().outbox_len, 0);
    }

    async fn outboxes_full_together_is_an_error_and_no_client_gets_it() {
        let options = |options: ServerBuilder| options.outbox_total_len(300 * KIB);
        let mut scene = Scene::new(options).await;
        let ((mut slow, id), (mut fast, _)) = (scene.slow().await, scene.client().await);
        scene.fill(id, 200 * KIB).await;
        let error = scene.server.broadcast_latest(&gauge(1, 150 * KIB)).unwrap_err();
        assert!(matches!(error, SendError::OutboxTotalFull { .. }), "{error}");
        assert_eq!(scene.latest(2, 100), delivery(1, 1, 0), "a short one has room");
        assert_eq!(gauges_until(&mut fast, 2).await, [2]);
        assert_eq!(slow.gauges_until(2).await, [2]);
    }

    async fn groups_and_server_share_what_a_client_keeps_of_a_topic() {
        let mut scene = Scene::new(|options| options).await;
        let (mut slow, id) = scene.slow().await;
        let rooms = ["room 1", "room 2"].map(|name| scene.server.group(name));
        rooms.iter().for_each(|room| assert_eq!(room.join(id), Ok(true)));
        scene.fill(id, 2 * limits::OUTBOX_HIGH_WATER).await;
        assert_eq!(rooms[0].broadcast_latest(&gauge(1, 10)).unwrap(), delivery(0, 1, 0));
        assert_eq!(rooms[1].broadcast_latest(&gauge(2, 10)).unwrap(), delivery(0, 0, 1));
        assert_eq!(scene.latest(3, 10), delivery(0, 0, 1));
        assert_eq!(rooms[0].broadcast_latest_raw("gauge", &gauge(4, 10)).unwrap(), delivery(0, 0, 1));
        assert!(rooms[0].leave(id));
        assert_eq!(rooms[0].broadcast_latest(&gauge(5, 10)).unwrap(), delivery(0, 0, 0));
        assert_eq!(slow.gauges_until(4).await, [4]);
    }
}

impl Scene {
    /// Broadcasts to nobody; `Some` if the server is closed.
    fn latest_of_ended(&self) -> Option<()> {
        match self.server.broadcast_latest(&gauge(0, 10)) {
            Ok(reached) => {
                assert_eq!(reached, Delivery::default());
                None
            }
            Err(error) => {
                assert!(matches!(error, SendError::Closed { .. }), "{error}");
                Some(())
            }
        }
    }
}
