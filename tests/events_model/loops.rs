//! The loops over `events` of both ends, which keep what they have seen.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket_ipc::limits::SUBSCRIPTION_LEN;
use socket_ipc::{ClientEvent, ClientHandle, ClientId, CloseCause, ServerEvent, ServerHandle, Subscription};

use super::{Either, Even, Numbered, Odd, Orderly, Seen, World};

/// Sends a message under the topic of its number, and says whether it was queued.
macro_rules! send {
    ($to:expr, $numbered:expr $(, $id:expr)?) => {{
        let numbered = $numbered;
        match numbered.number % 2 {
            0 => $to.send(&Even(numbered) $(, $id)?).is_ok(),
            _ => $to.send(&Odd(numbered) $(, $id)?).is_ok(),
        }
    }};
}

/// Reads on after a while: none, a few turns of the scheduler, or long enough for a stream to be full.
async fn dawdle(random: &mut fastrand::Rng) {
    match random.u8(..) {
        0 => tokio::time::sleep(Duration::from_millis(random.u64(1..10))).await,
        1..40 => {
            for _ in 0..random.u8(1..20) {
                tokio::task::yield_now().await;
            }
        }
        _ => {}
    }
}

/// How many messages to send now: mostly none, sometimes one, rarely more than a stream holds.
fn burst(random: &mut fastrand::Rng) -> u64 {
    match random.u8(..) {
        0..16 => random.u64(0..2 * SUBSCRIPTION_LEN as u64),
        16..100 => 1,
        _ => 0,
    }
}

/// What a loop has beside its events.
pub(super) struct Reader {
    pub(super) world: Arc<World>,
    pub(super) random: fastrand::Rng,
    /// Closing has begun. What arrives meanwhile is dropped, even if it is the peer that ends the connection first.
    pub(super) is_closing: Arc<AtomicBool>,
}

/// The next event. Notes whether the stream is full before it is read.
async fn next<E>(events: &mut Subscription<E>, world: &World) -> Option<E>
where
    Subscription<E>: Debug,
{
    let is_full = format!("{events:?}").contains(&format!("held: {SUBSCRIPTION_LEN},"));
    world.full.fetch_add(u64::from(is_full), Ordering::Relaxed);
    events.next().await
}

/// A server's loop, to the end of its events.
pub(super) async fn serve(
    number: u64,
    server: ServerHandle,
    mut events: Subscription<ServerEvent<Either>>,
    Reader { world, mut random, is_closing }: Reader,
) {
    let mut open: HashMap<ClientId, Seen> = HashMap::new();
    while let Some(event) = next(&mut events, &world).await {
        let id = match event {
            ServerEvent::Connected(id) => {
                assert!(open.insert(id, Seen::default()).is_none(), "{id} twice");
                let key = (number, id.get());
                assert!(!world.on_servers.lock().unwrap().contains_key(&key), "{id} again, after its end");
                id
            }
            ServerEvent::Message(message, id) => {
                let seen = open.get_mut(&id).expect("a message without a connection");
                let message = message.numbered();
                let found = message.number;
                let first = seen.first.get_or_insert(message);
                assert_eq!(message.sender, first.sender, "of another client");
                assert_eq!(
                    found,
                    first.number + seen.received,
                    "on the connection that began with {first:?}"
                );
                seen.received += 1;
                world.from_clients[1].fetch_add(1, Ordering::Relaxed);
                id
            }
            ServerEvent::Disconnected(id, reason) => {
                let mut seen = open.remove(&id).expect("the end of no connection");
                seen.unsent = reason.unsent_messages;
                seen.cause = (!is_closing.load(Ordering::Relaxed)).then_some(reason.cause);
                world.on_servers.lock().unwrap().insert((number, id.get()), seen);
                continue;
            }
            other => panic!("{other:?}"),
        };
        let seen = open.get_mut(&id).unwrap();
        // The first message tells the client its id.
        for _ in 0..burst(&mut random).max(u64::from(seen.sent == 0)) {
            let message = Numbered { sender: number, connection: id.get(), number: seen.sent };
            seen.sent += u64::from(send!(server, message, id));
        }
        if random.u8(..) == 0 {
            server.disconnect(id);
        }
        dawdle(&mut random).await;
    }
    assert!(open.is_empty(), "connections without an end: {open:?}");
}

/// A client's loop, to the end of its events.
pub(super) async fn talk(
    own: u64,
    client: ClientHandle,
    mut events: Subscription<ClientEvent<Either>>,
    Reader { world, mut random, is_closing }: Reader,
) {
    let (mut connection, mut connections, mut sent_over) = (None, 0, Vec::new());
    while let Some(event) = next(&mut events, &world).await {
        match event {
            ClientEvent::Connected { again } => {
                assert!(connection.is_none(), "connected twice");
                assert_eq!(again, connections > 0);
                connections += 1;
                connection = Some((None, Seen::default()));
            }
            ClientEvent::Message(message) => {
                let (id, seen) = connection.as_mut().expect("a message without a connection");
                let Numbered { sender, connection, number } = message.numbered();
                assert_eq!(
                    *id.get_or_insert((sender, connection)),
                    (sender, connection),
                    "of another connection"
                );
                assert_eq!(number, seen.received);
                seen.received += 1;
            }
            ClientEvent::Disconnected(reason) => {
                let (id, mut seen) = connection.take().expect("the end of no connection");
                let Some(id) = id else { continue };
                let (unsent, is_own) = (reason.unsent_messages, matches!(reason.cause, CloseCause::Closed));
                (seen.unsent, seen.cause) = (unsent, Some(reason.cause));
                let before = world.on_clients.lock().unwrap().insert(id, seen);
                assert!(before.is_none(), "{id:?} twice");
                if is_closing.load(Ordering::Relaxed) {
                    world.left.lock().unwrap().push(id);
                }
                if is_own {
                    let orderly = Orderly { id, client: own, connection: connections, unsent };
                    world.orderly.lock().unwrap().push(orderly);
                }
                continue;
            }
            ClientEvent::ConnectFailed(failures) => {
                assert!(connection.is_none() && failures.attempts > 0);
                continue;
            }
            other => panic!("{other:?}"),
        }
        for _ in 0..burst(&mut random) {
            // Not always the connection that the loop is at: it may be behind.
            let before = client.stats().total_connections;
            let message = Numbered { sender: own, connection: before, number: sent_over.len() as u64 };
            if send!(client, message) {
                let is_same = client.stats().total_connections == before;
                sent_over.push(is_same.then_some(before));
                world.from_clients[0].fetch_add(1, Ordering::Relaxed);
            }
        }
        dawdle(&mut random).await;
    }
    assert!(connection.is_none(), "a connection without an end");
    world.sent_over.lock().unwrap().insert(own, sent_over);
}
