//! Bugs of the connection that were fixed.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, SendError, Server, Topic};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufStream};

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "work"]
struct Work(usize);

const LINE: &[u8] = b"{\"topic\":\"work\",\"message\":1}\n";

async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    support::within(what, Duration::from_secs(5), future).await
}

/// A listener that would end at the close is awaited like any other while the server is open.
#[tokio::test]
async fn async_listener_awaits_closed_still_delays_its_connection() {
    let server = Server::new("in memory");
    let (running, most, second) =
        (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (handle, runs, max) = (server.handle(), Arc::clone(&running), Arc::clone(&most));
    server.on_async::<Work>(move |_, _| {
        let (handle, runs, max) = (handle.clone(), Arc::clone(&runs), Arc::clone(&max));
        async move {
            max.fetch_max(runs.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::select! {
                () = handle.closed() => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            runs.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let count = Arc::clone(&second);
    server.on::<Work>(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    server.serve_connection(ours).unwrap();
    for _ in 0..5 {
        theirs.write_all(LINE).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(most.load(Ordering::SeqCst), 1, "one message of a connection at a time");
    assert_eq!(second.load(Ordering::SeqCst), 5, "the next listener is called for every message, too");
}

/// Once the server is closing, such a listener delays nothing.
#[tokio::test]
async fn async_listener_awaits_closed_does_not_delay_the_close() {
    let server = Server::new("in memory");
    let handle = server.handle();
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    server.on_async::<Work>(move |_, _| {
        let (handle, started) = (handle.clone(), started.clone());
        async move {
            let _ = started.send(());
            handle.closed().await;
        }
    });
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    server.serve_connection(ours).unwrap();
    theirs.write_all(LINE).await.unwrap();
    soon("the listener", starts.recv()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let closing = server.close();
    drop(theirs);
    support::in_time(Duration::from_secs(2), closing).await.expect("the listener is not waited for");
}

/// A stream may keep bytes until it is flushed.
#[tokio::test]
async fn buffering_stream_is_flushed_after_send() {
    let server = Server::new("in memory");
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let id = server.serve_connection(BufStream::new(ours)).unwrap().unwrap();
    server.send(&Work(7), id).unwrap();
    let mut line = String::new();
    soon("the message", BufReader::new(theirs).read_line(&mut line)).await.unwrap();
    assert_eq!(line, "{\"topic\":\"work\",\"message\":7}\n");
}

/// The connection of a client ends with its runtime.
#[test]
fn client_runtime_gone_reports_disconnect_and_close() {
    let (server, reports) = (Server::new("in memory"), Arc::<Mutex<Vec<&str>>>::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = server.in_memory_client().build();
    let (ends, closes) = (Arc::clone(&reports), Arc::clone(&reports));
    client.on_disconnect(move |_| ends.lock().unwrap().push("disconnect"));
    client.on_close(move || closes.lock().unwrap().push("close"));
    runtime.block_on(client.connect()).unwrap();
    drop(runtime);
    assert!(!client.is_connected());
    assert!(matches!(client.send(&Work(1)), Err(SendError::Closed { .. })));
    assert_eq!(*reports.lock().unwrap(), ["disconnect", "close"]);
}

/// A sender does not wait for room in the outbox of a connection whose runtime is gone.
#[tokio::test]
async fn send_async_runtime_of_connection_gone_returns_error() {
    let server = Arc::new(Server::new("in memory"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ours, _theirs) = tokio::io::duplex(16);
    let id = {
        let _entered = runtime.enter();
        server.serve_connection(ours).unwrap().unwrap()
    };
    server.send_raw("fill", &"x".repeat(100_000), id).unwrap();
    let sender = server.handle();
    let waiting = tokio::spawn(async move { sender.send_async(&Work(1), id).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    runtime.shutdown_background();
    let sent = soon("the end of the wait", waiting).await.unwrap();
    assert!(matches!(sent, Err(SendError::UnknownClient { .. })), "{sent:?}");
}

/// A flush waits for the messages that were queued before it, however much others send meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flush_while_others_send_completes() {
    let server = Arc::new(Server::new("in memory"));
    let client = Arc::new(server.in_memory_client().build());
    client.connect().await.unwrap();
    let sender = Arc::clone(&client);
    let sending = tokio::spawn(async move {
        loop {
            sender.send_async(&Work(1)).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let flushed = support::in_time(Duration::from_secs(3), client.flush()).await;
    sending.abort();
    flushed.expect("the flush ends").unwrap();
}

/// A complete message is not an unfinished one, dispatched or not.
#[tokio::test]
async fn disconnect_complete_messages_are_not_counted_as_unfinished() {
    let server = Server::builder("in memory").drain(Duration::from_millis(50)).build();
    server.on_async::<Work>(|_, _| std::future::pending());
    let (reported, mut reports) = tokio::sync::mpsc::unbounded_channel();
    server.on_connection_close(move |_, reason| assert!(reported.send(reason.unfinished_bytes).is_ok()));
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let id = server.serve_connection(ours).unwrap().unwrap();
    theirs.write_all(&[LINE, LINE, b"{\"to"].concat()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.disconnect(id);
    assert_eq!(soon("the end", reports.recv()).await, Some(4));
}

/// A stream whose writes fail for want of memory, not because the peer is gone.
struct Failing(tokio::io::DuplexStream);

impl tokio::io::AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for Failing {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Ready(Err(std::io::ErrorKind::OutOfMemory.into()))
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn write_fails_close_cause_is_io() {
    let server = Server::new("in memory");
    let (reported, mut reports) = tokio::sync::mpsc::unbounded_channel();
    server.on_connection_close(move |_, reason| drop(reported.send(reason.cause.clone())));
    let (ours, _theirs) = tokio::io::duplex(64 * 1024);
    let id = server.serve_connection(Failing(ours)).unwrap().unwrap();
    server.send(&Work(1), id).unwrap();
    let cause = soon("the end", reports.recv()).await.unwrap();
    assert!(matches!(cause, socket_ipc::CloseCause::Io(_)), "{cause:?}");
}

/// A server that is dropped calls no listener any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_dropped_reports_no_event() {
    let reports = Arc::<AtomicUsize>::default();
    for _ in 0..200 {
        let server = Server::new("in memory");
        let ends = Arc::clone(&reports);
        server.on_connection_close(move |_, _| {
            ends.fetch_add(1, Ordering::SeqCst);
        });
        let mut clients = Vec::new();
        for _ in 0..20 {
            let (ours, theirs) = tokio::io::duplex(64);
            server.serve_connection(ours).unwrap();
            clients.push(theirs);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        drop(server);
    }
    assert_eq!(reports.load(Ordering::SeqCst), 0);
}

/// A program that tries again at once, until it works, lets the connection be made meanwhile.
#[tokio::test]
async fn failing_calls_in_a_loop_let_other_tasks_run() {
    #[derive(Topic, Serialize, Deserialize)]
    #[topic(name = "ask", reply = usize)]
    struct Ask;
    #[derive(Topic, Serialize, Deserialize)]
    #[topic(name = "list", stream = usize)]
    struct List;

    let client = Client::new("nowhere");
    let server = Server::new("in memory");
    for (call, name) in
        ["request", "request_stream", "started", "send_async", "broadcast_async"].iter().enumerate()
    {
        let other = tokio::spawn(async {});
        let mut tries = 0;
        while !other.is_finished() {
            tries += 1;
            assert!(tries < 100_000, "{name} starves the other tasks");
            match call {
                0 => assert!(client.request(&Ask).await.is_err()),
                1 => assert!(client.request_stream(&List).next().await.unwrap().is_err()),
                2 => assert!(client.request_stream(&List).started().await.is_err()),
                3 => assert!(client.send_async(&Work(1)).await.is_err()),
                _ => assert_eq!(server.broadcast_async(&Work(1)).await.unwrap(), 0),
            }
        }
    }
}
