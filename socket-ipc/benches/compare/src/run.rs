//! One run: a server and a client in processes of their own, and the result.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use clap::ValueEnum;

use crate::systems::{Endpoint, System};
use crate::work::{Outcome, Work};

/// The deadline of a run: far more than any run takes on a working machine.
const DEADLINE: Duration = Duration::from_secs(180);

pub type Failed = Box<dyn std::error::Error>;

/// A value as an argument of a player process.
pub fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
}

/// The result of one run.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// In the unit of the work.
    pub value: f64,
    /// The median round trip, in seconds.
    pub median: Option<f64>,
    /// The peak memory of the server, in bytes.
    pub peak: u64,
}

/// A process that ends with the run.
struct Player(Child);

impl Drop for Player {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processes of one run, and the lines that they print.
pub struct Players {
    started: Vec<Player>,
    sender: Sender<Option<String>>,
    lines: Receiver<Option<String>>,
}

impl Players {
    pub fn new() -> Self {
        let (sender, lines) = channel();
        Self { started: Vec::new(), sender, lines }
    }

    /// Starts this program with other arguments.
    pub fn start_ours(&mut self, arguments: &[String], path: &Path) -> Result<(), Failed> {
        self.start(Command::new(std::env::current_exe()?).args(arguments).arg(path))
    }

    fn start(&mut self, command: &mut Command) -> Result<(), Failed> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("a process without output")?);
        self.started.push(Player(child));
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            let said = output.lines().map_while(Result::ok).map(Some);
            // Each line, then `None` at the end of the output, so that nothing waits for a process that has ended.
            said.chain([None]).try_for_each(|line| sender.send(line))
        });
        Ok(())
    }

    /// The next line that one of the processes prints.
    pub fn next(&self) -> Result<String, Failed> {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line.ok_or_else(|| "one of the processes has ended".into()),
            Err(_) => Err(format!("nothing came of it in {} s", DEADLINE.as_secs()).into()),
        }
    }

    /// The ids of the processes.
    #[cfg(feature = "cluster")]
    pub fn processes(&self) -> impl Iterator<Item = u32> {
        self.started.iter().map(|player| player.0.id())
    }

    /// The memory of the first process, as the kernel reports it, in bytes.
    pub fn memory_of_first(&self, field: &str) -> Result<u64, Failed> {
        let first = self.started.first().ok_or("no process was started")?;
        memory(first.0.id(), field)
    }
}

/// What the kernel tells of the memory of a process, in bytes.
pub fn memory(process: u32, field: &str) -> Result<u64, Failed> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.trim().strip_suffix(" kB"))
        .ok_or_else(|| format!("the kernel does not tell {field}"))?;
    Ok(kibibytes.parse::<u64>()? * 1024)
}

impl Drop for Players {
    fn drop(&mut self) {
        // The server ends last: clients would report the lost connection.
        while let Some(player) = self.started.pop() {
            drop(player);
        }
    }
}

/// The processor time that the threads of a process have taken, in seconds. Those that have ended are not counted.
#[cfg(feature = "cluster")]
pub fn processor_time(process: u32) -> Result<f64, Failed> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end meanwhile.
        let Ok(times) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanoseconds += times.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    if nanoseconds == 0 {
        return Err(format!("the kernel does not tell the processor time of {process}").into());
    }
    Ok(nanoseconds as f64 / 1e9)
}

pub fn run(system: System, work: Work, scale: f64, peers: Option<&Path>) -> Result<Measurement, Failed> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("compare.sock");
    let count = work.count(scale * system.share(work));
    let mut players = Players::new();
    players.start(&mut command(system, Endpoint::Server, work, count, &path, peers)?)?;
    let said = players.next()?;
    if said != "ready" {
        return Err(format!("the server says {said:?} and not that it is ready").into());
    }
    let before = players.memory_of_first("VmRSS")?;
    players.start(&mut command(system, Endpoint::Client, work, count, &path, peers)?)?;
    let said = players.next()?;
    let outcome: Outcome = serde_json::from_str(&said).map_err(|_| format!("no outcome, but: {said}"))?;
    if outcome.sum != work.sum(count) {
        return Err(format!("what was received adds up to {}, not {}", outcome.sum, work.sum(count)).into());
    }
    let messages = (work.clients() * count) as f64;
    let value = match work.text_len() {
        Some(len) => messages * len as f64 / 1e6 / outcome.seconds,
        None if work == Work::Idle => {
            players.memory_of_first("VmRSS")?.saturating_sub(before) as f64 / work.clients() as f64
        }
        None => messages / outcome.seconds,
    };
    Ok(Measurement { value, median: outcome.median, peak: players.memory_of_first("VmHWM")? })
}

fn command(
    system: System,
    endpoint: Endpoint,
    work: Work,
    count: u64,
    path: &Path,
    peers: Option<&Path>,
) -> Result<Command, Failed> {
    use clap::ValueEnum;
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map_or(String::new(), |v| v.get_name().to_owned())
    };
    let endpoint = name(endpoint.to_possible_value());
    let mut command = match system.script() {
        Some(script) => {
            let mut command = Command::new("node");
            command.arg(peers.ok_or("npm is not here")?.join(script)).args([&endpoint, &work.to_string()]);
            command.arg(count.to_string()).arg(work.clients().to_string());
            command.arg(work.text_len().unwrap_or(0).to_string());
            command
        }
        None => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["play", &name(system.to_possible_value()), &endpoint, &work.to_string()]);
            command.arg(count.to_string());
            command
        }
    };
    command.arg(path);
    Ok(command)
}

/// Installs the libraries of the Node programs; `None`, and why, where that can't be done.
pub fn install_peers() -> Result<PathBuf, String> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let executable = std::env::current_exe().map_err(|error| error.to_string())?;
    let to = executable.with_file_name("compare-peers");
    let install = || -> Result<(), Failed> {
        std::fs::create_dir_all(&to)?;
        for file in std::fs::read_dir(&from)?.collect::<Result<Vec<_>, _>>()? {
            if file.file_type()?.is_file() {
                std::fs::copy(file.path(), to.join(file.file_name()))?;
            }
        }
        let arguments = ["ci", "--silent", "--no-audit", "--no-fund"];
        match Command::new("npm").args(arguments).current_dir(&to).stdout(Stdio::null()).status()?.success() {
            true => Ok(()),
            false => Err("`npm ci` failed".into()),
        }
    };
    install().map(|()| to.clone()).map_err(|error| error.to_string())
}
