//! Every deadline to the millisecond, with servers and clients joined in memory and paused time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket_ipc::{
    Client, ClientBuilder, CloseCause, ConnectError, MessageErrorKind, Server, ServerHandle, Topic, Wire,
};
use support::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "text"]
struct Text(String);

/// More than any buffer of these tests holds.
fn long() -> Text {
    Text("x".repeat(64 * 1024))
}

/// Waits for the next event, for longer than any deadline of the library: paused time costs nothing.
async fn next<T>(events: &mut UnboundedReceiver<T>) -> T {
    within("the next event", 3_600 * SECOND, events.recv()).await.unwrap()
}

/// Timers have a resolution of a millisecond.
#[track_caller]
fn assert_after(since: Instant, expected: Duration) {
    let elapsed = since.elapsed();
    let late = Duration::from_millis(2);
    assert!(elapsed >= expected && elapsed <= expected + late, "after {elapsed:?}, expected {expected:?}");
}

/// Serves one client, which is the returned stream, and reports how its connection ends.
fn served(server: &Server) -> (DuplexStream, UnboundedReceiver<(CloseCause, u64)>) {
    let (sender, ended) = unbounded_channel();
    server.on_connection_close(move |_client_id, reason| {
        drop(sender.send((reason.cause.clone(), reason.unsent_messages)));
    });
    let (ours, theirs) = duplex(1024);
    server.serve_connection(ours).unwrap().unwrap();
    (theirs, ended)
}

/// A client whose attempts to connect report their time, and succeed while `open` is true.
fn timed(
    builder: ClientBuilder,
    open: &Arc<AtomicBool>,
    server: ServerHandle,
) -> (Client, UnboundedReceiver<Instant>) {
    let (sender, attempts) = unbounded_channel::<Instant>();
    let open = Arc::clone(open);
    let connector = move || {
        let _ = sender.send(Instant::now());
        let (ours, theirs) = duplex(1024);
        let reached = if open.load(Ordering::Relaxed) {
            server.serve_connection(theirs).map_err(io::Error::other).map(|_| ours)
        } else {
            Err(io::ErrorKind::ConnectionRefused.into())
        };
        async move { reached }
    };
    (builder.connector(connector).build(), attempts)
}

/// Small and large messages in every way of sending; the second half while the first is being written.
#[tokio::test(start_paused = true)]
async fn outbox_read_byte_by_byte_arrives_unchanged() {
    let server = Server::new("in memory");
    let (ours, mut theirs) = duplex(1);
    let id = server.serve_connection(ours).unwrap().unwrap();
    let (mut expected, mut received) = (Vec::new(), Vec::new());
    let mut lengths = (0..600).map(|number| if number % 200 == 99 { 20_000 } else { number / 4 });
    for read in [1_000, usize::MAX] {
        for (number, len) in lengths.by_ref().take(300).enumerate() {
            let text = Text(format!("{number} {}", "ü".repeat(len / 2)));
            Wire::JSON_LINES.encode("text", &text, &mut expected).unwrap();
            match number % 4 {
                0 => server.send(&text, id).unwrap(),
                1 => server.send_raw("text", &text, id).unwrap(),
                _ => assert_eq!(server.broadcast(&text).unwrap(), 1),
            }
        }
        while received.len() < expected.len().min(read) {
            within("a byte", 3_600 * SECOND, theirs.read_buf(&mut received)).await.unwrap();
        }
    }
    assert!(received == expected, "other bytes");
}

#[tokio::test(start_paused = true)]
async fn write_stall_client_reads_nothing_is_disconnected_on_time() {
    let server = Server::new("in memory");
    let (_stuck, mut ended) = served(&server);
    let begin = Instant::now();
    server.broadcast(&long()).unwrap();
    server.broadcast(&long()).unwrap();
    let (cause, unsent) = next(&mut ended).await;
    assert!(matches!(cause, CloseCause::SlowClient), "{cause}");
    assert_eq!(unsent, 2);
    assert_after(begin, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn write_stall_progress_restarts_it() {
    let server = Server::new("in memory");
    let (mut slow, mut ended) = served(&server);
    server.broadcast(&long()).unwrap();
    for _ in 0..20 {
        tokio::time::sleep(9 * SECOND).await;
        let mut some = [0; 512];
        slow.read_exact(&mut some).await.unwrap();
    }
    let begin = Instant::now();
    assert!(matches!(next(&mut ended).await, (CloseCause::SlowClient, 1)));
    assert_after(begin, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn write_stall_server_reads_nothing_client_disconnects() {
    let (ours, theirs) = duplex(1024);
    let stream = std::sync::Mutex::new(Some(ours));
    let connector = move || {
        let stream = stream.lock().unwrap().take().ok_or(io::ErrorKind::NotFound.into());
        async move { stream }
    };
    let client = Client::builder("in memory").connector(connector).build();
    let (sender, mut ended) = unbounded_channel();
    client.on_disconnect(move |reason| drop(sender.send(reason.clone())));
    client.connect().await.unwrap();
    let begin = Instant::now();
    client.send(&long()).unwrap();
    let reason = next(&mut ended).await;
    assert!(matches!(reason.cause, CloseCause::SlowServer) && reason.unsent_messages == 1, "{reason}");
    assert_after(begin, 10 * SECOND);
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn connection_silent_stays_open() {
    let server = Server::new("in memory");
    let (mut silent, mut ended) = served(&server);
    silent.write_all(b"{\"topic\":\"text\",\"message\":\"complete\"}\n").await.unwrap();
    tokio::time::sleep(24 * 3_600 * SECOND).await;
    assert!(ended.try_recv().is_err(), "a silent connection was ended");
    assert_eq!(server.clients().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn incomplete_timeout_trickled_message_disconnects_on_time() {
    let server = Server::new("in memory");
    let (sender, mut errors) = unbounded_channel();
    server.on_message_error(move |error, _client_id| drop(sender.send((Instant::now(), error.clone()))));
    let (mut slow, mut ended) = served(&server);
    // An earlier message does not count into its time.
    slow.write_all(b"{\"topic\":\"text\",\"message\":\"complete\"}\n").await.unwrap();
    tokio::time::sleep(100 * SECOND).await;
    let begin = Instant::now();
    let mut written = 0;
    let (at, error) = loop {
        tokio::select! {
            biased;
            error = next(&mut errors) => break error,
            () = tokio::time::sleep(SECOND) => {
                slow.write_all(b"x").await.unwrap();
                written += 1;
            }
        }
    };
    assert!(matches!(error.kind(), MessageErrorKind::Incomplete { timeout } if *timeout == 30 * SECOND));
    assert_eq!((error.len(), error.raw().len()), (written, usize::try_from(written).unwrap()));
    // The time begins with the first byte, which comes after a second.
    assert!(at - begin >= 31 * SECOND && at - begin < 32 * SECOND, "after {:?}", at - begin);
    assert!(matches!(next(&mut ended).await, (CloseCause::Incomplete, 0)));
}

#[tokio::test(start_paused = true)]
async fn close_with_stuck_client_ends_after_drain() {
    let server = Server::new("in memory");
    let (_stuck, mut ended) = served(&server);
    server.broadcast(&long()).unwrap();
    let begin = Instant::now();
    server.close().await;
    assert_after(begin, 5 * SECOND);
    assert!(matches!(ended.try_recv(), Ok((CloseCause::Closed, 1))));
}

#[tokio::test(start_paused = true)]
async fn disconnect_stuck_client_ends_after_drain() {
    let server = Server::builder("in memory").drain(7 * SECOND).build();
    let (_stuck, mut ended) = served(&server);
    server.broadcast(&long()).unwrap();
    let begin = Instant::now();
    assert!(server.disconnect(server.clients()[0]));
    assert!(matches!(next(&mut ended).await, (CloseCause::Disconnected, 1)));
    assert_after(begin, 7 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn close_with_pending_listener_ends_after_drain() {
    let server = Server::new("in memory");
    let (sender, mut calls) = unbounded_channel();
    server.on_async::<Text>(move |_text, _client_id| {
        let _ = sender.send(());
        std::future::pending()
    });
    let (mut peer, mut ended) = served(&server);
    peer.write_all(b"{\"topic\":\"text\",\"message\":\"\"}\n").await.unwrap();
    next(&mut calls).await;
    let begin = Instant::now();
    server.close().await;
    assert_after(begin, 5 * SECOND);
    assert!(matches!(ended.try_recv(), Ok((CloseCause::Closed, 0))));
}

#[tokio::test(start_paused = true)]
async fn connect_attempts_keep_retry_and_reconnect_delay() {
    let milliseconds = Duration::from_millis;
    type Case = (fn(ClientBuilder) -> ClientBuilder, [Duration; 2], [Duration; 2]);
    let cases: [Case; 3] = [
        (|b| b, [1000, 1250].map(milliseconds), [100, 200].map(milliseconds)),
        (|b| b.retry_delay(7 * SECOND).reconnect_delay(3 * SECOND), [7 * SECOND; 2], [3 * SECOND; 2]),
        (
            |b| b.retry_delay(SECOND..2 * SECOND).reconnect_delay(4 * SECOND..=5 * SECOND),
            [SECOND, 2 * SECOND],
            [4 * SECOND, 5 * SECOND],
        ),
    ];
    for (options, [shortest_retry, longest_retry], [shortest_reconnect, longest_reconnect]) in cases {
        let slack = milliseconds(2);
        let (server, open) = (Server::new("in memory"), Arc::new(AtomicBool::new(false)));
        let (client, mut attempts) = timed(options(Client::builder("in memory")), &open, server.handle());
        let (sender, mut lost) = unbounded_channel();
        client.on_disconnect(move |_reason| {
            let _ = sender.send(Instant::now());
        });
        let begin = Instant::now();
        let (connected, _) = tokio::join!(client.connect(), async {
            let mut last = next(&mut attempts).await;
            assert_eq!(last, begin, "the first attempt is made at once");
            for _ in 0..30 {
                let attempt = next(&mut attempts).await;
                let pause = attempt - last;
                assert!(pause >= shortest_retry && pause <= longest_retry + slack, "retried after {pause:?}");
                last = attempt;
            }
            open.store(true, Ordering::Relaxed);
            next(&mut attempts).await
        });
        connected.unwrap();
        for _ in 0..30 {
            open.store(false, Ordering::Relaxed);
            server.disconnect(*server.clients().last().unwrap());
            let at = next(&mut lost).await;
            let first = next(&mut attempts).await;
            let pause = first - at;
            assert!(
                pause >= shortest_reconnect && pause <= longest_reconnect + slack,
                "reconnected after {pause:?}"
            );
            open.store(true, Ordering::Relaxed);
            let pause = next(&mut attempts).await - first;
            assert!(pause >= shortest_retry && pause <= longest_retry + slack, "retried after {pause:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reconnect_200_clients_spreads_over_the_delay() {
    let (server, open) = (Server::new("in memory"), Arc::new(AtomicBool::new(true)));
    let (sender, mut attempts) = unbounded_channel();
    let mut clients = Vec::new();
    for _ in 0..200 {
        let (client, mut own) = timed(Client::builder("in memory"), &open, server.handle());
        client.connect().await.unwrap();
        next(&mut own).await;
        let sender: UnboundedSender<Instant> = sender.clone();
        tokio::spawn(async move { sender.send(next(&mut own).await) });
        clients.push(client);
    }
    let begin = Instant::now();
    server.close().await;
    let mut per_ten_milliseconds = [0_u32; 11];
    for _ in 0..200 {
        let after = next(&mut attempts).await - begin;
        let slot = after.checked_sub(Duration::from_millis(100)).unwrap().as_millis() / 10;
        per_ten_milliseconds[usize::try_from(slot).unwrap()] += 1;
    }
    // 20 are expected in each. An empty slot, or one with three times as many, happens once in a hundred million
    // runs.
    for (slot, count) in per_ten_milliseconds[..10].iter().enumerate() {
        assert!((1..60).contains(count), "slot {slot} of {per_ten_milliseconds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn connect_hanging_attempt_fails_after_connect_timeout() {
    let hangs = || std::future::pending::<io::Result<DuplexStream>>();
    let client = Client::builder("in memory").connector(hangs).give_up_after(2).retry_delay(SECOND).build();
    let begin = Instant::now();
    let error = client.connect().await.unwrap_err();
    let ConnectError::GaveUp { attempts: 2, cause: source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(*source, ConnectError::Timeout { timeout, .. } if timeout == 5 * SECOND), "{source:?}");
    assert_after(begin, 11 * SECOND);
}
