//! A NATS server of a test's own: on a port and in a directory of its own, killed when dropped.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};

use crate::{DEADLINE, Place, skip};

pub struct Nats {
    child: Child,
    port: u16,
    config: PathBuf,
    lines: Mutex<Receiver<String>>,
    _place: Place,
}

impl Nats {
    /// Starts a server. `None` where there is none to start: the test is skipped.
    pub fn start() -> Option<Self> {
        Self::with("")
    }

    /// Starts a server with these lines of configuration.
    pub fn with(config: &str) -> Option<Self> {
        if Command::new("nats-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip("a test of a cluster", "there is no nats-server");
            return None;
        }
        let place = Place::new();
        let path = place.directory().join("nats.conf");
        std::fs::write(&path, config).unwrap();
        let (child, lines, port) = spawn(&path, "-1");
        Some(Self { child, port, config: path, lines: Mutex::new(lines), _place: place })
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The URL that has connections encrypted.
    pub fn tls_url(&self) -> String {
        self.url().replace("nats://", "tls://")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port for other NATS servers.
    pub fn route_port(&self) -> u16 {
        port_in(&self.line_with("Listening for route connections on "))
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again, after it was killed, on the same port.
    pub fn restart(&mut self) {
        let (child, lines, port) = spawn(&self.config, &self.port.to_string());
        (self.child, self.lines, self.port) = (child, Mutex::new(lines), port);
    }

    /// Makes the server read its configuration again, and waits until it has.
    pub fn reload(&self, config: &str) {
        std::fs::write(&self.config, config).unwrap();
        self.signal(Signal::HUP);
        self.line_with("Reloaded server configuration");
    }

    /// The next line of its log that holds `text`.
    pub fn line_with(&self, text: &str) -> String {
        line_with(&self.lines.lock().unwrap(), text)
    }
}

fn line_with(lines: &Receiver<String>, text: &str) -> String {
    loop {
        let line =
            lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("nats-server did not say `{text}`"));
        if line.contains(text) {
            return line;
        }
    }
}

/// The port at the end of a line.
fn port_in(line: &str) -> u16 {
    line.rsplit(':').next().unwrap().trim().parse().unwrap()
}

fn spawn(config: &std::path::Path, port: &str) -> (Child, Receiver<String>, u16) {
    let mut child = Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", port, "-c"])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = channel();
    let log = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        // Read to the end, so that the server never waits for room in the pipe.
        log.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
    });
    let port = port_in(&line_with(&lines, "Listening for client connections on "));
    line_with(&lines, "Server is ready");
    (child, lines, port)
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
