//! A NATS server of a test's own, killed when dropped, and a domain of servers that have joined over it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use socket_ipc::Server;
use socket_ipc::cluster::{Cluster, ClusterOptions};
use tokio::runtime::Runtime;

use super::{DEADLINE, Place, skip};

pub(crate) struct Nats {
    child: Child,
    lines: Receiver<String>,
    port: String,
    config: PathBuf,
    pub(crate) place: Place,
}

impl Nats {
    /// Starts a server with these lines of configuration. `None` where there is none to start: the test is skipped.
    pub(crate) fn start(config: &str) -> Option<Self> {
        if Command::new("nats-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip("a test of the command over NATS", "there is no nats-server");
            return None;
        }
        let place = Place::new();
        let path = place.file("nats.conf");
        std::fs::write(&path, config).unwrap();
        let (child, lines, port) = spawn(&path, "-1");
        Some(Self { child, lines, port, config: path, place })
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, with other lines of configuration.
    pub(crate) fn restart_with(&mut self, config: &str) {
        std::fs::write(&self.config, config).unwrap();
        self.restart();
    }

    /// Starts it again on the same port.
    pub(crate) fn restart(&mut self) {
        let (child, lines, _) = spawn(&self.config, &self.port);
        (self.child, self.lines) = (child, lines);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(config: &std::path::Path, port: &str) -> (Child, Receiver<String>, String) {
    let mut child = Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", port, "-c"])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = channel();
    let log = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    let line_with = |text: &str| {
        std::iter::repeat_with(|| lines.recv_timeout(DEADLINE).expect("nats-server says something in time"))
            .find(|line: &String| line.contains(text))
            .unwrap()
    };
    let line = line_with("Listening for client connections on ");
    let port = line.rsplit(':').next().unwrap().trim().to_owned();
    line_with("Server is ready");
    (child, lines, port)
}

/// A server of this process that has joined the domain `jobs`.
pub(crate) struct Node {
    pub(crate) runtime: Runtime,
    pub(crate) server: Server,
    pub(crate) cluster: Cluster,
    pub(crate) socket: PathBuf,
}

impl Node {
    pub(crate) fn join(nats: &Nats, name: &str) -> Self {
        Self::with(nats, ClusterOptions::new(nats.url(), "jobs").name(name), name)
    }

    pub(crate) fn with(nats: &Nats, options: ClusterOptions, name: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let socket = nats.place.file(name);
        let server = Server::new(&socket);
        let cluster = runtime
            .block_on(async {
                server.listen().await.unwrap();
                Cluster::join(&server, options).await
            })
            .unwrap();
        Self { runtime, server, cluster, socket }
    }

    pub(crate) fn id(&self) -> String {
        self.cluster.node().to_string()
    }
}
