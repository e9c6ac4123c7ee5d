//! The processes of a run: nodes, and the NATS server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::Failure;
use super::tally::Tally;

/// How long a node may take for a command. None is given to one that stands still.
const IN_TIME: Duration = Duration::from_secs(30);

/// NATS cuts off a connection that does not read for a second, or has this much to read.
const CONFIGURATION: &str = "write_deadline: \"1s\"\nmax_payload: 262144\nmax_pending: 2097152\n";

fn signal(child: &Child, signal: Signal) -> Result<(), Failure> {
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or("the process has ended")?;
    Ok(kill_process(id, signal)?)
}

pub struct Nats {
    child: Child,
    configuration: PathBuf,
    pub port: String,
}

impl Nats {
    pub async fn start(directory: &Path) -> Result<Self, Failure> {
        let configuration = directory.join("nats.conf");
        std::fs::write(&configuration, CONFIGURATION)?;
        let (child, port) = Self::spawn(&configuration, "-1").await?;
        Ok(Self { child, configuration, port })
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    async fn spawn(configuration: &Path, port: &str) -> Result<(Child, String), Failure> {
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", port, "-c"]).arg(configuration);
        let mut child = command
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("there is no nats-server to start: {error}"))?;
        let mut log = BufReader::new(child.stderr.take().ok_or("the log is piped")?).lines();
        let mut port = String::new();
        while let Some(line) = log.next_line().await? {
            if line.contains("Listening for client connections") {
                line.rsplit(':').next().unwrap_or_default().trim().clone_into(&mut port);
            }
            if line.contains("Server is ready") {
                // Its log is read to the end, so that it never waits for room in the pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
                return Ok((child, port));
            }
        }
        Err("nats-server did not start".into())
    }

    pub async fn kill(&mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }

    pub async fn start_again(&mut self) -> Result<(), Failure> {
        (self.child, self.port) = Self::spawn(&self.configuration, &self.port).await?;
        Ok(())
    }

    pub fn signal(&self, to_send: Signal) -> Result<(), Failure> {
        signal(&self.child, to_send)
    }
}

pub struct NodeProcess {
    child: Child,
    input: ChildStdin,
    lines: mpsc::UnboundedReceiver<String>,
}

impl NodeProcess {
    pub fn start(
        index: usize,
        socket: &Path,
        url: &str,
        seed: u64,
        tally: &Arc<Tally>,
    ) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["node", &index.to_string(), url, &seed.to_string()])
            .arg(socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().ok_or("the input is piped")?;
        let mut output = BufReader::new(child.stdout.take().ok_or("the output is piped")?).lines();
        let (sender, lines) = mpsc::unbounded_channel();
        let tally = Arc::clone(tally);
        tokio::spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                match line.strip_prefix("broken ") {
                    Some(promise) => tally.broke(format!("node {index}: {promise}")),
                    None => drop(sender.send(line)),
                }
            }
        });
        Ok(Self { child, input, lines })
    }

    pub async fn tell(&mut self, command: &str) -> Result<(), Failure> {
        Ok(self.input.write_all(format!("{command}\n").as_bytes()).await?)
    }

    /// Waits for a line that begins with a word, and returns the rest.
    pub async fn line(&mut self, word: &str) -> Result<String, Failure> {
        let line = async {
            while let Some(line) = self.lines.recv().await {
                if let Some(rest) = line.strip_prefix(word) {
                    return Ok(rest.trim().to_owned());
                }
            }
            Err(format!("a node ended before it said `{word}`"))
        };
        let line = tokio::time::timeout(IN_TIME, line).await;
        Ok(line.map_err(|_| format!("a node did not say `{word}` within {IN_TIME:?}"))??)
    }

    /// Gives a command, and reads what the node says to it.
    pub async fn ask<T: DeserializeOwned>(&mut self, command: &str) -> Result<T, Failure> {
        self.tell(command).await?;
        Ok(serde_json::from_str(&self.line(command).await?)?)
    }

    pub async fn kill(&mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> Result<(), Failure> {
        let status = tokio::time::timeout(IN_TIME, self.child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("a node ended with {status}").into()) }
    }

    pub fn signal(&self, to_send: Signal) -> Result<(), Failure> {
        signal(&self.child, to_send)
    }
}
