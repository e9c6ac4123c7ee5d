//! Jobs: a server hands each request to an actor, which works on one job at a time and replies when it is done. A client
//! submits jobs: one is refused because the queue is full, and one is cancelled while the actor works on it. It ends by
//! itself.
//!
//! ```text
//! cargo run --example jobs
//! ```
//!
//! For clients in a shell or in Python, start the server alone; it runs until Ctrl-C. examples/README.md has the commands:
//!
//! ```text
//! cargo run --example jobs -- serve /tmp/jobs.sock
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ReplySender, RequestError, Server, Topic};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How many jobs may be queued, the one that the actor works on included.
const MAX_JOBS: usize = 2;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "submit", reply = Finished, error = SubmitError)]
struct Submit {
    name: String,
    millis: u64,
}

/// The reply travels under the topic of its request: it needs none of its own.
#[derive(Serialize, Deserialize)]
struct Finished {
    number: u64,
}

/// Arrives at the client as the type that it is.
#[derive(Serialize, Deserialize, Debug, thiserror::Error)]
enum SubmitError {
    #[error("the queue holds {max} jobs, and no more")]
    QueueFull { max: usize },
}

/// What the actor needs for a job: the request, the sender of its reply, and its place in the queue.
struct Job {
    submit: Submit,
    reply: ReplySender<Submit>,
    place: OwnedSemaphorePermit,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            let directory = tempfile::tempdir()?;
            let path = directory.path().join("jobs.sock");
            let server = serve(&path).await?;
            client(&path).await?;
            server.close().await;
        }
        [mode, path] if mode == "serve" => {
            let server = serve(&PathBuf::from(path)).await?;
            tokio::signal::ctrl_c().await?;
            server.close().await;
        }
        _ => return Err("usage: jobs [serve <path>]".into()),
    }
    Ok(())
}

/// The server. Its responder returns at once: it refuses a job, or passes it on.
async fn serve(path: &Path) -> Result<Server, Box<dyn Error>> {
    let (jobs, submitted) = mpsc::unbounded_channel();
    tokio::spawn(actor(submitted));
    let places = Arc::new(Semaphore::new(MAX_JOBS));
    let server = Server::new(path);
    server.respond_with::<Submit>(move |submit, reply| match Arc::clone(&places).try_acquire_owned() {
        // If the actor is gone, the sender is dropped, and the client gets an error reply that says so.
        Ok(place) => drop(jobs.send(Job { submit, reply, place })),
        Err(_) => report(reply.send(Err(SubmitError::QueueFull { max: MAX_JOBS }))),
    })?;
    server.listen().await?;
    Ok(server)
}

/// Works on one job after the other. A job is replied to from here, long after its responder has returned.
async fn actor(mut submitted: mpsc::UnboundedReceiver<Job>) {
    let mut number = 0;
    while let Some(Job { submit, reply, place }) = submitted.recv().await {
        number += 1;
        println!("actor: job {number} from client {}: {}", reply.client_id(), submit.name);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(submit.millis)) => {
                drop(place);
                report(reply.send(Ok(Finished { number })));
            }
            // The client has dropped its request, has waited long enough, or is gone.
            () = reply.cancelled() => println!("actor: nobody waits for {} any more", submit.name),
        }
    }
}

/// A reply that nobody waits for, or that has no room, is no reason to stop.
fn report(sent: Result<(), impl Error>) {
    sent.unwrap_or_else(|error| eprintln!("{error}"));
}

async fn client(path: &Path) -> Result<(), Box<dyn Error>> {
    let client = Client::new(path);
    client.connect().await?;
    let submit = |name: &str, millis| client.request(&Submit { name: name.to_owned(), millis });

    // Each is queued at the call; the replies are awaited when it suits.
    let (dishes, oven, floor) = (submit("dishes", 100), submit("oven", 60_000), submit("floor", 10));
    match floor.await {
        Err(RequestError::Failed { error: SubmitError::QueueFull { max }, .. }) => {
            println!("client: {max} jobs are queued, the floor has to wait");
        }
        Err(error) => return Err(error.into()),
        Ok(Finished { number }) => println!("client: job {number}, the floor, had room"),
    }
    println!("client: job {}, the dishes, is finished", dishes.await?.number);

    // A minute is too long. Dropping the request tells the server.
    drop(oven);
    println!("client: job {}, the floor, is finished", submit("floor", 10).await?.number);
    client.close().await;
    Ok(())
}
