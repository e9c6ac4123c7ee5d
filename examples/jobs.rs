//! Jobs: a server hands each request to an actor, which works on one job at a time and replies when it is done. A client
//! submits jobs: one is refused because the queue is full, and one is cancelled while the actor works on it. It follows
//! two of them by streams of events. It ends by itself.
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

use futures::stream::Stream;
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ReplySender, ReplyStream, RequestError, Server, Topic};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};

/// How many jobs may be queued, the one that the actor works on included.
const MAX_JOBS: usize = 2;

/// How many events a follower may be behind.
const MAX_EVENTS: usize = 100;

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

/// A request of a stream: the events of the next job of this name, to its end.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "follow", stream = JobEvent)]
struct Follow {
    name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum JobEvent {
    Started {
        number: u64,
    },
    Progress {
        percent: u64,
    },
    Finished,
    Cancelled,
    /// The follower was too slow, and this many events were dropped.
    Missed {
        events: u64,
    },
}

/// An event, and the name of its job.
type Happened = (String, JobEvent);

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
    let (events, _) = broadcast::channel(MAX_EVENTS);
    tokio::spawn(actor(submitted, events.clone()));
    let places = Arc::new(Semaphore::new(MAX_JOBS));
    let server = Server::new(path);
    server.respond_with::<Submit>(move |submit, reply| match Arc::clone(&places).try_acquire_owned() {
        // If the actor is gone, the sender is dropped, and the client gets an error reply that says so.
        Ok(place) => drop(jobs.send(Job { submit, reply, place })),
        Err(_) => report(reply.send(Err(SubmitError::QueueFull { max: MAX_JOBS }))),
    })?;
    server.respond_stream::<Follow>(move |Follow { name }, _client_id| follow(name, events.subscribe()))?;
    server.listen().await?;
    Ok(server)
}

/// The events of one job. The stream is polled only while its client takes events; meanwhile they wait in the channel,
/// which drops the oldest when it is full. So a client that reads nothing costs a bounded amount of memory.
fn follow(name: String, mut events: broadcast::Receiver<Happened>) -> impl Stream<Item = JobEvent> {
    async_stream::stream! {
        loop {
            match events.recv().await {
                Ok((job, event)) if job == name => {
                    let is_last = matches!(event, JobEvent::Finished | JobEvent::Cancelled);
                    yield event;
                    if is_last {
                        return;
                    }
                }
                Ok(_) => {} // the event of another job
                Err(RecvError::Lagged(events)) => yield JobEvent::Missed { events },
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// Works on one job after the other. A job is replied to from here, long after its responder has returned.
async fn actor(mut submitted: mpsc::UnboundedReceiver<Job>, events: broadcast::Sender<Happened>) {
    let mut number = 0;
    while let Some(Job { submit, reply, place }) = submitted.recv().await {
        number += 1;
        println!("actor: job {number} from client {}: {}", reply.client_id(), submit.name);
        // An error says that nobody follows any job.
        let tell = |event| drop(events.send((submit.name.clone(), event)));
        tell(JobEvent::Started { number });
        tokio::select! {
            () = work(submit.millis, tell) => {
                tell(JobEvent::Finished);
                drop(place);
                report(reply.send(Ok(Finished { number })));
            }
            // The client has dropped its request, has waited long enough, or is gone.
            () = reply.cancelled() => {
                tell(JobEvent::Cancelled);
                println!("actor: nobody waits for {} any more", submit.name);
            }
        }
    }
}

/// What a job is: a wait, which tells how far it is.
async fn work(millis: u64, tell: impl Fn(JobEvent)) {
    for quarter in 1..=4 {
        tokio::time::sleep(Duration::from_millis(millis / 4)).await;
        tell(JobEvent::Progress { percent: 25 * quarter });
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

    // The streams have begun before the jobs are submitted, so no event is missed.
    let follow = |name: &str| client.request_stream(&Follow { name: name.to_owned() });
    let (mut dishes_events, mut oven_events) = (follow("dishes"), follow("oven"));
    dishes_events.started().await?;
    oven_events.started().await?;

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
    print("the dishes", dishes_events).await?;

    // A minute is too long. Dropping the request tells the server.
    drop(oven);
    print("the oven", oven_events).await?;
    println!("client: job {}, the floor, is finished", submit("floor", 10).await?.number);
    client.close().await;
    Ok(())
}

/// Prints what happened to a job, to its end.
async fn print(job: &str, mut events: ReplyStream<JobEvent>) -> Result<(), RequestError> {
    while let Some(event) = events.next().await {
        println!("client: {job}: {:?}", event?);
    }
    Ok(())
}
