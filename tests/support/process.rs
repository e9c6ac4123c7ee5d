//! Processes of a test, and what the system reports of them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::DEADLINE;

/// A message to which the server process replies.
pub const PING: &[u8] = b"{\"topic\":\"ping\",\"message\":1}\n";

/// The command that starts `tests/support/peer/main.rs` with a runtime flavour. Only the tests know the path of the binary.
pub fn command(binary: &str, flavour: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env("PEER_FLAVOUR", flavour);
    command
}

/// An example, which cargo builds beside the tests.
pub fn example(name: &str) -> PathBuf {
    let status = Command::new(env!("CARGO")).args(["build", "-q", "--locked", "--example", name]).status();
    assert!(status.expect("cargo can be run").success());
    let beside = std::env::current_exe().unwrap();
    beside.ancestors().nth(2).unwrap().join("examples").join(name)
}

/// Copies a program that is to be started. A process of its own writes the copy: while this process had it open for
/// writing, a child that another test forks would have it open too, until its `exec`, and the kernel would refuse to run
/// it ("text file busy").
pub fn copy_program(from: &str, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

/// A process that reads commands and prints events, line by line. Killed when dropped.
pub struct Peer {
    pub child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Peer {
    pub fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { input: child.stdin.take(), child, lines }
    }

    /// The next line that the process prints.
    pub fn line(&self) -> String {
        self.line_within(DEADLINE)
    }

    pub fn line_within(&self, deadline: Duration) -> String {
        self.lines.recv_timeout(deadline).expect("no line of the process in time")
    }

    /// The next line that begins with `start`; the lines before it are skipped.
    pub fn line_with(&self, start: &str) -> String {
        std::iter::repeat_with(|| self.line()).find(|line| line.starts_with(start)).unwrap()
    }

    /// The next line that the process has printed, if there is one.
    pub fn line_now(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn end_input(&mut self) {
        self.input = None;
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the input, and fails if the process prints a line that begins with `start` before it ends.
    pub fn exits_well_without(mut self, start: &str) {
        self.end_input();
        assert!(self.child.wait().unwrap().success());
        assert!(self.lines.iter().all(|line| !line.starts_with(start)));
    }

    /// Makes a client ping until it gets the reply, and again after each loss of the connection. Returns the number of
    /// losses.
    pub fn pings(&mut self, number: u64) -> usize {
        for losses in 0.. {
            self.tell(&format!("ping {number}"));
            loop {
                let line = self.line();
                if line == format!("pong {number}") {
                    return losses;
                }
                if line == "reconnect" {
                    break;
                }
            }
        }
        unreachable!("the pings never end")
    }

    /// Polls the status of a server until it is the awaited one.
    pub fn status_once(&mut self, awaited: impl Fn(&Status) -> bool) -> Status {
        self.status_within(DEADLINE, awaited)
    }

    /// The same with a deadline.
    pub fn status_within(&mut self, deadline: Duration, awaited: impl Fn(&Status) -> bool) -> Status {
        let start = Instant::now();
        loop {
            self.tell("status");
            let [clients, descriptors, tasks, resident] = numbers(&self.line_with("status"))[..] else {
                panic!("four numbers");
            };
            let status = Status { clients, descriptors, tasks, resident };
            if awaited(&status) {
                return status;
            }
            assert!(start.elapsed() < deadline, "{status:?}");
        }
    }

    pub fn exits_well(mut self) {
        self.end_input();
        assert!(self.child.wait().unwrap().success());
    }
}

/// Waits until `ready` returns something.
pub fn once<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(started.elapsed() < DEADLINE, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// Sends a message that a server process replies to, and returns the reply.
pub fn ping(stream: &mut UnixStream) -> String {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(PING).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

/// Whether the server process at `path` replies.
pub fn replies(path: &Path) -> bool {
    ping(&mut UnixStream::connect(path).unwrap()).contains("pong")
}

/// The status that a server prints.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    pub clients: u64,
    pub descriptors: u64,
    pub tasks: u64,
    /// In KiB.
    pub resident: u64,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The numbers in a line.
pub fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// How much processor time a process has used.
pub fn processor_time(process: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time are the 14th and 15th of proc(5)'s fields, of which the 3rd is the first here; in
    // ticks of 10 ms.
    let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(14) + ticks(15)))
}
