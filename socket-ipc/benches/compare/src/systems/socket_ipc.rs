//! This library, with its default limits.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::future::try_join_all;
use socket_ipc::{Client, ClientId, Server, ServerHandle};
use tokio::sync::{Notify, mpsc};

use super::{Done, Endpoint};
use crate::work::{Checksum, Outcome, Small, Text, Work, say_ready};

pub async fn play(endpoint: Endpoint, work: Work, count: u64, path: &Path) -> Done {
    match (endpoint, work) {
        (Endpoint::Server, Work::W1 | Work::W5) => add_up_small(work, count, path).await,
        (Endpoint::Server, Work::W2) => echo(path).await,
        (Endpoint::Server, Work::W3 | Work::W3g | Work::W3h | Work::W3b) => {
            broadcast(work, count, path).await
        }
        (Endpoint::Server, Work::W4 | Work::W4m) => add_up_texts(count, path).await,
        (Endpoint::Server, Work::Idle) => wait_for(work, path).await,
        (Endpoint::Client, Work::W2) => ping(count, path).await,
        (Endpoint::Client, Work::W3 | Work::W3g | Work::W3h | Work::W3b) => {
            receive_all(work, count, path).await
        }
        (Endpoint::Client, Work::Idle) => stay(work, path).await,
        (Endpoint::Client, _) => send_all(work, count, path).await,
    }
}

async fn serve(server: Server) -> Done {
    server.listen().await?;
    say_ready();
    server.closed().await;
    Ok(())
}

async fn add_up_small(work: Work, count: u64, path: &Path) -> Done {
    let server = Server::new(path);
    let (reply, sum, ended) = (server.handle(), AtomicU64::new(0), AtomicU64::new(0));
    server.on::<Small>(move |message, client_id| {
        let sum = sum.fetch_add(message.adds(), Relaxed) + message.adds();
        if message.id + 1 == count && ended.fetch_add(1, Relaxed) + 1 == work.clients() {
            reply.send(&Checksum { sum }, client_id).expect("the last client waits for the reply");
        }
    });
    serve(server).await
}

async fn add_up_texts(count: u64, path: &Path) -> Done {
    let server = Server::new(path);
    let (reply, sum) = (server.handle(), AtomicU64::new(0));
    server.on::<Text>(move |message, client_id| {
        let sum = sum.fetch_add(message.adds(), Relaxed) + message.adds();
        if message.id + 1 == count {
            reply.send(&Checksum { sum }, client_id).expect("the client waits for the reply");
        }
    });
    serve(server).await
}

async fn echo(path: &Path) -> Done {
    let server = Server::new(path);
    let reply = server.handle();
    server.on::<Small>(move |message, client_id| {
        reply.send(&message, client_id).expect("the client waits for its echo");
    });
    serve(server).await
}

async fn broadcast(work: Work, count: u64, path: &Path) -> Done {
    let server = Server::new(path);
    let groups = server.handle();
    let everybody =
        here_as(&server, work.clients(), move |client_id, number| join(&groups, work, client_id, number));
    let mut replies = server.subscribe::<Checksum>();
    server.listen().await?;
    say_ready();
    everybody.notified().await;
    let start = Instant::now();
    let (one, other) = (server.group("one"), server.group("other"));
    for id in 0..count {
        let small = Small::new(id);
        match work {
            Work::W3g => one.broadcast_async(&small).await?,
            Work::W3h => one.broadcast_async(&small).await? + other.broadcast_async(&small).await?,
            Work::W3b => if id % 2 == 0 { &one } else { &other }.broadcast_async(&small).await?,
            _ => server.broadcast_async(&small).await?,
        };
    }
    let mut sum = 0;
    for _ in 0..work.clients() {
        sum += replies.next().await.ok_or("closed before all replies")?.0.sum;
    }
    Outcome::since(start, sum).say();
    server.closed().await;
    Ok(())
}

async fn wait_for(work: Work, path: &Path) -> Done {
    let server = Server::builder(path).max_clients(work.clients() as usize).build();
    let everybody = here(&server, work.clients());
    server.listen().await?;
    say_ready();
    let start = Instant::now();
    everybody.notified().await;
    Outcome::since(start, 0).say();
    server.closed().await;
    Ok(())
}

/// Puts a client into the groups of a work.
fn join(server: &ServerHandle, work: Work, client_id: ClientId, number: u64) {
    let groups: &[&str] = match work {
        Work::W3g => &["one"],
        Work::W3h => &[["one", "other"][number as usize % 2]],
        Work::W3b => &["one", "other"],
        _ => &[],
    };
    for group in groups {
        server.group(group).join(client_id).expect("the names are short and the groups few");
    }
}

/// Notified once the expected number of clients is connected.
fn here(server: &Server, awaited: u64) -> Arc<Notify> {
    here_as(server, awaited, |_, _| {})
}

/// The same; `each` is called with each client and its number.
fn here_as(
    server: &Server,
    awaited: u64,
    each: impl Fn(ClientId, u64) + Send + Sync + 'static,
) -> Arc<Notify> {
    let everybody = Arc::new(Notify::new());
    let (told, here) = (Arc::clone(&everybody), AtomicU64::new(0));
    server.on_connection(move |client_id| {
        let number = here.fetch_add(1, Relaxed);
        each(client_id, number);
        if number + 1 == awaited {
            told.notify_one();
        }
    });
    everybody
}

async fn connected(work: Work, path: &Path) -> Result<Vec<Client>, socket_ipc::ConnectError> {
    let clients: Vec<_> = (0..work.clients()).map(|_| Client::new(path)).collect();
    for client in &clients {
        client.connect().await?;
    }
    Ok(clients)
}

async fn send_all(work: Work, count: u64, path: &Path) -> Done {
    let clients = connected(work, path).await?;
    let mut replies: Vec<_> = clients.iter().map(|client| client.subscribe::<Checksum>()).collect();
    let text = work.text_len().map(Text::new);
    let start = Instant::now();
    let sending = clients.iter().map(|client| {
        let (client, mut text) = (client.handle(), text.clone());
        tokio::spawn(async move {
            for id in 0..count {
                match &mut text {
                    Some(text) => {
                        text.id = id;
                        client.send_async(text).await?;
                    }
                    None => client.send_async(&Small::new(id)).await?,
                }
            }
            Ok::<_, socket_ipc::SendError>(())
        })
    });
    for sent in try_join_all(sending).await? {
        sent?;
    }
    let replies = replies.iter_mut().map(|replies| Box::pin(replies.next()));
    let (reply, ..) = futures::future::select_all(replies).await;
    Outcome::since(start, reply.ok_or("closed before the reply")?.sum).say();
    Ok(())
}

async fn ping(count: u64, path: &Path) -> Done {
    let client = Client::new(path);
    client.connect().await?;
    let (again, sum, trips) = (client.handle(), AtomicU64::new(0), Mutex::new(Vec::new()));
    let (ended, mut end) = mpsc::unbounded_channel();
    let (start, sent) = (Instant::now(), Mutex::new(Instant::now()));
    client.on::<Small>(move |message| {
        let sum = sum.fetch_add(message.adds(), Relaxed) + message.adds();
        let (mut sent, mut trips) =
            (sent.lock().expect("no listener panics"), trips.lock().expect("no listener panics"));
        trips.push(sent.elapsed());
        if message.id + 1 == count {
            let _ = ended.send(Outcome::of_round_trips(start, sum, std::mem::take(&mut trips)));
            return;
        }
        *sent = Instant::now();
        again.send(&Small::new(message.id + 1)).expect("the server takes the next");
    });
    client.send(&Small::new(0))?;
    end.recv().await.ok_or("closed before the last echo")?.say();
    Ok(())
}

async fn receive_all(work: Work, count: u64, path: &Path) -> Done {
    // All clients listen before the first one connects: the server begins when the last one has connected.
    let clients: Vec<_> = (0..work.clients()).map(|_| Client::new(path)).collect();
    for client in &clients {
        let (reply, sum) = (client.handle(), AtomicU64::new(0));
        client.on::<Small>(move |message| {
            let sum = sum.fetch_add(message.adds(), Relaxed) + message.adds();
            if message.id + 1 == count {
                reply.send(&Checksum { sum }).expect("the server waits for the reply");
            }
        });
    }
    for client in &clients {
        client.connect().await?;
    }
    for client in &clients {
        client.closed().await;
    }
    Ok(())
}

/// Connects without the library, because its clients are not measured here.
async fn stay(work: Work, path: &Path) -> Done {
    let mut streams = Vec::new();
    for _ in 0..work.clients() {
        streams.push(std::os::unix::net::UnixStream::connect(path)?);
    }
    std::future::pending().await
}
