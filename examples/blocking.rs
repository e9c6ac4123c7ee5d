//! A blocking client, as in a script: every call waits, and the script needs no runtime. It ends by itself.
//!
//! ```text
//! cargo run --example blocking
//! ```
//!
//! The server runs on a thread of its own here; a real script connects to one that is already running. The server adds
//! numbers, counts down, and closes when the client tells it to.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Context, RequestError, Server, Topic, blocking, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64)]
struct Add {
    left: i64,
    right: i64,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "count down"]
struct CountDown {
    from: u32,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "left"]
struct Left(u32);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "the end"]
struct TheEnd;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("myApp.sock");
    let serving = {
        let path = path.clone();
        thread::spawn(move || serve(path).map_err(|error| error.to_string()))
    };
    script(&path)?;
    serving.join().map_err(|_| "the server panicked")??;
    println!("server: closed");
    Ok(())
}

fn script(path: &Path) -> Result<(), Box<dyn Error>> {
    let client: blocking::Client =
        Client::builder(path).retry_delay(Duration::from_millis(20)).build_blocking();
    // Subscribed before the client connects, so that no message is lost.
    let left = client.subscribe::<Left>();
    let mut everything = client.subscribe_raw();

    // Waits up to 10 seconds for the server to start.
    client.connect_within(Duration::from_secs(10))?;
    let sum = client.request(&Add { left: 2, right: 3 })?;
    println!("2 and 3 are {sum}");
    match client.request_within(&Add { left: i64::MAX, right: 1 }, Duration::from_secs(1)) {
        Err(error @ RequestError::Rejected { .. }) => println!("an error: {error}"),
        other => println!("unexpected: {other:?}"),
    }

    client.send(&CountDown { from: 3 })?;
    for Left(seconds) in left {
        println!("left: {seconds}");
        if seconds == 0 {
            break;
        }
    }
    // The same messages as JSON text: each iterator gets every message.
    while let Ok(Some((topic, message))) = everything.next_within(Duration::ZERO) {
        println!("raw: {topic} {message}");
    }

    client.send(&TheEnd)?;
    client.close(); // writes the queued messages first
    Ok(())
}

struct Desk;

#[handlers]
impl Desk {
    fn add(&self, Add { left, right }: Add) -> Result<i64, &'static str> {
        left.checked_add(right).ok_or("the sum is too large")
    }

    async fn count_down(&self, CountDown { from }: CountDown, context: Context<'_>) {
        for left in (0..=from).rev() {
            if let Err(error) = context.send(&Left(left)) {
                eprintln!("{error}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn the_end(&self, TheEnd: TheEnd, context: Context<'_>) {
        drop(context.server().close());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(path: PathBuf) -> Result<(), Box<dyn Error>> {
    let server = Server::new(path);
    server.attach(Desk)?;
    server.listen().await?;
    server.closed().await;
    Ok(())
}
