//! A cluster: two servers, joined over NATS, and three clients. The example starts a NATS server of its own, kills one of
//! the two servers, restarts the NATS server, and prints what each is told. It ends by itself.
//!
//! ```text
//! cargo run --features nats --example cluster
//! ```
//!
//! Each server is a process of its own: this program, started again with `node` as its first argument.

use std::error::Error;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::cluster::{Cluster, ClusterOptions};
use socket_ipc::{Client, Server, Topic};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News {
    text: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "square", reply = u64, error = SquareError)]
struct Square {
    number: u64,
}

/// Arrives at the client as the type that it is, from another machine too.
#[derive(Serialize, Deserialize, Debug, thiserror::Error)]
enum SquareError {
    #[error("the square of {number} is too large")]
    TooLarge { number: u64 },
}

/// Tells every client of every machine.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "announce", reply = String)]
struct Announce {
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["node", name, socket, url] => node(name, Path::new(socket), url).await,
        _ => cluster().await,
    }
}

/// One server: what runs on each machine.
async fn node(name: &str, socket: &Path, url: &str) -> Result<(), Box<dyn Error>> {
    let server = Server::new(socket);
    server.listen().await?;
    let cluster = Cluster::join(&server, ClusterOptions::new(url, "example").name(name)).await?;
    let mut events = cluster.events();
    // The berlin server knows how to square. The other one forwards what its clients request.
    if name == "berlin" {
        server.respond::<Square>(|Square { number }, _client_id| {
            number.checked_mul(number).ok_or(SquareError::TooLarge { number })
        })?;
        cluster.offer::<Square>()?;
    }
    cluster.forward::<Square>()?;
    let announcing = cluster.clone();
    server.respond::<Announce>(move |Announce { text }, _client_id| {
        match announcing.broadcast(&News { text }) {
            Ok(local) => format!("sent to {local} clients here, and to the other nodes"),
            Err(error) => error.to_string(),
        }
    })?;
    println!("{name}: joined");
    while let Some(event) = events.next().await {
        println!("{name}: {event:?}");
    }
    Ok(())
}

/// The rest: a NATS server, the two servers, and three clients.
async fn cluster() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let Some((mut nats, port)) = start_nats("-1").await? else {
        println!("There is no nats-server to run this with. Install one: apt-get install nats-server,");
        println!("or https://docs.nats.io/running-a-nats-service/introduction/installation");
        return Ok(());
    };
    let url = format!("nats://127.0.0.1:{port}");
    println!("NATS is at {url}");
    let paths = ["amsterdam", "berlin"].map(|name| (name, directory.path().join(name)));
    let [amsterdam, berlin] = &paths;
    let (_amsterdam, mut amsterdam_says) = start_node(amsterdam, &url)?;
    amsterdam_says.wait_for("joined").await?;
    let (mut berlin_process, mut berlin_says) = start_node(berlin, &url)?;
    berlin_says.wait_for("joined").await?;
    amsterdam_says.wait_for("NodeUp").await?;

    let ann = client("ann", &amsterdam.1).await?;
    let _bob = client("bob", &amsterdam.1).await?;
    let cleo = client("cleo", &berlin.1).await?;

    println!("--- a broadcast reaches the clients of both");
    let announced = cleo.request(&Announce { text: "the canal is frozen".into() }).await?;
    println!("cleo: {announced}");

    println!("--- ann's server has no responder, and another one replies");
    println!("ann: the square of 12 is {}", square(&ann, 12).await?);
    let too_large = ann.request(&Square { number: u64::MAX }).await;
    println!("ann: {}", too_large.err().map_or_else(String::new, |error| format!("{error}")));

    println!("--- berlin is killed");
    berlin_process.kill().await?;
    let gone = ann.request(&Square { number: 12 }).await;
    println!("ann: {}", gone.err().map_or_else(String::new, |error| format!("{error}")));
    amsterdam_says.wait_for("NodeDown").await?;

    println!("--- and started again");
    let (_berlin, mut berlin_says) = start_node(berlin, &url)?;
    berlin_says.wait_for("joined").await?;
    amsterdam_says.wait_for("NodeUp").await?;
    println!("ann: the square of 13 is {}", square(&ann, 13).await?);

    println!("--- the NATS server is killed");
    nats.kill().await?;
    amsterdam_says.wait_for("LinkDown").await?;
    println!("ann: {}", ann.request(&Announce { text: "only here".into() }).await?);

    println!("--- and started again");
    let (_nats, _) = start_nats(&port.to_string()).await?.ok_or("nats-server is gone")?;
    amsterdam_says.wait_for("LinkUp").await?;
    berlin_says.wait_for("LinkUp").await?;
    println!("ann: the square of 14 is {}", square(&ann, 14).await?);
    println!("it is over");
    Ok(())
}

/// Requests a square until a node responds: an offer is known a moment after it is made.
async fn square(client: &Client, number: u64) -> Result<u64, Box<dyn Error>> {
    let mut outcome = client.request(&Square { number }).await;
    for _ in 0..50 {
        if outcome.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        outcome = client.request(&Square { number }).await;
    }
    Ok(outcome?)
}

async fn client(name: &'static str, path: &Path) -> Result<Client, Box<dyn Error>> {
    let client = Client::new(path);
    client.on::<News>(move |News { text }| println!("{name}: the news is that {text}"));
    client.connect().await?;
    Ok(client)
}

/// What a process prints, repeated here.
struct Says {
    lines: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Says {
    /// Waits until the process has printed something.
    async fn wait_for(&mut self, text: &str) -> Result<(), Box<dyn Error>> {
        let waited = async {
            while let Some(line) = self.lines.recv().await {
                if line.contains(text) {
                    return Ok(());
                }
            }
            Err(format!("a process ended before it said {text}"))
        };
        Ok(tokio::time::timeout(Duration::from_secs(20), waited).await??)
    }
}

fn start_node(
    (name, socket): &(&str, std::path::PathBuf),
    url: &str,
) -> Result<(Child, Says), Box<dyn Error>> {
    let mut node = Command::new(std::env::current_exe()?)
        .args(["node", name])
        .arg(socket)
        .arg(url)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = node.stdout.take().ok_or("the output is piped")?;
    let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut output = BufReader::new(output).lines();
        while let Ok(Some(line)) = output.next_line().await {
            println!("{line}");
            let _ = sender.send(line);
        }
    });
    Ok((node, Says { lines }))
}

/// Starts a NATS server, and waits until it is ready. `None` where there is none to start.
async fn start_nats(port: &str) -> Result<Option<(Child, u16)>, Box<dyn Error>> {
    let mut command = Command::new("nats-server");
    command.args(["-a", "127.0.0.1", "-p", port]).stderr(Stdio::piped()).kill_on_drop(true);
    let Ok(mut nats) = command.spawn() else { return Ok(None) };
    let mut log = BufReader::new(nats.stderr.take().ok_or("the log is piped")?).lines();
    let mut port = None;
    while let Some(line) = log.next_line().await? {
        if line.contains("Listening for client connections") {
            port = line.rsplit(':').next().and_then(|port| port.trim().parse().ok());
        }
        if line.contains("Server is ready") {
            // Its log is read to the end, so that it never waits for room in the pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
            return Ok(Some((nats, port.ok_or("nats-server did not tell its port")?)));
        }
    }
    Err("nats-server did not start".into())
}
