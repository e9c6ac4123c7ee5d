//! The contract of `#[handlers]`, sentence by sentence. What does not compile is in `tests/ui/handlers`.

mod asynchronous;
mod attach;
mod by_hand;
mod context;
mod streams;

use std::time::Duration;

use socket_ipc::{Client, Protocol, Server};
use support::{Events, Place, soon};

/// Longer than any test takes: a request that fails earlier did not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

/// A server and a client of a protocol. What they handle is attached already.
async fn connected<P: Protocol>(
    attach: impl FnOnce(&Server<P>, &Client<P>),
) -> (Place, Server<P>, Client<P>) {
    let place = Place::new();
    let server = P::server(place.socket()).request_timeout(LONG).build();
    let client = P::client(place.socket()).request_timeout(LONG).build();
    attach(&server, &client);
    let mut connections = Events::new();
    let token = server.on_connection(connections.reporter());
    server.listen().await.unwrap();
    soon("a connection", client.connect()).await.unwrap();
    connections.next().await;
    server.off(token);
    (place, server, client)
}
