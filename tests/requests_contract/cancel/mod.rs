//! Requests whose requester gives up.

mod given_up;
mod held_back;
mod lines;
mod room;

use futures::FutureExt as _;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use super::*;

fn request(number: u64, id: &str) -> String {
    format!("{{\"topic\":\"work\",\"message\":{number},\"id\":{id}}}\n")
}

fn cancel(id: &str) -> String {
    format!("{{\"topic\":\"socket-ipc.cancel\",\"message\":{id},\"re\":0}}\n")
}

/// A round trip past everything that is held back: the server has scanned all lines before it.
async fn scanned(server: &Server, (peer, id): (&mut RawPeer, ClientId)) {
    let reply = server.request_raw("scan", &(), id);
    let line = peer.line().await;
    let number = line.rsplit(':').next().unwrap().trim_end_matches('}');
    assert!(line.starts_with("{\"topic\":\"scan\""), "{line}");
    peer.write(format!("{{\"topic\":\"scan\",\"message\":null,\"re\":{number}}}\n")).await;
    soon("the scan", reply).await.unwrap();
}
