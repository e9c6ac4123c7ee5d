//! Processes of a test, and what the system says of them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::DEADLINE;

/// A message that a server of these processes replies.
pub const PING: &[u8] = b"{\"topic\":\"ping\",\"message\":1}\n";

/// The command that starts `tests/support/peer.rs`, whose path only the tests know, with a runtime of a flavour.
pub fn command(binary: &str, flavour: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env("PEER_FLAVOUR", flavour);
    command
}

/// A process that is told what to do and says what happens, line by line; killed with the test.
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

    /// The next line that the process says.
    pub fn line(&self) -> String {
        self.line_within(DEADLINE)
    }

    pub fn line_within(&self, deadline: Duration) -> String {
        self.lines.recv_timeout(deadline).expect("the process says something in time")
    }

    /// The next line that begins so; those before it are passed over.
    pub fn line_with(&self, start: &str) -> String {
        std::iter::repeat_with(|| self.line()).find(|line| line.starts_with(start)).unwrap()
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

    /// Ends the process's input, and what it says until it has ended.
    pub fn exits_well_without(mut self, start: &str) {
        self.end_input();
        assert!(self.child.wait().unwrap().success());
        assert!(self.lines.iter().all(|line| !line.starts_with(start)));
    }

    /// Has a client ask until there is a reply, again whenever the connection was lost meanwhile; returns how
    /// often it was.
    pub fn asks(&mut self, number: u64) -> usize {
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
        unreachable!("it asks without end")
    }

    /// Asks a server until what it says of itself is as it should be.
    pub fn status_once(&mut self, awaited: impl Fn(&Status) -> bool) -> Status {
        self.status_within(DEADLINE, awaited)
    }

    /// The same, for what may take longer.
    pub fn status_within(&mut self, deadline: Duration, awaited: impl Fn(&Status) -> bool) -> Status {
        let asked = Instant::now();
        loop {
            self.tell("status");
            let [clients, descriptors, tasks, resident] = numbers(&self.line_with("status"))[..] else {
                panic!("four numbers");
            };
            let status = Status { clients, descriptors, tasks, resident };
            if awaited(&status) {
                return status;
            }
            assert!(asked.elapsed() < deadline, "{status:?}");
        }
    }

    pub fn exits_well(mut self) {
        self.end_input();
        assert!(self.child.wait().unwrap().success());
    }
}

/// What a server says of itself when asked.
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
