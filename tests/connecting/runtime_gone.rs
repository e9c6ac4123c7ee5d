//! A server and a client after the end of the runtime that they ran on.

use std::pin::pin;

use serde::Serialize;
use socket_ipc::{Client, SendError, Server, Topic};
use support::{Place, soon};

#[derive(Topic, Serialize)]
#[topic = "text"]
struct Text(String);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn client_runtime_gone_send_and_flush_return_errors() {
    let place = Place::new();
    let (gone, ours) = (runtime(), runtime());
    // It never reads, so the messages stay queued.
    let silent = std::os::unix::net::UnixListener::bind(place.socket()).unwrap();
    let client = Client::new(place.socket());
    gone.block_on(client.connect()).unwrap();
    let text = Text("x".repeat(1 << 20));
    while client.send(&text).is_ok() {}
    let empty = Text(String::new());
    let (mut sending, mut flushing) = (pin!(client.send_async(&empty)), pin!(client.flush()));
    ours.block_on(async {
        assert!(futures::poll!(&mut sending).is_pending());
        assert!(futures::poll!(&mut flushing).is_pending());
    });
    drop(gone);
    assert!(!client.is_connected());
    assert!(matches!(client.send(&text), Err(SendError::Closed { .. })));
    ours.block_on(async {
        assert!(matches!(soon("the end of sending", sending).await, Err(SendError::Closed { .. })));
        assert!(soon("the end of flushing", flushing).await.is_err());
    });
    drop(silent);
}

#[test]
fn server_runtime_gone_has_no_clients() {
    let place = Place::new();
    let gone = runtime();
    let server = Server::new(place.socket());
    let client = Client::new(place.socket());
    gone.block_on(async {
        let mut arrivals = support::Events::new();
        server.on_connection(arrivals.reporter());
        server.listen().await.unwrap();
        client.connect().await.unwrap();
        arrivals.next().await;
    });
    drop(gone);
    assert_eq!(server.clients(), []);
    assert_eq!(server.broadcast_raw("news", &"").unwrap(), 0);
    drop(server);
    assert!(!place.socket().exists());
}
