//! Groups of clients, sentence by sentence: which clients are members, what members are sent, and what is left of them.

mod broadcasts;
mod concurrent;
mod handlers;
mod hostile;
mod members;

use serde::{Deserialize, Serialize};
use socket_ipc::{ClientId, Server, ServerBuilder, Topic};
use support::{Events, Place, RawPeer};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "number"]
struct Number(u64);

fn line(number: u64) -> String {
    format!(r#"{{"topic":"number","message":{number}}}"#)
}

/// A server with raw clients.
struct Scene {
    server: Server,
    connected: Events<ClientId>,
    gone: Events<ClientId>,
    place: Place,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|options| options).await
    }

    async fn with(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let (place, connected, gone) = (Place::new(), Events::new(), Events::new());
        let server = options(Server::builder(place.socket())).build();
        server.on_connection(connected.reporter());
        let report = gone.reporter();
        server.on_connection_close(move |id, _| report(id));
        server.listen().await.unwrap();
        Self { server, connected, gone, place }
    }

    async fn client(&mut self) -> (RawPeer, ClientId) {
        let peer = RawPeer::connect(self.place.socket()).await;
        (peer, self.connected.next().await)
    }

    /// Clients that are members of a group.
    async fn members<const COUNT: usize>(&mut self, name: &str) -> [(RawPeer, ClientId); COUNT] {
        let mut members = Vec::new();
        for _ in 0..COUNT {
            let (peer, id) = self.client().await;
            assert_eq!(self.server.group(name).join(id), Ok(true));
            members.push((peer, id));
        }
        members.try_into().unwrap_or_else(|_| unreachable!())
    }

    /// How many groups have members, and how many members they have.
    fn counts(&self) -> (u64, u64) {
        let stats = self.server.stats();
        (stats.groups, stats.group_members)
    }
}

/// Asserts that the next line of each peer is this number, sent to all clients: nothing else was sent before.
async fn assert_nothing_before(scene: &Scene, number: u64, peers: &mut [&mut RawPeer]) {
    scene.server.broadcast(&Number(number)).unwrap();
    for peer in peers {
        assert_eq!(peer.line().await, line(number));
    }
}
