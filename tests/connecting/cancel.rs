//! Futures that are dropped before they resolve lose, double and leave behind nothing, at whatever moment.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use serde_json::value::RawValue;
use socket_ipc::{Client, ConnectError, Server, Topic, limits};
use support::{Events, Place, RawPeer, soon};
use tokio::io::AsyncReadExt;
use tokio::net::UnixSocket;

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "number"]
struct Number(u64);

/// A numbered text, so long that few fit under the high-water mark.
#[derive(Topic, serde::Serialize)]
#[topic = "text"]
struct Text(u64, Box<RawValue>);

fn text(number: u64) -> Text {
    Text(number, RawValue::from_string(format!("\"{}\"", "x".repeat(limits::OUTBOX_HIGH_WATER))).unwrap())
}

/// Polls `future` at most `times` times, with a turn for other tasks in between, then drops it. `None` if it did not
/// resolve.
async fn polled<F: Future>(future: F, mut times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(move |cx| {
        if times == 0 {
            return Poll::Ready(None);
        }
        times -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if times == 0 => Poll::Ready(None),
            Poll::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}

/// The numbers of the texts that a peer reads, up to `last`.
async fn numbers(peer: &mut RawPeer, last: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let line = peer.line().await;
        let rest = line.strip_prefix("{\"topic\":\"text\",\"message\":[").unwrap();
        numbers.push(rest.split(',').next().unwrap().parse().unwrap());
    }
    numbers
}

support::both_flavours! {
    async fn listen_dropped_leaves_path_and_server_free() {
        for times in 0..4 {
            let place = Place::new();
            // An abandoned socket: probing it takes a wait.
            drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
            let server = Server::new(place.socket());
            match polled(server.listen(), times).await {
                Some(listening) => listening.unwrap(),
                None => {
                    // Another server can take the path, and this one can listen later.
                    let other = Server::new(place.socket());
                    other.listen().await.unwrap_or_else(|error| panic!("after {times} polls: {error}"));
                    soon("the close", other.close()).await;
                    server.listen().await.unwrap_or_else(|error| panic!("after {times} polls: {error}"));
                }
            }
            drop(RawPeer::connect(place.socket()).await);
        }
    }

    async fn connect_dropped_leaves_client_free_and_server_without_client() {
        for times in 0..4 {
            let place = Place::new();
            let client = Client::builder(place.socket()).retry_delay(Duration::from_millis(1)).build();
            // No server listens: the future is dropped in the attempt or in the pause after it.
            assert!(polled(client.connect(), times).await.is_none());
            assert!(!client.is_connected());
            let server = Server::new(place.socket());
            let mut connections = Events::new();
            let (open, close) = (connections.reporter(), connections.reporter());
            server.on_connection(move |_id| open(1));
            server.on_connection_close(move |_id, _| close(-1));
            server.listen().await.unwrap();
            let mut numbers = client.subscribe::<Number>();
            let connected = polled(client.connect(), times).await;
            if connected.is_none() {
                soon("the connection", client.connect()).await.unwrap();
            }
            assert!(matches!(client.connect().await, Err(ConnectError::AlreadyConnecting { .. })));
            // The first attempt may have reached the server, which then sees it close.
            let mut open = connections.next().await;
            loop {
                server.broadcast(&Number(1)).unwrap();
                tokio::select! {
                    biased;
                    received = numbers.next() => break assert_eq!(received.unwrap().0, 1),
                    change = connections.next() => open += change,
                }
            }
            open += connections.rest().into_iter().sum::<i32>();
            drop(client);
            while open > 0 {
                open += connections.next().await;
            }
            assert_eq!(server.clients(), []);
        }
    }

    async fn connect_dropped_at_full_server_leaves_nothing_in_the_backlog() {
        let place = Place::new();
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind(place.socket()).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut waiting = 0;
        let mut streams = Vec::new();
        while let Ok(stream) = tokio::net::UnixStream::connect(place.socket()).await {
            streams.push(stream);
            waiting += 1;
        }
        let client = Client::new(place.socket());
        assert!(polled(client.connect(), 1).await.is_none());
        for _ in 0..waiting {
            soon("the peer", listener.accept()).await.unwrap();
        }
        let mut accept = Box::pin(listener.accept());
        assert!(poll!(&mut accept).is_pending(), "an abandoned connection in the backlog");
    }

    async fn send_async_dropped_unresolved_queues_nothing() {
        for to_client in [false, true] {
            let place = Place::new();
            let server = Server::new(place.socket());
            let mut ids = Events::new();
            server.on_connection(ids.reporter());
            let foreign;
            // The peer of the tested endpoint is raw and reads only when told.
            let (mut peer, client, id) = if to_client {
                server.listen().await.unwrap();
                (RawPeer::connect(place.socket()).await, None, Some(ids.next().await))
            } else {
                foreign = tokio::net::UnixListener::bind(place.socket()).unwrap();
                let client = Client::new(place.socket());
                soon("the connection", client.connect()).await.unwrap();
                (RawPeer::over(foreign.accept().await.unwrap().0), Some(client), None)
            };
            let send = async |number| match (&client, id) {
                (Some(client), _) => client.send_async(&text(number)).await,
                (None, Some(id)) => server.send_async(&text(number), id).await,
                _ => unreachable!(),
            };
            let (mut queued, mut dropped) = (Vec::new(), 0);
            for number in 0..200 {
                let sent = match number % 20 {
                    // The sender notices only later that bytes were read.
                    0 => Some(soon("room", send(number)).await),
                    _ => polled(send(number), 1 + number as usize % 3).await,
                };
                match sent {
                    Some(sent) => {
                        sent.unwrap();
                        queued.push(number);
                    }
                    None => dropped += 1,
                }
                if number % 20 == 19 {
                    let last = *queued.last().unwrap();
                    let expected = std::mem::take(&mut queued);
                    assert_eq!(numbers(&mut peer, last).await, expected);
                }
            }
            assert!(dropped > 20, "only {dropped} had to wait");
            soon("the last", send(1_000)).await.unwrap();
            queued.push(1_000);
            assert_eq!(numbers(&mut peer, 1_000).await, queued);
        }
    }

    async fn broadcast_async_dropped_unresolved_reaches_no_client() {
        let place = Place::new();
        let server = Server::new(place.socket());
        let mut ids = Events::new();
        server.on_connection(ids.reporter());
        server.listen().await.unwrap();
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(RawPeer::connect(place.socket()).await);
        }
        ids.take(3).await;
        let (mut sent, mut dropped) = (Vec::new(), 0);
        for number in 0..60 {
            match polled(server.broadcast_async(&text(number)), 1 + number as usize % 3).await {
                Some(reached) => {
                    assert_eq!(reached.unwrap(), 3);
                    sent.push(number);
                }
                None => dropped += 1,
            }
        }
        assert!(dropped > 20, "only {dropped} had to wait");
        let last = async {
            server.broadcast_async(&text(1_000)).await.unwrap();
        };
        sent.push(1_000);
        let reading = futures::future::join_all(peers.iter_mut().map(|peer| numbers(peer, 1_000)));
        let ((), read) = soon("the last", async { tokio::join!(last, reading) }).await;
        assert_eq!(read, [sent.clone(), sent.clone(), sent]);
    }

    async fn flush_and_close_dropped_lose_nothing() {
        let place = Place::new();
        let foreign = tokio::net::UnixListener::bind(place.socket()).unwrap();
        let client = Client::new(place.socket());
        soon("the connection", client.connect()).await.unwrap();
        let mut peer = RawPeer::over(foreign.accept().await.unwrap().0);
        for number in 0..20 {
            client.send(&text(number)).unwrap();
        }
        for times in 0..3 {
            assert!(polled(client.flush(), times).await.is_none(), "the peer has not read that much");
        }
        for times in 0..3 {
            assert!(polled(client.close(), times).await.is_none());
        }
        // The close went on, and everything queued is written.
        assert_eq!(numbers(&mut peer, 19).await, (0..20).collect::<Vec<_>>());
        let mut rest = Vec::new();
        soon("the end of the stream", peer.stream.read_to_end(&mut rest)).await.unwrap();
        drop(peer);
        soon("the close", client.closed()).await;
    }

    async fn subscription_next_dropped_loses_nothing() {
        let place = Place::new();
        let server = Server::new(place.socket());
        let mut received = server.subscribe::<Number>();
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        soon("the connection", client.connect()).await.unwrap();
        let sending = tokio::spawn(async move {
            // Far more than a subscription holds.
            for number in 0..10_000 {
                client.send_async(&Number(number)).await.unwrap();
            }
            client.flush().await.unwrap();
            client
        });
        let mut expected = 0;
        let mut dropped = 0;
        while expected < 10_000 {
            match polled(received.next(), 1).await {
                Some(next) => {
                    assert_eq!(next.unwrap().0.0, expected);
                    expected += 1;
                }
                None => {
                    dropped += 1;
                    // Nothing received yet: wait, so that the runtime gets its turn.
                    assert_eq!(soon("the next", received.next()).await.unwrap().0.0, expected);
                    expected += 1;
                }
            }
        }
        assert!(dropped > 0, "no `next` was ever pending");
        soon("the sender", sending).await.unwrap();
    }
}
