//! The programs of foreign peers: how they are installed, started and told what to do.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{OnceCell, mpsc};

use super::super::preparation::prepared;
use super::super::{DEADLINE, in_time, soon};
use super::conversation::{Batch, Conversant, Dialect, Received};
use super::is_here;

/// A line that a peer printed.
#[derive(Deserialize, Debug)]
struct Line {
    event: String,
    peer: Option<String>,
    topic: Option<String>,
    /// The error of the event, only shown when the event is not the expected one.
    #[expect(dead_code)]
    error: Option<String>,
    #[serde(default)]
    message: Value,
}

/// A running peer. Killed when dropped.
#[derive(Debug)]
pub struct Peer {
    name: String,
    dialect: Dialect,
    child: Child,
    commands: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<Line>,
    /// Read ahead while waiting for something else.
    earlier: VecDeque<Line>,
    stderr_text: Arc<Mutex<String>>,
}

impl Peer {
    /// Starts a peer and waits for its name. `Err` states why it can't run here.
    pub(super) async fn start(mut command: Command, dialect: Dialect) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{:?} can't be run: {error}", command.as_std().get_program()))?;

        let stdout = child.stdout.take().expect("its standard output is piped");
        let (printed, lines) = mpsc::unbounded_channel();
        // Read at once: a peer that waits for its output to be read does not read its socket.
        tokio::spawn(async move {
            let mut stdout = BufReader::new(stdout).lines();
            while let Some(line) = stdout.next_line().await.expect("a peer prints UTF-8") {
                let line = serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("a peer prints JSON lines: {error}: {line:?}"));
                if printed.send(line).is_err() {
                    break;
                }
            }
        });

        let mut stderr = child.stderr.take().expect("its standard error is piped");
        let stderr_text = Arc::new(Mutex::new(String::new()));
        tokio::spawn({
            let stderr_text = Arc::clone(&stderr_text);
            async move {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = stderr.read(&mut bytes).await {
                    stderr_text.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
                }
            }
        });

        let commands = child.stdin.take();
        let earlier = VecDeque::new();
        let mut peer = Peer { name: String::new(), dialect, child, commands, lines, earlier, stderr_text };
        match soon("a peer is ready", peer.lines.recv()).await {
            Some(Line { event, peer: Some(name), .. }) if event == "ready" => peer.name = name,
            Some(line) => panic!("not the name of a peer: {line:?}"),
            None => {
                let status = soon("a peer ends", peer.child.wait()).await.expect("a peer can be waited for");
                let stderr_text = peer.stderr_text();
                // The status by which `peer.sh` reports a missing tool.
                if status.code() == Some(77) {
                    return Err(stderr_text.trim().to_owned());
                }
                panic!("a peer ended before it was ready: {status}\n{stderr_text}");
            }
        }
        Ok(peer)
    }

    /// Its name and version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it a command.
    pub async fn command(&mut self, command: &str) {
        let commands = self.commands.as_mut().expect("a peer takes commands until it is closed");
        let line = format!("{command}\n");
        if let Err(error) = soon(command, commands.write_all(line.as_bytes())).await {
            panic!("{} does not take {command:?}: {error}\n{}", self.name, self.stderr_text());
        }
    }

    async fn next(&mut self, waiting_for: &str) -> Line {
        if let Some(line) = self.earlier.pop_front() {
            return line;
        }
        match in_time(DEADLINE, self.lines.recv()).await {
            Some(Some(line)) => line,
            Some(None) => panic!("{} ended before {waiting_for}\n{}", self.name, self.stderr_text()),
            None => panic!("{}: not within {DEADLINE:?}: {waiting_for}\n{}", self.name, self.stderr_text()),
        }
    }

    /// The next event is `event`.
    pub async fn expect(&mut self, event: &str) {
        self.told(event).await;
    }

    /// The next event is `event`; returns its message.
    pub async fn told(&mut self, event: &str) -> Value {
        let line = self.next(event).await;
        assert_eq!(line.event, event, "{} printed {line:?}\n{}", self.name, self.stderr_text());
        line.message
    }

    /// The next event, which is a message: its name, and the topic and the message.
    pub async fn plain(&mut self) -> (String, String, Value) {
        let line = self.next("a message").await;
        let Some(topic) = line.topic else {
            panic!("not a message of {}: {line:?}\n{}", self.name, self.stderr_text());
        };
        (line.event, topic, line.message)
    }

    /// The next events are `events`, in any order.
    pub async fn expect_all(&mut self, events: &[&str]) {
        let mut missing = events.to_vec();
        while !missing.is_empty() {
            let line = self.next(missing[0]).await;
            let Some(index) = missing.iter().position(|event| *event == line.event) else {
                panic!("{} printed {line:?}\n{}", self.name, self.stderr_text());
            };
            missing.remove(index);
        }
    }

    /// The next event is `event`, after any number of `passed`.
    pub async fn expect_after(&mut self, passed: &str, event: &str) {
        loop {
            let line = self.next(event).await;
            if line.event == event {
                return;
            }
            assert_eq!(line.event, passed, "{} printed {line:?}\n{}", self.name, self.stderr_text());
        }
    }

    /// Skips messages, up to the next other event.
    pub async fn skip_messages(&mut self) {
        loop {
            let line = self.next("something besides messages").await;
            if line.event != "received" {
                return self.earlier.push_front(line);
            }
        }
    }

    /// Closes its end of the connection.
    pub async fn close(&mut self) {
        self.command("close").await;
        self.commands = None;
    }

    /// It prints nothing more, and ends by itself with success.
    pub async fn end(mut self) {
        let rest = self.earlier.pop_front().or(soon("a peer ends", self.lines.recv()).await);
        assert!(rest.is_none(), "{} still printed {rest:?}", self.name);
        let status = soon("a peer ends", self.child.wait()).await.expect("a peer can be waited for");
        assert!(status.success(), "{} ended with {status}\n{}", self.name, self.stderr_text());
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(mut self) {
        soon("a peer is killed", self.child.kill()).await.expect("a peer can be killed");
    }

    fn stderr_text(&self) -> String {
        self.stderr_text.lock().unwrap().clone()
    }
}

impl Conversant for Peer {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    async fn send(&mut self, batch: &Batch) {
        self.command(&batch.command()).await;
    }

    async fn receive(&mut self) -> Received {
        match self.next("a message").await {
            Line { event, topic: Some(topic), message, .. } if event == "received" => {
                Received { topic, message }
            }
            line => panic!("not a message of {}: {line:?}\n{}", self.name, self.stderr_text()),
        }
    }
}

/// The role of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It connects.
    Client,
    /// It is connected to.
    Server,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Server => "server",
        }
    }
}

fn script(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(path)
}

/// The published versions of the Node library, installed.
#[derive(Clone, Debug)]
pub struct Node {
    modules: PathBuf,
}

impl Node {
    /// Installs them below `target` (`CARGO_TARGET_TMPDIR`), once for each lock file. `Err` states why Node
    /// can't be used here.
    pub async fn install(target: &'static str) -> Result<Self, String> {
        // Tests run side by side.
        static INSTALLED: OnceCell<Result<Node, String>> = OnceCell::const_new();
        INSTALLED.get_or_init(|| Self::install_once(Path::new(target))).await.clone()
    }

    async fn install_once(target: &Path) -> Result<Self, String> {
        let (package, lock) = (include_str!("node/package.json"), include_str!("node/package-lock.json"));
        let installed = install(target, "foreign-node", package, lock).await?;
        Ok(Node { modules: installed.join("node_modules") })
    }

    /// Starts a client or a server of one version.
    pub async fn start(&self, version: &str, role: Role, socket: &Path) -> Peer {
        let mut command = Command::new("node");
        command.arg(script(&format!("node/{}.js", role.name()))).arg(version).arg(socket);
        // The packages are not beside the scripts: nothing is installed among the sources.
        command.env("NODE_PATH", &self.modules);
        let dialect = if version == "0.2.0" { Dialect::Node02 } else { Dialect::Foreign };
        let peer = Peer::start(command, dialect).await.expect("node has been seen to run");
        assert!(peer.name.contains(version), "{version} was requested, not {}", peer.name);
        peer
    }
}

/// Installs npm packages below `target`, once for each lock file, and returns where.
pub async fn install(target: &Path, name: &str, package: &str, lock: &str) -> Result<PathBuf, String> {
    is_here("node").await?;

    let mut hasher = DefaultHasher::new();
    (package, lock).hash(&mut hasher);
    let installed = target.join(format!("{name}-{:016x}", hasher.finish()));
    if installed.exists() {
        return Ok(installed);
    }

    let failed = |error: std::io::Error| format!("the npm packages can't be put in {target:?}: {error}");
    // Installed beside and moved into place, so that it is complete as soon as it exists, even with other installers.
    let beside = tempfile::tempdir_in(target).map_err(failed)?;
    std::fs::write(beside.path().join("package.json"), package).map_err(failed)?;
    std::fs::write(beside.path().join("package-lock.json"), lock).map_err(failed)?;
    let npm =
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=1"];
    run(Command::new("npm").args(npm).current_dir(&beside)).await?;
    match std::fs::rename(beside.path(), &installed) {
        Err(error) if !installed.exists() => Err(failed(error)),
        _ => Ok(installed.clone()),
    }
}

/// Runs a command of a preparation to its end. `Err` states why it failed.
pub async fn run(command: &mut Command) -> Result<(), String> {
    let name = format!("{:?}", command.as_std());
    let output = prepared(&name, command.kill_on_drop(true).output())
        .await
        .map_err(|error| format!("{name} can't be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    // The first lines of npm's output are the summary.
    let stderr_text = String::from_utf8_lossy(&output.stderr);
    let stderr_text = stderr_text.lines().take(4).collect::<Vec<_>>().join("\n");
    Err(format!("{name} failed, {}\n{stderr_text}", output.status))
}

/// Starts a Python peer. `Err` states why it can't run here.
pub async fn python(role: Role, socket: &Path) -> Result<Peer, String> {
    is_here("python3").await?;
    let mut command = Command::new("python3");
    command.arg(script("python/peer.py")).arg(role.name()).arg(socket);
    Peer::start(command, Dialect::Foreign).await
}

/// Starts a client made of shell tools. `Err` states why it can't run here.
pub async fn shell(socket: &Path) -> Result<Peer, String> {
    let mut command = Command::new("bash");
    command.arg(script("shell/peer.sh")).arg(socket);
    Peer::start(command, Dialect::Foreign).await
}
