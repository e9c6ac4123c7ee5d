//! A peer that does not read is aborted with exact counts, and no other peer waits. For a peer that reads slowly the
//! sender is paced, and nothing is lost.

use std::pin::pin;
use std::sync::LazyLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use socket_ipc::{Client, ClientId, CloseCause, CloseReason, SendError, Server, ServerBuilder, Topic};
use support::{DEADLINE, Events, Place, RawPeer, soon};
use tokio::io::AsyncReadExt;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

const MIB: usize = 1024 * 1024;
/// Far more than any socket buffer holds.
const MUCH: usize = 32 * MIB;

/// A message whose line takes 64 KiB, whatever its number.
#[derive(Topic, Serialize)]
#[topic = "block"]
struct Block {
    number: usize,
    /// Text that is encoded already, since the speed of encoding is not tested.
    filling: &'static RawValue,
}

static FILLING: LazyLock<Box<RawValue>> = LazyLock::new(|| {
    let rest = r#"{"topic":"block","message":{"number":1000000,"filling":""}}"#.len() + 1;
    RawValue::from_string(format!("\"{}\"", "x".repeat(Block::LINE_LEN - rest))).unwrap()
});

impl Block {
    const LINE_LEN: usize = 64 * 1024;

    fn new(number: usize) -> Self {
        Self { number: 1_000_000 + number, filling: &FILLING }
    }

    fn line(number: usize) -> String {
        let number = 1_000_000 + number;
        format!("{{\"topic\":\"block\",\"message\":{{\"number\":{number},\"filling\":{}}}}}\n", FILLING.get())
    }
}

/// A block that counts how often it is encoded.
#[derive(Topic)]
#[topic = "block"]
struct Counted<'c> {
    encodings: &'c AtomicUsize,
    block: Block,
}

impl Serialize for Counted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encodings.fetch_add(1, Relaxed);
        self.block.serialize(serializer)
    }
}

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
        let server = options(Server::builder(place.socket())).build();
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
}

/// Asserts that the reason counts exactly the bytes that were accepted and did not reach the kernel.
async fn assert_exact(reason: &CloseReason, accepted: usize, stuck: &mut RawPeer) {
    let received = stuck.closed().await;
    assert_eq!(reason.unsent_bytes as usize, accepted * Block::LINE_LEN - received.len());
    assert_eq!(reason.unsent_messages as usize, accepted - received.len() / Block::LINE_LEN);
    assert!(reason.unsent_messages > 0);
    for (number, line) in received.chunks(Block::LINE_LEN).enumerate() {
        assert!(
            Block::line(number).as_bytes().starts_with(line),
            "the kernel got something else as {number}"
        );
    }
}

/// Reads blocks and sends the number of each, to the end of the stream, which may only come between two.
fn read_blocks(mut peer: RawPeer) -> mpsc::Receiver<usize> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut line = vec![0; Block::LINE_LEN];
        for number in 0.. {
            match peer.stream.read_exact(&mut line).await {
                Ok(_) => assert!(line == Block::line(number).as_bytes(), "not the block {number}"),
                Err(_) => return,
            }
            if sender.send(number).await.is_err() {
                return;
            }
        }
    });
    receiver
}

support::both_flavours! {
    async fn client_never_reads_outbox_full_is_aborted_and_others_get_all() {
        // Only the full outbox may abort it, however slow the machine is.
        let mut scene = Scene::new(|options| options.outbox_len(MUCH).write_stall(3 * DEADLINE)).await;
        let (mut stuck, stuck_id) = scene.client().await;
        let mut others = Vec::new();
        for _ in 0..4 {
            others.push(read_blocks(scene.client().await.0));
        }
        let mut accepted = 0;
        for number in 0..MUCH / Block::LINE_LEN + 20 {
            let reached = scene.server.broadcast(&Block::new(number)).unwrap();
            assert!(reached == 5 || (reached == 4 && number >= accepted), "block {number} reached {reached} clients");
            accepted += usize::from(reached == 5);
            for other in &mut others {
                assert_eq!(soon("a block", other.recv()).await, Some(number));
            }
        }
        let (id, reason) = scene.gone.next().await;
        assert_eq!(id, stuck_id);
        assert!(matches!(reason.cause, CloseCause::SlowClient), "{reason}");
        assert!(accepted < MUCH / Block::LINE_LEN + 20, "all {accepted} were accepted");
        assert!(reason.unsent_bytes > (MUCH - 2 * MIB) as u64, "{reason}");
        assert_exact(&reason, accepted, &mut stuck).await;
        assert!(scene.gone.rest().is_empty(), "one was aborted, once");
        assert_eq!(scene.server.clients().len(), 4);
    }

    async fn client_never_reads_write_stall_passes_is_aborted() {
        let mut scene = Scene::new(|options| options.outbox_len(2 * MUCH).write_stall(Duration::from_millis(200))).await;
        let (mut stuck, stuck_id) = scene.client().await;
        let mut accepted = 0;
        while accepted < MUCH / Block::LINE_LEN {
            match scene.server.send(&Block::new(accepted), stuck_id) {
                // The machine paused this thread for longer than the write stall.
                Err(SendError::UnknownClient { .. }) => break,
                sent => sent.unwrap(),
            }
            accepted += 1;
        }
        let (id, reason) = scene.gone.next().await;
        assert_eq!(id, stuck_id);
        assert!(matches!(reason.cause, CloseCause::SlowClient), "{reason}");
        assert_exact(&reason, accepted, &mut stuck).await;
    }

    async fn broadcast_async_stuck_client_waits_for_one_write_stall() {
        let mut scene = Scene::new(|options| options.write_stall(Duration::from_millis(300))).await;
        let (mut stuck, stuck_id) = scene.client().await;
        let others = [read_blocks(scene.client().await.0), read_blocks(scene.client().await.0)];
        let count = MUCH / Block::LINE_LEN;
        let server = scene.server.handle();
        let sending = tokio::spawn(async move {
            let mut accepted = 0;
            for number in 0..count {
                accepted += usize::from(server.broadcast_async(&Block::new(number)).await.unwrap() == 3);
            }
            accepted
        });
        let mut reading: Vec<_> = others.into_iter().map(|mut blocks| tokio::spawn(async move {
            for number in 0..count {
                assert_eq!(blocks.recv().await, Some(number));
            }
        })).collect();
        for other in &mut reading {
            soon("all blocks", other).await.unwrap();
        }
        let accepted = soon("the end of sending", sending).await.unwrap();
        let (id, reason) = scene.gone.next().await;
        assert_eq!(id, stuck_id);
        assert!(matches!(reason.cause, CloseCause::SlowClient), "{reason}");
        assert_exact(&reason, accepted, &mut stuck).await;
        assert!(scene.gone.rest().is_empty());
    }

    async fn outbox_full_send_returns_error_and_accepts_again_later() {
        let mut scene = Scene::new(|options| options.outbox_len(MUCH)).await;
        let (peer, id) = scene.client().await;
        let mut accepted = 0;
        let error = loop {
            match scene.server.send(&Block::new(accepted), id) {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        let SendError::OutboxFull { topic, client_id, size, queued, limit } = error else { panic!("{error}") };
        assert_eq!((topic.as_str(), client_id, size, limit), ("block", Some(id), Block::LINE_LEN, MUCH));
        assert!(queued <= MUCH && queued + size > MUCH);
        assert!(accepted * Block::LINE_LEN >= MUCH - Block::LINE_LEN);
        let mut blocks = read_blocks(peer);
        let reader = tokio::spawn(async move {
            let mut count = 0;
            while let Some(number) = blocks.recv().await {
                assert_eq!(number, count);
                count += 1;
            }
            count
        });
        soon("room", scene.server.send_async(&Block::new(accepted), id)).await.unwrap();
        scene.server.send(&Block::new(accepted + 1), id).unwrap();
        assert!(scene.server.disconnect(id));
        assert_eq!(soon("the end", reader).await.unwrap(), accepted + 2);
        let (_, reason) = scene.gone.next().await;
        assert!(matches!(reason.cause, CloseCause::Disconnected));
        assert_eq!((reason.unsent_messages, reason.unsent_bytes), (0, 0));
    }

    async fn send_async_slow_reader_paces_the_sender() {
        let mut scene = Scene::new(|options| options.outbox_len(MIB)).await;
        let (peer, id) = scene.client().await;
        let mut blocks = read_blocks(peer);
        let server = scene.server.handle();
        let sending = tokio::spawn(async move {
            for number in 0..MUCH / Block::LINE_LEN {
                let block = Block::new(number);
                match number % 2 {
                    0 => server.send_async(&block, id).await.unwrap(),
                    // `send_raw_async` waits, too.
                    _ => server.send_raw_async(Block::NAME, &block, id).await.unwrap(),
                }
            }
        });
        for number in 0..MUCH / Block::LINE_LEN {
            assert_eq!(soon("a block", blocks.recv()).await, Some(number));
        }
        sending.await.unwrap();
        assert!(scene.gone.rest().is_empty());
    }

    async fn send_async_that_waits_behind_another_is_encoded_once() {
        let mut scene = Scene::new(|options| options).await;
        let (peer, id) = scene.client().await;
        let (encodings, mut number) = (AtomicUsize::new(0), 0);
        let block = |number| Counted { encodings: &encodings, block: Block::new(number) };
        // Nothing is read: once the socket is full, each message waits, and is dropped.
        soon("a message that is not encoded while it waits", async {
            loop {
                encodings.store(0, Relaxed);
                match poll!(pin!(scene.server.send_async(&block(number), id))) {
                    Poll::Ready(sent) => number += sent.map(|()| 1).unwrap(),
                    Poll::Pending if encodings.load(Relaxed) == 0 => break,
                    Poll::Pending => {}
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        let last = block(number);
        let mut waiting = pin!(scene.server.send_async(&last, id));
        assert!(poll!(&mut waiting).is_pending());
        let mut blocks = read_blocks(peer);
        let all = async {
            for number in 0..=number {
                assert_eq!(blocks.recv().await, Some(number));
            }
        };
        let (sent, ()) = soon("all blocks", async { tokio::join!(waiting, all) }).await;
        sent.unwrap();
        assert_eq!(encodings.load(Relaxed), 1);
    }

    async fn outbox_total_full_send_returns_error_until_a_client_is_gone() {
        let mut scene = Scene::new(|options| options.outbox_len(2 * MUCH).outbox_total_len(MUCH)).await;
        let ((_one, one_id), (two, two_id)) = (scene.client().await, scene.client().await);
        let fill = |id, from| {
            let (until, error) = (from..)
                .find_map(|number| scene.server.send(&Block::new(number), id).err().map(|error| (number, error)))
                .unwrap();
            assert!(matches!(error, SendError::OutboxTotalFull { .. }), "{error}");
            until - from
        };
        let accepted = fill(one_id, 0);
        assert!((accepted * Block::LINE_LEN).abs_diff(MUCH) < MIB, "{accepted} blocks");
        // The outbox of the other client holds only messages that are being written.
        let mut blocks = read_blocks(two);
        for number in 0..10 {
            soon("room", scene.server.send_async(&Block::new(number), two_id)).await.unwrap();
            assert_eq!(soon("a block", blocks.recv()).await, Some(number));
        }
        // Once the first is gone there is room again.
        scene.server.disconnect(one_id);
        drop(_one);
        scene.gone.next().await;
        let again = fill(two_id, 10);
        assert!(again >= accepted - MIB / Block::LINE_LEN, "{again} of {accepted} blocks");
    }

    async fn outbox_total_broadcast_counts_until_it_is_written() {
        let mut scene = Scene::new(|options| options.outbox_len(MUCH).outbox_total_len(MIB)).await;
        let (peer, id) = scene.client().await;
        let mut blocks = read_blocks(peer);
        let much = 4 * MIB / Block::LINE_LEN;
        for number in 0..much {
            assert_eq!(scene.server.broadcast(&Block::new(number)).unwrap(), 1);
            assert_eq!(soon("a block", blocks.recv()).await, Some(number));
        }
        // Behind a queued message, so that the total is checked.
        for number in much..much + 3 {
            scene.server.send(&Block::new(number), id).unwrap();
        }
    }

    async fn client_server_never_reads_is_aborted_with_exact_counts() {
        let place = Place::new();
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::builder(place.socket()).outbox_len(MUCH).write_stall(Duration::from_millis(200)).build();
        let mut gone = Events::new();
        let report = gone.reporter();
        client.on_disconnect(move |reason| report(reason.clone()));
        client.connect().await.unwrap();
        let mut stuck = RawPeer::over(listener.accept().await.unwrap().0);
        let mut accepted = 0;
        while client.send(&Block::new(accepted)).is_ok() {
            accepted += 1;
        }
        assert!(soon("the end of flushing", client.flush()).await.is_err());
        let reason = gone.next().await;
        assert!(matches!(reason.cause, CloseCause::SlowServer), "{reason}");
        assert_exact(&reason, accepted, &mut stuck).await;
    }
}
