//! The connections of a server and the connection of a client, as bounded streams of events.

mod client;
mod server;

use std::collections::HashMap;
use std::time::Duration;

use futures::{Stream, StreamExt, future, stream};
use serde::{Deserialize, Serialize};
use socket_ipc::limits::EVENT_STREAM_LEN;
use socket_ipc::{
    Client, ClientConnectionEvent, CloseCause, ConnectError, EventStream, Server, ServerConnectionEvent,
    Topic,
};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "number"]
struct Number(u64);

fn opened_or_closed(event: ServerConnectionEvent) -> String {
    match event {
        ServerConnectionEvent::Opened(id) => format!("{id} opened"),
        ServerConnectionEvent::Closed(id, reason) => format!("{id} closed: {:?}", reason.cause),
        ServerConnectionEvent::Lagged(count) => format!("{count} lagged"),
        other => format!("{other:?}"),
    }
}

/// The events up to the end of the stream, as text.
async fn rest<E>(events: EventStream<E>, to_text: fn(E) -> String) -> Vec<String> {
    soon("the end", events.map(to_text).collect()).await
}

async fn listening() -> (Place, Server) {
    let place = Place::new();
    let server = Server::new(place.socket());
    server.listen().await.unwrap();
    (place, server)
}

/// A client with short delays.
fn eager(place: &Place) -> Client {
    let delay = Duration::from_millis(20);
    Client::builder(place.socket()).retry_delay(delay).reconnect_delay(delay).build()
}
