//! What the tests with foreign peers share: peers in other languages, and a conversation with them.
//!
//! A peer is a program in `tests/foreign/` that talks over the socket in its own way. It takes commands on
//! standard input, and prints what happens and what it hears on standard output, one JSON object a line:
//!
//! | command | what the peer says |
//! |---|---|
//! | `values` | each of `values` in `speech.json`, under the topic `value` |
//! | `ends` | each of `ends` in `speech.json`: text that looks like the end of a message, in every place |
//! | `count 0 5000` | `{"n":0,"text":…}` to `{"n":4999,"text":…}` under `count`; [`text`] is the rule for the text |
//! | `big 1048576` | `{"text":…}` under `big`, with a text of so many bytes, by the rule of [`big`] |
//! | `missing` | nothing at all, under `missing` |
//! | `none` | a text under the empty topic |
//! | `untopical` | a message that has no topic: not an envelope |
//! | `close` | closes its end and, once all is done, exits |
//!
//! | line | when |
//! |---|---|
//! | `{"event":"ready","peer":"…"}` | first, with the peer's name and version |
//! | `{"event":"heard","topic":"…","message":…}` | for each message, word for word |
//! | `{"event":"connect"}`, … | when the library it uses says so |
//!
//! Both sides make up what they say, and what they expect to hear, from the same rules, so that all of it is
//! compared and not only counted.

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

/// Writes past the capture of the test harness: that a peer was spoken to, or was not there, is to be seen
/// without asking for it.
fn announce(line: &str) {
    let flavour = match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) => "current-thread runtime",
        Ok(_) => "multi-thread runtime",
        Err(_) => "no runtime",
    };
    // In one piece, as tests run side by side.
    let _ = std::io::stderr().write_all(format!("{line} ({flavour})\n").as_bytes());
}

/// Says that a test did not run; where `CI` is set, that is a failure.
pub fn skip(test: &str, why: &str) {
    if std::env::var_os("CI").is_some_and(|ci| !ci.is_empty()) {
        panic!("{test} can't be skipped, as CI is set: {why}");
    }
    announce(&format!("SKIPPED {test}: {why}"));
}

/// The end of a test: says who the peer was and how many messages went to and fro.
pub fn report(test: &str, peer: &Peer, exchanged: usize) {
    let peer = peer.name();
    assert_ne!(exchanged, 0, "{test}: no message was exchanged with {peer}");
    announce(&format!("{test}: {exchanged} messages exchanged with {peer}"));
}

/// A message as it was heard, whatever heard it.
#[derive(Clone, PartialEq, Debug)]
pub struct Heard {
    /// The topic that it was heard under.
    pub topic: String,
    /// The message; null where there was none.
    pub message: Value,
}

impl Heard {
    /// A message under a topic.
    pub fn new(topic: impl Into<String>, message: Value) -> Self {
        Heard { topic: topic.into(), message }
    }

    /// Compares in full, and says no more than can be read.
    fn expect(&self, expected: &Heard) {
        let cut = |heard: &Heard| format!("{heard:?}").chars().take(400).collect::<String>();
        assert!(self == expected, "heard {}\nexpected {}", cut(self), cut(expected));
    }
}

/// `speech.json`, which every peer reads too.
#[derive(Deserialize)]
struct Speech {
    alphabet: Vec<String>,
    values: Vec<Value>,
    ends: Vec<End>,
}

#[derive(Deserialize)]
struct End {
    topic: String,
    message: Value,
}

static SPEECH: LazyLock<Speech> = LazyLock::new(|| {
    serde_json::from_str(include_str!("speech.json")).expect("speech.json is as every peer reads it")
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

/// Something that either side of a conversation can say.
#[derive(Clone, Debug)]
pub enum Said {
    /// Every type of JSON and every kind of text.
    Values,
    /// What looks like the end of a message, and isn't.
    Ends,
    /// Numbered messages.
    Count(Range<u32>),
    /// One message with a text of so many bytes.
    Big(usize),
    /// A topic and no message.
    Missing,
    /// A message under the empty topic.
    None,
}

/// All there is to say.
pub fn everything() -> Vec<Said> {
    vec![
        Said::Values,
        Said::Ends,
        Said::Missing,
        Said::Count(0..5000),
        // A megabyte, and nearly the four that a message may have by default.
        Said::Big(1 << 20),
        Said::Big(4_100_000),
        Said::None,
        // What came in between has left no trace.
        Said::Count(5000..5010),
    ]
}

/// A few words, after everything has been said once.
pub fn a_few_words() -> Vec<Said> {
    vec![Said::Count(0..100), Said::Values, Said::Count(100..110)]
}

impl Said {
    /// The command that makes a peer say it.
    fn command(&self) -> String {
        match self {
            Said::Values => "values".into(),
            Said::Ends => "ends".into(),
            Said::Count(range) => format!("count {} {}", range.start, range.end),
            Said::Big(bytes) => format!("big {bytes}"),
            Said::Missing => "missing".into(),
            Said::None => "none".into(),
        }
    }

    /// The messages that it consists of.
    pub fn messages(&self) -> Vec<Heard> {
        match self {
            Said::Values => SPEECH.values.iter().map(|value| Heard::new("value", value.clone())).collect(),
            Said::Ends => SPEECH.ends.iter().map(|end| Heard::new(&end.topic, end.message.clone())).collect(),
            Said::Count(range) => {
                range.clone().map(|n| Heard::new("count", json!({"n": n, "text": text(n)}))).collect()
            }
            Said::Big(bytes) => vec![Heard::new("big", json!({"text": big(*bytes)}))],
            Said::Missing => vec![Heard::new("missing", Value::Null)],
            Said::None => vec![Heard::new("", json!("under no topic"))],
        }
    }

    /// What `hearer` hears when `speaker` has said it.
    fn heard(&self, speaker: Tongue, hearer: Tongue) -> Vec<Heard> {
        let mut messages = self.messages();
        if speaker == Tongue::Node02 {
            // A sender of 0.2 writes `%EOM%` as it is, and whoever reads it sees the end of a message there:
            // nobody could understand it, so it isn't said. The other direction is heard in full.
            messages.retain(|Heard { topic, message }| !format!("{topic}{message}").contains("%EOM%"));
        }
        if speaker == Tongue::Ours || hearer == Tongue::Ours {
            // The name that the Node library documents for the empty topic and does not give it.
            messages
                .iter_mut()
                .filter(|heard| heard.topic.is_empty())
                .for_each(|heard| heard.topic = "none".into());
        }
        messages
    }
}

/// What an end speaks, as far as it makes a difference to what is heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tongue {
    /// This library.
    Ours,
    /// The Node library in its version 0.2, which can't say everything.
    Node02,
    /// Any other peer.
    Foreign,
}

/// One end of a conversation.
pub trait Speaks {
    /// What it speaks.
    fn tongue(&self) -> Tongue;

    /// Says it, all of it, without waiting for a reply.
    fn say(&mut self, said: &Said) -> impl Future<Output = ()>;

    /// The next message that it has heard.
    fn hear(&mut self) -> impl Future<Output = Heard>;
}

/// Both ends say each thing at the same time, and hear what the other said, in full and in order. Returns how
/// many messages that were.
pub async fn exchange(one: &mut impl Speaks, other: &mut impl Speaks, speech: &[Said]) -> usize {
    let mut exchanged = 0;
    for said in speech {
        one.say(said).await;
        other.say(said).await;
        exchanged += expect(other, said.heard(one.tongue(), other.tongue())).await;
        exchanged += expect(one, said.heard(other.tongue(), one.tongue())).await;
    }
    exchanged
}

async fn expect(end: &mut impl Speaks, messages: Vec<Heard>) -> usize {
    for message in &messages {
        end.hear().await.expect(message);
    }
    messages.len()
}

/// A line that a peer printed.
#[derive(Deserialize, Debug)]
struct Line {
    event: String,
    peer: Option<String>,
    topic: Option<String>,
    /// What came with it. Only there to be shown when the event is not the expected one.
    #[expect(dead_code)]
    error: Option<String>,
    #[serde(default)]
    message: Value,
}

/// A running peer. Killed when dropped.
#[derive(Debug)]
pub struct Peer {
    name: String,
    tongue: Tongue,
    child: Child,
    commands: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<Line>,
    /// Read ahead while waiting for something else.
    earlier: VecDeque<Line>,
    complaints: Arc<Mutex<String>>,
}

impl Peer {
    /// Starts a peer and waits until it has said its name. `Err` says why it can't run here.
    async fn start(mut command: Command, tongue: Tongue) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{:?} can't be run: {error}", command.as_std().get_program()))?;

        let stdout = child.stdout.take().expect("its standard output is piped");
        let (printed, lines) = mpsc::unbounded_channel();
        // Always read at once: a peer that waits for its output to be read would not read its socket.
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
        let complaints = Arc::new(Mutex::new(String::new()));
        tokio::spawn({
            let complaints = Arc::clone(&complaints);
            async move {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = stderr.read(&mut bytes).await {
                    complaints.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
                }
            }
        });

        let commands = child.stdin.take();
        let earlier = VecDeque::new();
        let mut peer = Peer { name: String::new(), tongue, child, commands, lines, earlier, complaints };
        match soon("a peer is ready", peer.lines.recv()).await {
            Some(Line { event, peer: Some(name), .. }) if event == "ready" => peer.name = name,
            Some(line) => panic!("not the name of a peer: {line:?}"),
            None => {
                let status = soon("a peer ends", peer.child.wait()).await.expect("a peer can be waited for");
                let complaints = peer.complaints();
                // By which `peer.sh` says that it lacks a tool.
                if status.code() == Some(77) {
                    return Err(complaints.trim().to_owned());
                }
                panic!("a peer ended before it was ready: {status}\n{complaints}");
            }
        }
        Ok(peer)
    }

    /// Its name and version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes it do something.
    pub async fn command(&mut self, command: &str) {
        let commands = self.commands.as_mut().expect("a peer takes commands until it is closed");
        let line = format!("{command}\n");
        if let Err(error) = soon(command, commands.write_all(line.as_bytes())).await {
            panic!("{} does not take {command:?}: {error}\n{}", self.name, self.complaints());
        }
    }

    async fn next(&mut self, waiting_for: &str) -> Line {
        if let Some(line) = self.earlier.pop_front() {
            return line;
        }
        match in_time(DEADLINE, self.lines.recv()).await {
            Some(Some(line)) => line,
            Some(None) => panic!("{} ended before {waiting_for}\n{}", self.name, self.complaints()),
            None => panic!("{}: not within {DEADLINE:?}: {waiting_for}\n{}", self.name, self.complaints()),
        }
    }

    /// The next thing that happens to it is `event`.
    pub async fn expect(&mut self, event: &str) {
        let line = self.next(event).await;
        assert_eq!(line.event, event, "{} says {line:?}\n{}", self.name, self.complaints());
    }

    /// All of `events` happen to it next, in any order.
    pub async fn expect_all(&mut self, events: &[&str]) {
        let mut missing = events.to_vec();
        while !missing.is_empty() {
            let line = self.next(missing[0]).await;
            let Some(index) = missing.iter().position(|event| *event == line.event) else {
                panic!("{} says {line:?}\n{}", self.name, self.complaints());
            };
            missing.remove(index);
        }
    }

    /// `event` happens to it, after any number of `passed`.
    pub async fn expect_after(&mut self, passed: &str, event: &str) {
        loop {
            let line = self.next(event).await;
            if line.event == event {
                return;
            }
            assert_eq!(line.event, passed, "{} says {line:?}\n{}", self.name, self.complaints());
        }
    }

    /// Goes by everything that it hears, until something else happens.
    pub async fn hear_out(&mut self) {
        loop {
            let line = self.next("something besides messages").await;
            if line.event != "heard" {
                return self.earlier.push_front(line);
            }
        }
    }

    /// Closes its end of the connection.
    pub async fn close(&mut self) {
        self.command("close").await;
        self.commands = None;
    }

    /// It has nothing more to say, and ends by itself, successfully.
    pub async fn end(mut self) {
        let rest = self.earlier.pop_front().or(soon("a peer ends", self.lines.recv()).await);
        assert!(rest.is_none(), "{} still says {rest:?}", self.name);
        let status = soon("a peer ends", self.child.wait()).await.expect("a peer can be waited for");
        assert!(status.success(), "{} ended with {status}\n{}", self.name, self.complaints());
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(mut self) {
        soon("a peer is killed", self.child.kill()).await.expect("a peer can be killed");
    }

    fn complaints(&self) -> String {
        self.complaints.lock().unwrap().clone()
    }
}

impl Speaks for Peer {
    fn tongue(&self) -> Tongue {
        self.tongue
    }

    async fn say(&mut self, said: &Said) {
        self.command(&said.command()).await;
    }

    async fn hear(&mut self) -> Heard {
        match self.next("a message").await {
            Line { event, topic: Some(topic), message, .. } if event == "heard" => Heard { topic, message },
            line => panic!("{} was to hear a message: {line:?}\n{}", self.name, self.complaints()),
        }
    }
}

/// Which part a peer plays.
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
    /// Installs them below `target` (`CARGO_TARGET_TMPDIR`), once for each lock file. `Err` says why Node
    /// can't be spoken to here.
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
        // The packages aren't where the scripts are: nothing is installed among the sources.
        command.env("NODE_PATH", &self.modules);
        let tongue = if version == "0.2.0" { Tongue::Node02 } else { Tongue::Foreign };
        let peer = Peer::start(command, tongue).await.expect("node has been seen to run");
        assert!(peer.name.contains(version), "{version} was asked for, not {}", peer.name);
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
    // Installed beside and moved into place: complete as soon as it is there, whoever else is at it.
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
    // What npm has to say at length it says first in short.
    let complaints = String::from_utf8_lossy(&output.stderr);
    let complaints = complaints.lines().take(4).collect::<Vec<_>>().join("\n");
    Err(format!("{name} failed, {}\n{complaints}", output.status))
}

/// Starts a Python peer. `Err` says why it can't run here.
pub async fn python(role: Role, socket: &Path) -> Result<Peer, String> {
    // A Python that is there and can't start, like the placeholder that some systems have, is as good as
    // none.
    run(Command::new("python3").arg("--version")).await?;
    let mut command = Command::new("python3");
    command.arg(script("python/peer.py")).arg(role.name()).arg(socket);
    Peer::start(command, Tongue::Foreign).await
}

/// Starts a client made of shell tools. `Err` says why it can't run here.
pub async fn shell(socket: &Path) -> Result<Peer, String> {
    let mut command = Command::new("bash");
    command.arg(script("shell/peer.sh")).arg(socket);
    Peer::start(command, Tongue::Foreign).await
}
