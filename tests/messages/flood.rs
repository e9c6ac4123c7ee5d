//! Peers that never pause and never read: every deadline holds for them, too.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::value::RawValue;
use socket_ipc::{CloseCause, Server};
use support::{Events, Place, within};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

/// A text of 2 MiB, more than any socket buffer holds. Encoded before, which is slow without optimisation.
fn long() -> Box<RawValue> {
    RawValue::from_string(format!("\"{}\"", "x".repeat(2 * 1024 * 1024))).unwrap()
}

/// A stream in memory that always has bytes to read, and accepts none.
///
/// Its byte ends every read: `b'\n'` makes a flood of blank lines, another byte a line without a delimiter.
struct Flood(u8);

impl AsyncRead for Flood {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [b' '; 16 * 1024];
        let len = bytes.len().min(buf.remaining());
        bytes[len - 1] = self.0;
        buf.put_slice(&bytes[..len]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() { Poll::Ready(Ok(0)) } else { Poll::Pending }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A server with a [`Flood`] of `byte`, and how its connection ends.
async fn flooded(byte: u8) -> (Server, UnboundedReceiver<CloseCause>) {
    let server = Server::new("in memory");
    let (sender, ended) = unbounded_channel();
    server.on_connection_close(move |_client_id, reason| drop(sender.send(reason.cause.clone())));
    server.on_message_error(|_error, _client_id| {});
    server.serve_connection(Flood(byte)).unwrap().unwrap();
    tokio::task::yield_now().await;
    (server, ended)
}

/// Runs a test in paused time. The test gets a turn after each turn of the connection, which is never idle.
fn paused(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).event_interval(1).build().unwrap().block_on(test);
}

/// Lets time pass until the connection ends, and returns the seconds that took.
async fn end(mut ended: UnboundedReceiver<CloseCause>) -> (u32, CloseCause) {
    // The runtime is never idle, and so time passes only by `advance`.
    for seconds in 0..100 {
        if let Ok(cause) = ended.try_recv() {
            return (seconds, cause);
        }
        advance(SECOND).await;
        // One turn in which the connection looks at the clock, and one in which it ends.
        tokio::task::yield_now().await;
    }
    panic!("the connection did not end");
}

#[test]
fn write_stall_during_flood_disconnects() {
    paused(async {
        let (server, ended) = flooded(b'\n').await;
        server.broadcast_raw("text", &long()).unwrap();
        let (seconds, cause) = end(ended).await;
        assert!(
            matches!(cause, CloseCause::SlowClient) && (10..=12).contains(&seconds),
            "{cause} after {seconds} s"
        );
    });
}

#[test]
fn incomplete_timeout_during_flood_disconnects() {
    paused(async {
        let (_server, ended) = flooded(b'x').await;
        let (seconds, cause) = end(ended).await;
        assert!(
            matches!(cause, CloseCause::Incomplete) && (30..=32).contains(&seconds),
            "{cause} after {seconds} s"
        );
    });
}

#[test]
fn close_during_flood_ends_after_drain() {
    paused(async {
        let (server, ended) = flooded(b'\n').await;
        server.broadcast_raw("text", &long()).unwrap();
        let closing = server.close();
        let (seconds, cause) = end(ended).await;
        assert!(
            matches!(cause, CloseCause::Closed) && (5..=7).contains(&seconds),
            "{cause} after {seconds} s"
        );
        within("the close", SECOND, closing).await;
    });
}

support::both_flavours! {
    async fn close_during_socket_flood_ends_after_drain() {
        for bytes in [&b"\n"[..], b"x", b"{}\n", b"{\"topic\":\"text\",\"message\":\"\"}\n"] {
            let place = Place::new();
            let server = Server::builder(place.socket()).drain(Duration::from_millis(300)).build();
            let mut events = Events::new();
            let (connection, end) = (events.reporter(), events.reporter());
            server.on_connection(move |_client_id| connection(None));
            server.on_connection_close(move |_client_id, reason| end(Some(reason.cause.clone())));
            server.on_message_error(|_error, _client_id| {});
            server.listen().await.unwrap();
            let floods = [(); 2].map(|()| {
                let stream = std::os::unix::net::UnixStream::connect(place.socket()).unwrap();
                let chunk = bytes.repeat(64 * 1024 / bytes.len());
                std::thread::spawn(move || {
                    while io::Write::write_all(&mut &stream, &chunk).is_ok() {}
                })
            });
            assert!(events.take(2).await.iter().all(Option::is_none));
            server.broadcast_raw("text", &long()).unwrap();
            within("the close", 10 * SECOND, server.close()).await;
            for cause in events.rest() {
                assert!(matches!(cause, Some(CloseCause::Closed)), "{cause:?}");
            }
            for flood in floods {
                tokio::task::spawn_blocking(|| flood.join()).await.unwrap().unwrap();
            }
        }
    }

    async fn write_stall_during_socket_flood_disconnects() {
        let place = Place::new();
        let server = Server::builder(place.socket()).write_stall(Duration::from_millis(300)).build();
        let mut events = Events::new();
        let (connection, end) = (events.reporter(), events.reporter());
        server.on_connection(move |_client_id| connection(None));
        server.on_connection_close(move |_client_id, reason| end(Some(reason.cause.clone())));
        server.listen().await.unwrap();
        let stream = std::os::unix::net::UnixStream::connect(place.socket()).unwrap();
        let flood = std::thread::spawn(move || {
            while io::Write::write_all(&mut &stream, &[b'\n'; 64 * 1024]).is_ok() {}
        });
        assert!(events.next().await.is_none());
        server.broadcast_raw("text", &long()).unwrap();
        let cause = events.next().await;
        assert!(matches!(cause, Some(CloseCause::SlowClient)), "{cause:?}");
        tokio::task::spawn_blocking(|| flood.join()).await.unwrap().unwrap();
    }
}
