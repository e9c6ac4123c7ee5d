//! Messages sent before a close reach the peer, whatever the peer is doing meanwhile.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, CloseCause, SendError, Server, Topic};
use support::{Events, Place, RawPeer, soon};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc};

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "note"]
struct Note(usize);

fn notes(range: std::ops::Range<usize>) -> String {
    range.map(|number| format!("{{\"topic\":\"note\",\"message\":{number}}}\n")).collect()
}

support::both_flavours! {
    async fn server_closes_after_send_writing_client_receives_all() {
        let place = Place::new();
        let server = Server::new(place.socket());
        let closing_server = server.handle();
        server.on::<Note>(move |msg, client_id| {
            if msg.0 == 0 {
                for number in 0..100 {
                    closing_server.send(&Note(number), client_id).unwrap();
                }
                drop(closing_server.close());
            }
        });
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        let mut received = Events::new();
        let (note, gone) = (received.reporter(), received.reporter());
        let back = client.handle();
        client.on::<Note>(move |msg| {
            note(Some(msg.0));
            // Sent on the closing connection, which may be gone already.
            let _ = back.send_raw("filling", &"x".repeat(50_000));
        });
        client.on_disconnect(move |_| gone(None));
        client.connect().await.unwrap();
        client.send(&Note(0)).unwrap();
        for number in 0..100 {
            assert_eq!(received.next().await, Some(number));
        }
        assert_eq!(received.next().await, None);
    }

    async fn peer_closes_after_send_busy_listener_receives_all() {
        const COUNT: usize = 64_000;
        let place = Place::new();
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::new(place.socket());
        let gate = Arc::new(Semaphore::new(0));
        let (sender, mut received) = mpsc::channel(COUNT);
        let mut gone = Events::new();
        let report = gone.reporter();
        client.on_disconnect(move |reason| report(reason.clone()));
        let (gate_inside, back) = (Arc::clone(&gate), client.handle());
        client.on_async::<Note>(move |msg| {
            let (gate, sender, back) = (Arc::clone(&gate_inside), sender.clone(), back.clone());
            async move {
                if msg.0 == 0 {
                    gate.acquire().await.unwrap().forget();
                    // The peer is gone: writing to it fails, and there is still much to read.
                    back.send(&Note(0)).unwrap();
                }
                // Uses up the budget that the runtime gives a task for a turn.
                sender.send(msg.0).await.unwrap();
            }
        });
        client.connect().await.unwrap();
        let mut peer = RawPeer::over(listener.accept().await.unwrap().0);
        // As much as the client reads ahead and the socket holds.
        let (all, mut written, mut waited) = (notes(0..COUNT), 1024 * 1024, 0);
        peer.write(&all[..written]).await;
        while waited < 1_000 {
            match peer.stream.try_write(&all.as_bytes()[written..]) {
                Ok(count) => (written, waited) = (written + count, 0),
                Err(_) => waited += 1,
            }
            tokio::task::yield_now().await;
        }
        assert!(written < all.len(), "all was read");
        let (whole, part) = all[..written].rsplit_once('\n').unwrap();
        drop(peer);
        gate.add_permits(1);
        for number in 0..whole.lines().count() {
            assert_eq!(soon("a note", received.recv()).await, Some(number));
        }
        let reason = gone.next().await;
        assert!(matches!(reason.cause, CloseCause::PeerClosed), "{reason}");
        assert_eq!((reason.unsent_messages, reason.unfinished_bytes), (1, part.len() as u64));
    }

    async fn client_half_closed_receives_its_replies() {
        let place = Place::new();
        let server = Server::new(place.socket());
        let reply = server.handle();
        server.on_async::<Note>(move |msg, client_id| {
            let reply = reply.clone();
            async move {
                tokio::task::yield_now().await;
                reply.send_async(&msg, client_id).await.unwrap();
            }
        });
        let mut gone = Events::new();
        let report = gone.reporter();
        server.on_connection_close(move |_, reason| report(reason.clone()));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(notes(0..1_000)).await;
        peer.stream.shutdown().await.unwrap();
        assert!(peer.closed().await == notes(0..1_000).as_bytes());
        let reason = gone.next().await;
        assert!(matches!(reason.cause, CloseCause::PeerClosed), "{reason}");
        assert_eq!((reason.unsent_bytes, reason.unfinished_bytes), (0, 0));
    }

    async fn disconnect_undispatched_messages_are_not_unfinished() {
        let place = Place::new();
        let server = Server::new(place.socket());
        let (handle, mut events) = (server.handle(), Events::new());
        let (note, gone) = (events.reporter(), events.reporter());
        server.on::<Note>(move |msg, client_id| {
            note(Ok(msg.0));
            handle.disconnect(client_id);
            assert!(matches!(handle.send(&Note(1), client_id), Err(SendError::UnknownClient { .. })));
        });
        server.on_connection_close(move |_, reason| gone(Err(reason.clone())));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(notes(0..3) + "{\"top").await;
        assert_eq!(events.next().await.unwrap(), 0);
        let reason = events.next().await.unwrap_err();
        assert!(matches!(reason.cause, CloseCause::Disconnected));
        assert_eq!(reason.unfinished_bytes, 5, "{reason}");
        peer.closed().await;
    }
}
