//! The command records what a server under load sends, and plays it again.

use std::fs::read_to_string;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::{Value, json};

/// A run of a program, which ends with the test.
struct Running {
    child: Child,
    errors: Option<BufReader<ChildStderr>>,
}

impl Running {
    /// The command, whose output the test reads.
    fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        Self::of(command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        Self { errors: child.stderr.take().map(BufReader::new), child }
    }

    /// Waits for a line of its standard error that begins with `start`.
    fn says(&mut self, start: &str) {
        let errors = self.errors.as_mut().unwrap();
        let mut line = String::new();
        while errors.read_line(&mut line).unwrap() > 0 {
            if line.starts_with(start) {
                return;
            }
            line.clear();
        }
        panic!("it does not say {start}");
    }

    /// Ends it with SIGTERM, and asserts its success.
    fn end(mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the command and the soak, and returns their directory.
fn build() -> PathBuf {
    let cargo = |arguments: &[&str]| {
        let built = Command::new(env!("CARGO")).args(["build", "-q", "--locked"]).args(arguments).status();
        assert!(built.expect("cargo can be run").success());
    };
    cargo(&["-p", "socket-ipc", "--features", "cli", "--bin", "socket-ipc"]);
    cargo(&["--example", "soak"]);
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

fn topic_and_message(line: &str) -> Value {
    let line: Value = serde_json::from_str(line).unwrap();
    json!([line["topic"], line["message"]])
}

/// The minutes of the soak are `SOCKET_IPC_SOAK_MINUTES`, 0.03 unless set, after its three seconds before.
#[test]
#[ignore = "whole processes"]
fn soak_recorded_and_played_is_the_same_in_the_same_order() {
    let minutes = std::env::var("SOCKET_IPC_SOAK_MINUTES").unwrap_or_else(|_| "0.03".to_owned());
    let (programs, directory) = (build(), tempfile::tempdir().unwrap());
    let (command, soak) = (programs.join("socket-ipc"), programs.join("examples/soak"));
    let file = |name| directory.path().join(name).display().to_string();
    let (socket, recording) = (file("soak.sock"), file("soak.jsonl"));

    let mut recorder = Running::start(&command, &["record", &socket, &recording]);
    // Nobody reads what the soak prints, which may be more than a pipe holds.
    let mut soak = Command::new(soak);
    let mut soaking = Running::of(soak.args(["--socket", &socket, "--minutes", &minutes, "--seed", "30"]));
    recorder.says("socket-ipc: connected to");
    assert!(soaking.child.wait().unwrap().success(), "the soak");
    recorder.says("socket-ipc: lost the server");
    recorder.end();
    let recorded: Vec<_> = read_to_string(&recording).unwrap().lines().map(topic_and_message).collect();
    // A thousand a second; far fewer where the crowd of the soak has the processor.
    assert!(recorded.len() > 10, "{} messages", recorded.len());
    let numbers: Vec<_> = recorded.iter().map(|line| line[1]["number"].as_u64().unwrap()).collect();
    // The soak begins again at 0 once, after the short run before.
    let gaps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(gaps <= 1, "the recorder was disconnected as a slow consumer, or missed a message");

    let replayed = file("replayed.sock");
    let mut server =
        Running::start(&command, &["serve", &replayed, "--replay", &recording, "--speed", "max"]);
    let mut listener = Running::start(&command, &["listen", &replayed]);
    let output = BufReader::new(listener.child.stdout.take().unwrap());
    let lines = output.lines().take(recorded.len()).map(|line| topic_and_message(&line.unwrap()));
    let mut played = 0;
    for line in lines {
        assert_eq!(line, recorded[played], "message {played}");
        played += 1;
    }
    assert_eq!(played, recorded.len(), "the listener ended early");
    server.says("socket-ipc: played");
    server.end();
}
