//! Peers that read slowly: none is taken for one that reads nothing, and none delays the others again and again.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use socket_ipc::{Client, CloseCause, CloseReason, Server, Topic};
use support::{DEADLINE, Events, Place, RawPeer, soon};
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};

const KIB: usize = 1024;

#[derive(Topic, Serialize)]
#[topic = "block"]
struct Block<'m> {
    number: usize,
    text: &'m RawValue,
}

fn text(len: usize) -> Box<RawValue> {
    RawValue::from_string(format!("\"{}\"", "x".repeat(len))).unwrap()
}

/// Asserts that these are the lines of blocks numbered from zero, of which the last may be incomplete. Returns how many
/// are complete.
fn assert_in_order(received: &[u8]) -> usize {
    let text = std::str::from_utf8(received).unwrap();
    let mut lines = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let begin = format!("{{\"topic\":\"block\",\"message\":{{\"number\":{number},");
        assert!(line.starts_with(&begin) || begin.starts_with(line), "{}", &line[..line.len().min(60)]);
        lines += usize::from(line.ends_with('\n'));
    }
    lines
}

/// Reads `len` bytes, `rate` of them in each `time`, and catches up after a delay of the machine.
async fn read_slowly(stream: &mut UnixStream, len: usize, rate: usize, time: Duration) -> Vec<u8> {
    let start = Instant::now();
    let mut received = vec![0; len];
    let mut taken = 0;
    while taken < len {
        let due = (start.elapsed().as_secs_f64() / time.as_secs_f64() * rate as f64) as usize;
        let most = due.saturating_sub(taken).min(4 * KIB).min(len - taken);
        if most == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        } else {
            taken += soon("bytes", stream.read_exact(&mut received[taken..taken + most])).await.unwrap();
        }
    }
    received
}

/// The write stall of these tests.
const STALL: Duration = Duration::from_secs(1);
/// The bytes that a peer reads in that time: more than the documented 80 KB, as a busy machine may delay it, and less
/// than the 160 KB after which the socket is writable again.
const RATE: usize = 110 * 1000;

/// How many write stalls long they read slowly.
const STALLS: usize = 4;

support::both_flavours! {
    async fn server_client_reads_slowly_is_not_aborted() {
        let place = Place::new();
        let server = Server::builder(place.socket()).write_stall(STALL).build();
        let (mut connected, mut gone) = (Events::new(), Events::new());
        server.on_connection(connected.reporter());
        let report = gone.reporter();
        server.on_connection_close(move |_, reason: &CloseReason| report(reason.to_string()));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        let id = connected.next().await;
        let (text, count) = (text(64 * KIB), 32);
        for number in 0..count {
            server.send(&Block { number, text: &text }, id).unwrap();
        }
        let mut received = read_slowly(&mut peer.stream, STALLS * RATE, RATE, STALL).await;
        assert!(gone.rest().is_empty(), "it was aborted");
        assert!(server.disconnect(id));
        received.extend(peer.closed().await);
        assert_eq!(assert_in_order(&received), count);
        assert!(gone.next().await.contains("0 messages") || gone.rest().is_empty());
    }

    async fn client_server_reads_slowly_is_not_aborted() {
        let place = Place::new();
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::builder(place.socket()).write_stall(STALL).build();
        let mut gone = Events::new();
        let report = gone.reporter();
        client.on_disconnect(move |reason: &CloseReason| report(reason.to_string()));
        client.connect().await.unwrap();
        let mut peer = RawPeer::over(listener.accept().await.unwrap().0);
        let (text, count) = (text(64 * KIB), 32);
        for number in 0..count {
            client.send(&Block { number, text: &text }).unwrap();
        }
        let mut received = read_slowly(&mut peer.stream, STALLS * RATE, RATE, STALL).await;
        assert!(gone.rest().is_empty(), "it was aborted");
        let closing = client.close();
        received.extend(peer.closed().await);
        assert_eq!(assert_in_order(&received), count);
        soon("the close", closing).await;
    }

    async fn serve_connection_unix_stream_reads_slowly_is_not_aborted() {
        let place = Place::new();
        let server = Server::builder(place.socket()).write_stall(STALL).build();
        let mut gone = Events::new();
        let report = gone.reporter();
        server.on_connection_close(move |_, reason: &CloseReason| report(reason.to_string()));
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let id = server.serve_connection(ours).unwrap().unwrap();
        server.send(&Block { number: 0, text: &text(1024 * KIB) }, id).unwrap();
        let received = read_slowly(&mut theirs, 2 * RATE, RATE, STALL).await;
        assert!(gone.rest().is_empty(), "it was aborted");
        assert_eq!(assert_in_order(&received), 0);
    }

    async fn broadcast_async_trickling_client_delays_by_one_write_stall_in_all() {
        let place = Place::new();
        // Each read of the client gains it a twentieth of the write stall.
        let server = Server::builder(place.socket()).write_stall(STALL).outbox_len(4 * 1024 * KIB).build();
        let (mut connected, mut gone) = (Events::new(), Events::new());
        server.on_connection(connected.reporter());
        let report = gone.reporter();
        server.on_connection_close(move |id, reason: &CloseReason| {
            report((id, matches!(reason.cause, CloseCause::SlowClient)));
        });
        server.listen().await.unwrap();
        let hostile = RawPeer::connect(place.socket()).await;
        let hostile_id = connected.next().await;
        let mut innocent = RawPeer::connect(place.socket()).await;
        connected.next().await;
        // It empties its socket just before the write stall, again and again.
        let trickling = tokio::spawn(async move {
            let mut buffer = vec![0; 1024 * KIB];
            loop {
                tokio::time::sleep(STALL * 8 / 10).await;
                loop {
                    match hostile.stream.try_read(&mut buffer) {
                        Ok(0) => return,
                        Ok(_) => {}
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                        Err(_) => return,
                    }
                }
            }
        });
        let count = 400;
        let sending = {
            let server = server.handle();
            tokio::spawn(async move {
                let (text, start) = (text(64 * KIB), Instant::now());
                let mut reached = Vec::new();
                for number in 0..count {
                    reached.push(server.broadcast_async(&Block { number, text: &text }).await.unwrap());
                }
                (reached, start.elapsed())
            })
        };
        for _ in 0..count {
            innocent.line().await;
        }
        let (reached, took) = soon("all broadcasts", sending).await.unwrap();
        // It would need a hundred write stalls for 26 MB.
        assert!(took < DEADLINE / 2, "{took:?}");
        assert_eq!(gone.next().await, (hostile_id, true));
        assert!(reached.is_sorted_by(|earlier, later| earlier >= later), "{reached:?}");
        assert_eq!((reached[0], reached[count - 1]), (2, 1));
        soon("the end of the client that trickles", trickling).await.unwrap();
        assert!(gone.rest().is_empty());
    }

    async fn broadcast_async_slow_client_catches_up_gets_all_messages() {
        let place = Place::new();
        let server = Server::builder(place.socket()).write_stall(STALL).outbox_len(32 * 1024 * KIB).build();
        let mut connected = Events::new();
        server.on_connection(connected.reporter());
        server.listen().await.unwrap();
        let (mut slow, mut fast) =
            (RawPeer::connect(place.socket()).await, RawPeer::connect(place.socket()).await);
        connected.next().await;
        connected.next().await;
        let count = 200;
        let sending = {
            let server = server.handle();
            tokio::spawn(async move {
                let text = text(64 * KIB);
                for number in 0..count {
                    assert_eq!(server.broadcast_async(&Block { number, text: &text }).await.unwrap(), 2);
                }
            })
        };
        let mut received = Vec::new();
        let fast = tokio::spawn(async move {
            for _ in 0..count {
                fast.line().await;
            }
        });
        // So slow that the broadcasts stop waiting for it, and not so slow that it takes nothing.
        let mut buffer = vec![0; 1024 * KIB];
        while !sending.is_finished() {
            tokio::time::sleep(STALL / 4).await;
            while let Ok(count @ 1..) = slow.stream.try_read(&mut buffer) {
                received.extend_from_slice(&buffer[..count]);
            }
        }
        soon("the fast client", fast).await.unwrap();
        sending.await.unwrap();
        let closing = server.close();
        received.extend(slow.closed().await);
        assert_eq!(assert_in_order(&received), count);
        soon("the close", closing).await;
    }
}
