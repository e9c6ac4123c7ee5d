//! The servers of one run: processes of the suite's program.

use std::process::Stdio;

use socket_ipc::description::STATS;
use socket_ipc::{Client, Description, Stats, Wire};
use support::{Place, soon};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The program with the server and the client in Rust.
pub(crate) const SUITE: &str = env!("CARGO_BIN_EXE_suite");

pub(crate) struct Servers {
    pub(crate) place: Place,
    /// Speaks JSON lines at the socket; one that speaks a wire of the Node library is at the same path with `.node`.
    _running: [Child; 2],
    /// The one with `.restart`.
    restarted: Child,
    /// The messages that `exchanged` has told of.
    counted: u64,
}

impl Servers {
    pub(crate) async fn start() -> Self {
        let place = Place::new();
        let running = [serve(&place, "", "json").await, serve(&place, ".node", "node-0.4").await];
        let restarted = serve(&place, ".restart", "json").await;
        Self { place, _running: running, restarted, counted: 0 }
    }

    /// Kills the one that is restarted, as `kill -9` does, and starts another one in its place.
    pub(crate) async fn restart(&mut self) {
        soon("a server is killed", self.restarted.kill()).await.unwrap();
        self.restarted = serve(&self.place, ".restart", "json").await;
    }

    /// What the server says of itself: what clients in other languages are generated from.
    pub(crate) async fn describe(&self) -> Description {
        let client = self.client().await;
        soon("the description", client.describe_server()).await.unwrap()
    }

    /// The same of the server that speaks a wire of the Node library.
    pub(crate) async fn describe_node(&self) -> Description {
        let client = self.node_client().await;
        soon("the description", client.describe_server()).await.unwrap()
    }

    /// How many messages the servers have received and sent since the last call, but for those about this count.
    pub(crate) async fn exchanged(&mut self) -> u64 {
        let mut sum = 0;
        for client in [self.client().await, self.node_client().await] {
            let request = client.request_raw(STATS, &());
            let stats: Stats = soon("the stats", request).await.unwrap().decode().unwrap();
            // The request has been received, and its reply is not sent yet.
            sum += stats.received.messages + stats.sent.messages - 1;
        }
        let exchanged = sum - self.counted;
        // The two replies come on top.
        self.counted = sum + 2;
        exchanged
    }

    async fn node_client(&self) -> Client {
        let path = format!("{}.node", self.place.socket().display());
        let client = Client::builder(path).wire(Wire::NODE_0_4).build();
        soon("a connection", client.connect()).await.unwrap();
        client
    }

    async fn client(&self) -> Client {
        let client = Client::new(self.place.socket());
        soon("a connection", client.connect()).await.unwrap();
        client
    }
}

async fn serve(place: &Place, suffix: &str, wire: &str) -> Child {
    let path = format!("{}{suffix}", place.socket().display());
    let mut command = Command::new(SUITE);
    command.args(["serve", &path, wire]).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(soon("a server listens", lines.next_line()).await.unwrap().as_deref(), Some("listening"));
    child
}
