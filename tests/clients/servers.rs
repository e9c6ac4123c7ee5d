//! The servers of one run: processes of the suite's program.

use std::process::Stdio;

use socket_ipc::description::{DESCRIBE, STATS};
use socket_ipc::{Client, Description, Stats, Wire};
use support::{Place, soon};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The program with the server and the client in Rust.
pub(crate) const SUITE: &str = env!("CARGO_BIN_EXE_suite");

/// The servers: what the path of each ends with, and its wire, with the name that the program has for it.
const SPOKEN: [(&str, &str, Wire); 5] = [
    ("", "json", Wire::JSON_LINES),
    (".node-0.4", "node-0.4", Wire::NODE_0_4),
    (".node-0.2", "node-0.2", Wire::NODE_0_2),
    (".node-0.1", "node-0.1", Wire::NODE_0_1),
    (RESTART, "json", Wire::JSON_LINES),
];

/// Those that speak the wires of the Node library.
pub(crate) const NODE_WIRES: [&str; 3] = ["node-0.4", "node-0.2", "node-0.1"];
/// The one that is killed, and started again.
const RESTART: &str = ".restart";

pub(crate) struct Servers {
    pub(crate) place: Place,
    /// In the order of the table.
    running: [Child; SPOKEN.len()],
    /// The messages of each that `exchanged` has told of.
    counted: [u64; SPOKEN.len()],
}

impl Servers {
    pub(crate) async fn start() -> Self {
        let place = Place::new();
        let mut running = Vec::new();
        for (suffix, wire, _) in SPOKEN {
            running.push(serve(&place, suffix, wire).await);
        }
        Self { place, running: running.try_into().unwrap(), counted: [0; SPOKEN.len()] }
    }

    /// Kills the one that is restarted, as `kill -9` does, and starts another one in its place.
    pub(crate) async fn restart(&mut self) {
        let at = index(RESTART);
        soon("a server is killed", self.running[at].kill()).await.unwrap();
        self.running[at] = serve(&self.place, RESTART, SPOKEN[at].1).await;
        self.counted[at] = 0;
    }

    /// What a server says of itself: what clients in other languages are generated from.
    pub(crate) async fn describe(&self, suffix: &str) -> Description {
        let client = self.client(suffix).await;
        soon("the description", client.describe_server()).await.unwrap()
    }

    /// How many messages the servers have received and sent since the last call, but for those about a server itself.
    pub(crate) async fn exchanged(&mut self) -> u64 {
        let mut exchanged = 0;
        for (at, (suffix, ..)) in SPOKEN.into_iter().enumerate() {
            let client = self.client(suffix).await;
            let request = client.request_raw(STATS, &());
            let stats: Stats = soon("the stats", request).await.unwrap().decode().unwrap();
            let messages = messages(&stats);
            exchanged += messages - self.counted[at];
            self.counted[at] = messages;
        }
        exchanged
    }

    async fn client(&self, suffix: &str) -> Client {
        let path = format!("{}{suffix}", self.place.socket().display());
        let client = Client::builder(path).wire(SPOKEN[index(suffix)].2).build();
        soon("a connection", client.connect()).await.unwrap();
        client
    }
}

/// The place of a server in the table.
fn index(suffix: &str) -> usize {
    SPOKEN.iter().position(|(of, ..)| *of == suffix).unwrap()
}

/// The number of messages received and sent, without requests about the server itself and their replies.
fn messages(stats: &Stats) -> u64 {
    let own = stats.topics.iter().filter(|topic| [DESCRIBE, STATS].contains(&&*topic.topic));
    let own: u64 = own.map(|topic| topic.received.messages + topic.sent.messages).sum();
    stats.received.messages + stats.sent.messages - own
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
