//! What the tests with foreign peers share: peers in other languages, and a conversation with them.
//!
//! A peer is a program in `tests/foreign/` that uses the socket in its own way. It takes commands on standard input,
//! and prints its events and the messages that it receives on standard output, one JSON object a line:
//!
//! | command | what the peer sends |
//! |---|---|
//! | `values` | each of `values` in `speech.json`, under the topic `value` |
//! | `delimiters` | each of `delimiters` in `speech.json`: text that looks like a delimiter, in every place |
//! | `count 0 5000` | `{"n":0,"text":…}` to `{"n":4999,"text":…}` under `count`; [`text`] is the rule for the text |
//! | `big 1048576` | `{"text":…}` under `big`, with a text of so many bytes; [`big`] is the rule for the text |
//! | `missing` | nothing at all, under `missing` |
//! | `none` | a text under the empty topic |
//! | `untopical` | a message that has no topic: not an envelope |
//! | `close` | nothing: closes its end and, once all is done, exits |
//!
//! | line | when |
//! |---|---|
//! | `{"event":"ready","peer":"…"}` | first, with the peer's name and version |
//! | `{"event":"received","topic":"…","message":…}` | for each message, unchanged |
//! | `{"event":"connect"}`, … | for each event of the library that it uses |
//!
//! Both ends make the messages that they send, and those that they expect, by the same rules. So all messages are
//! compared, not only counted.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OnceCell, mpsc};

use super::{DEADLINE, in_time, soon};

/// Writes past the capture of the test harness, so that every run shows which peers took part and which were skipped.
fn announce(line: &str) {
    let flavour = match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) => "current-thread runtime",
        Ok(_) => "multi-thread runtime",
        Err(_) => "no runtime",
    };
    // In one piece, as tests run side by side.
    let _ = std::io::stderr().write_all(format!("{line} ({flavour})\n").as_bytes());
}

/// Reports that a test did not run. Fails if `CI` is set.
pub fn skip(test: &str, why: &str) {
    if std::env::var_os("CI").is_some_and(|ci| !ci.is_empty()) {
        panic!("{test} can't be skipped, as CI is set: {why}");
    }
    announce(&format!("SKIPPED {test}: {why}"));
}

/// Reports at the end of a test the peer and the number of exchanged messages.
pub fn report(test: &str, peer: &Peer, exchanged: usize) {
    let peer = peer.name();
    assert_ne!(exchanged, 0, "{test}: no message was exchanged with {peer}");
    announce(&format!("{test}: {exchanged} messages exchanged with {peer}"));
}

/// A message as either end received it.
#[derive(Clone, PartialEq, Debug)]
pub struct Received {
    /// The topic.
    pub topic: String,
    /// The message; null where there was none.
    pub message: Value,
}

impl Received {
    /// A message under a topic.
    pub fn new(topic: impl Into<String>, message: Value) -> Self {
        Received { topic: topic.into(), message }
    }

    /// Compares in full, and prints no more than 400 characters of each.
    fn expect(&self, expected: &Received) {
        let short = |received: &Received| format!("{received:?}").chars().take(400).collect::<String>();
        assert!(self == expected, "received {}\nexpected {}", short(self), short(expected));
    }
}

/// `speech.json`, which every peer reads too.
#[derive(Deserialize)]
struct Speech {
    alphabet: Vec<String>,
    values: Vec<Value>,
    delimiters: Vec<Delimiter>,
}

#[derive(Deserialize)]
struct Delimiter {
    topic: String,
    message: Value,
}

static SPEECH: LazyLock<Speech> = LazyLock::new(|| {
    serde_json::from_str(include_str!("speech.json")).expect("speech.json has the form that every peer reads")
});

/// The text of the message number `n` of a count: up to 39 of the letters in `speech.json`.
pub fn text(n: u32) -> String {
    let (n, alphabet) = (n as usize, &SPEECH.alphabet);
    (0..n * 7 % 40).map(|k| alphabet[(n * 31 + k * 17) % alphabet.len()].as_str()).collect()
}

/// A text of so many bytes in UTF-8.
pub fn big(bytes: usize) -> String {
    const UNIT: &str = "a megabyte of ☃ and é ";
    UNIT.repeat(bytes / UNIT.len()) + &"x".repeat(bytes % UNIT.len())
}

/// A batch of messages that either end of a conversation can send.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Every type of JSON and every kind of text.
    Values,
    /// Text that looks like a delimiter, and is none.
    Delimiters,
    /// Numbered messages.
    Count(Range<u32>),
    /// One message with a text of so many bytes.
    Big(usize),
    /// A topic and no message.
    Missing,
    /// A message under the empty topic.
    None,
}

/// All batches.
pub fn all_batches() -> Vec<Batch> {
    vec![
        Batch::Values,
        Batch::Delimiters,
        Batch::Missing,
        Batch::Count(0..5000),
        // 1 MiB, and nearly the 4 MiB that a message may have by default.
        Batch::Big(1 << 20),
        Batch::Big(4_100_000),
        Batch::None,
        // The batches before have left no trace.
        Batch::Count(5000..5010),
    ]
}

/// Some batches, for later connections.
pub fn some_batches() -> Vec<Batch> {
    vec![Batch::Count(0..100), Batch::Values, Batch::Count(100..110)]
}

impl Batch {
    /// The command that makes a peer send it.
    fn command(&self) -> String {
        match self {
            Batch::Values => "values".into(),
            Batch::Delimiters => "delimiters".into(),
            Batch::Count(range) => format!("count {} {}", range.start, range.end),
            Batch::Big(bytes) => format!("big {bytes}"),
            Batch::Missing => "missing".into(),
            Batch::None => "none".into(),
        }
    }

    /// The messages of the batch.
    pub fn messages(&self) -> Vec<Received> {
        match self {
            Batch::Values => {
                SPEECH.values.iter().map(|value| Received::new("value", value.clone())).collect()
            }
            Batch::Delimiters => SPEECH
                .delimiters
                .iter()
                .map(|text| Received::new(&text.topic, text.message.clone()))
                .collect(),
            Batch::Count(range) => {
                range.clone().map(|n| Received::new("count", json!({"n": n, "text": text(n)}))).collect()
            }
            Batch::Big(bytes) => vec![Received::new("big", json!({"text": big(*bytes)}))],
            Batch::Missing => vec![Received::new("missing", Value::Null)],
            Batch::None => vec![Received::new("", json!("under no topic"))],
        }
    }

    /// What `receiver` receives when `sender` has sent the batch.
    fn received(&self, sender: Dialect, receiver: Dialect) -> Vec<Received> {
        let mut messages = self.messages();
        if sender == Dialect::Node02 {
            // A sender of 0.2 writes `%EOM%` unescaped, and every receiver takes it for a delimiter. So the peer does
            // not send it. The other direction is received in full.
            messages.retain(|Received { topic, message }| !format!("{topic}{message}").contains("%EOM%"));
        }
        if sender == Dialect::Ours || receiver == Dialect::Ours {
            // The name that the Node library documents for the empty topic, and does not use.
            messages
                .iter_mut()
                .filter(|received| received.topic.is_empty())
                .for_each(|received| received.topic = "none".into());
        }
        messages
    }
}

/// The dialect of an end, as far as it makes a difference to the messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// This library.
    Ours,
    /// Version 0.2 of the Node library, which can't send every text.
    Node02,
    /// Any other peer.
    Foreign,
}

/// One end of a conversation.
pub trait Conversant {
    /// Its dialect.
    fn dialect(&self) -> Dialect;

    /// Sends the whole batch, without waiting for a reply.
    fn send(&mut self, batch: &Batch) -> impl Future<Output = ()>;

    /// The next message received.
    fn receive(&mut self) -> impl Future<Output = Received>;
}

/// Both ends send each batch at the same time, and receive the batch of the peer, in full and in order. Returns the
/// number of messages.
pub async fn exchange(one: &mut impl Conversant, other: &mut impl Conversant, batches: &[Batch]) -> usize {
    let mut exchanged = 0;
    for batch in batches {
        one.send(batch).await;
        other.send(batch).await;
        exchanged += expect(other, batch.received(one.dialect(), other.dialect())).await;
        exchanged += expect(one, batch.received(other.dialect(), one.dialect())).await;
    }
    exchanged
}

async fn expect(end: &mut impl Conversant, messages: Vec<Received>) -> usize {
    for message in &messages {
        end.receive().await.expect(message);
    }
    messages.len()
}

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
    async fn start(mut command: Command, dialect: Dialect) -> Result<Self, String> {
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
        let line = self.next(event).await;
        assert_eq!(line.event, event, "{} printed {line:?}\n{}", self.name, self.stderr_text());
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
    fn name(self) -> &'static str {
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
pub(super) async fn install(target: &Path, name: &str, package: &str, lock: &str) -> Result<PathBuf, String> {
    run(Command::new("node").arg("--version")).await?;

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

async fn run(command: &mut Command) -> Result<(), String> {
    let name = format!("{:?}", command.as_std());
    let output = tokio::time::timeout(Duration::from_secs(120), command.kill_on_drop(true).output())
        .await
        .map_err(|_| format!("{name} takes too long"))?
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
    // A Python that exists and can't start, like the placeholder of some systems, counts as none.
    run(Command::new("python3").arg("--version")).await?;
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
