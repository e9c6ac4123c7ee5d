//! The command as a process: its input, its output, and how it ends.

#![allow(dead_code, reason = "each test that shares it needs a part of it")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a wait may take before the test fails. Generous: only a failure reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The subcommands, in their order.
#[rustfmt::skip]
pub(crate) const COMMANDS: &[&str] = &[
    "listen", "send", "request", "serve", "record", "replay", "topics", "types", "status",
    #[cfg(feature = "nats")] "nodes",
    "top", "bench", "man", "completions",
];

/// A directory of its own for the socket of one test.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("sipc").tempdir().unwrap())
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn socket(&self) -> String {
        self.file("test.sock").to_str().unwrap().to_owned()
    }
}

/// The command with arguments.
pub(crate) fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socket-ipc"));
    command.args(arguments).env_remove("NO_COLOR");
    for name in ["USER", "PASSWORD", "TOKEN", "CREDS", "NKEY", "CA", "CERT", "KEY"] {
        command.env_remove(format!("NATS_{name}"));
    }
    command
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct End {
    /// Its exit status; `None` where a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl End {
    /// Its standard output. Asserts success and an empty standard error.
    pub(crate) fn well(self) -> String {
        assert_eq!((self.status, &*self.errors), (Some(0), ""), "{}", self.output);
        self.output
    }

    /// The one line of its standard error, without the name of the command. Asserts the status.
    pub(crate) fn failed(self, status: i32) -> String {
        assert_eq!((self.status, &*self.output), (Some(status), ""), "{}", self.errors);
        let line = self.errors.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {:?}", self.errors));
        assert!(!line.contains('\n'), "more than one line: {line}");
        line.strip_prefix("socket-ipc: ").unwrap_or_else(|| panic!("no name: {line}")).to_owned()
    }
}

/// Runs the command to its end.
pub(crate) fn run<const N: usize>(arguments: [&str; N]) -> End {
    Running::start(arguments).end()
}

/// Runs the command to its end with this as standard input.
pub(crate) fn run_with<const N: usize>(arguments: [&str; N], input: &[u8]) -> End {
    let mut running = Running::start(arguments);
    // It may end before it has read all input.
    let _ = running.input.take().unwrap().write_all(input);
    running.end()
}

/// The command while it runs; killed with the test.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) input: Option<ChildStdin>,
    output: Receiver<String>,
    errors: Receiver<String>,
}

impl Running {
    pub(crate) fn start<const N: usize>(arguments: [&str; N]) -> Self {
        Self::of(&mut command(arguments))
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        let output = lines(child.stdout.take().unwrap());
        let errors = lines(child.stderr.take().unwrap());
        Self { input: child.stdin.take(), output, errors, child }
    }

    /// A server, once it listens.
    pub(crate) fn serve<const N: usize>(path: &str, options: [&str; N]) -> Self {
        let mut arguments = vec!["serve", path];
        arguments.extend(options);
        let server = Self::of(&mut command(arguments));
        assert_eq!(server.error(), format!("socket-ipc: listening on {path}"));
        server
    }

    /// The next line of its standard output.
    pub(crate) fn line(&self) -> String {
        self.output.recv_timeout(DEADLINE).expect("it prints a line in time")
    }

    /// The next line of its standard output; `None` if none comes within a time.
    pub(crate) fn line_within(&self, time: Duration) -> Option<String> {
        self.output.recv_timeout(time).ok()
    }

    /// The next line of its standard output as JSON, without its time, which is checked.
    pub(crate) fn json(&self) -> Value {
        let line = self.line();
        let mut json: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let time = json.as_object_mut().unwrap().remove("time").unwrap();
        let time = time.as_str().unwrap();
        assert_eq!((time.len(), &time[23..]), (24, "Z"), "{time}");
        time.parse::<jiff::Timestamp>().unwrap();
        json
    }

    /// The next line of its standard error.
    pub(crate) fn error(&self) -> String {
        self.errors.recv_timeout(DEADLINE).expect("it says something in time")
    }

    /// The next line of its standard error that begins with `start`. Skips the lines before it.
    pub(crate) fn error_with(&self, start: &str) -> String {
        std::iter::repeat_with(|| self.error()).find(|line| line.starts_with(start)).unwrap()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Closes its input, and waits for its end.
    pub(crate) fn end(mut self) -> End {
        self.input = None;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < DEADLINE, "it does not end");
            std::thread::yield_now();
        };
        let all = |lines: &Receiver<String>| lines.iter().map(|line| line + "\n").collect();
        End { status: status.code(), output: all(&self.output), errors: all(&self.errors) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    let stream = BufReader::new(stream);
    std::thread::spawn(move || stream.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

/// Accepts one connection.
pub(crate) fn accept(listener: &UnixListener) -> UnixStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Reports that a test did not run. If `CI` is set, that is a failure.
pub(crate) fn skip(test: &str, why: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "{test} can't be skipped, as CI is set: {why}"
    );
    // Not `eprintln!`, whose output is only shown if the test fails.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// Runs a command line of `socket-ipc` on a terminal of its own, with the assignments `words` in its environment.
pub(crate) fn on_a_terminal(words: &str, line: &str) -> Option<Running> {
    let mut script = Command::new("script");
    if script.arg("--version").output().is_err() {
        skip("on a terminal", "script (of util-linux) is not here");
        return None;
    }
    let line = format!("env -u NO_COLOR TERM=xterm {words} '{}' {line}", env!("CARGO_BIN_EXE_socket-ipc"));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    Some(Running::of(&mut script))
}
