//! A NATS server for one comparison: on ports of its own, killed when dropped.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::run::Failed;

const MISSING: &str = "there is no nats-server: install one (`apt-get install nats-server`, or \
                       https://docs.nats.io/running-a-nats-service/introduction/installation)";

pub struct Nats {
    child: Child,
    port: String,
    monitor: String,
    _place: tempfile::TempDir,
}

/// What it has received and sent since it started, and what it keeps.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Traffic {
    pub in_msgs: u64,
    pub out_msgs: u64,
    pub out_bytes: u64,
    /// How many subscriptions there are.
    pub subscriptions: u64,
}

impl Nats {
    pub fn start() -> Result<Self, Failed> {
        let place = tempfile::tempdir()?;
        let config = place.path().join("nats.conf");
        std::fs::write(&config, "http: \"127.0.0.1:-1\"\n")?;
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", "-1", "-c"]).arg(&config);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| match error.kind() {
            ErrorKind::NotFound => MISSING.to_owned(),
            _ => format!("cannot start nats-server: {error}"),
        })?;
        let log = child.stderr.take().ok_or("a process without output")?;
        let mut nats = Self { child, port: String::new(), monitor: String::new(), _place: place };
        let mut lines = BufReader::new(log).lines();
        for line in lines.by_ref() {
            let line = line?;
            let port = || line.rsplit(':').next().unwrap_or_default().trim().to_owned();
            if line.contains("Starting http monitor") {
                nats.monitor = port();
            } else if line.contains("Listening for client connections") {
                nats.port = port();
            } else if line.contains("Server is ready") {
                // Its log is read to the end, so that it never waits for room in the pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(nats);
            }
        }
        Err("nats-server ended before it was ready".into())
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn version(&self) -> Result<String, Failed> {
        let output = Command::new("nats-server").arg("--version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Reads the counters from its monitoring port.
    pub fn traffic(&self) -> Result<Traffic, Failed> {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", self.monitor))?;
        stream.write_all(b"GET /varz HTTP/1.0\r\n\r\n")?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let (_, body) = response.split_once("\r\n\r\n").ok_or("nats-server does not tell its counters")?;
        Ok(serde_json::from_str(body)?)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
