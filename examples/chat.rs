//! Chat rooms: a protocol, a struct with the handlers of the server, and a group of clients for each room.
//!
//! ```text
//! cargo run --example chat -- serve /tmp/chat.sock              # the rooms, in one terminal, until Ctrl-C
//! cargo run --example chat -- join /tmp/chat.sock kitchen ann   # a guest, in another one: type lines, until Ctrl-D
//! cargo run --example chat -- --demo                            # or all in one process, which ends by itself
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientGroup, ClientHandle, ClientId, Context, ErrorReply};
use socket_ipc::{Protocol, Server, Topic, handlers};
use tokio::io::{AsyncBufReadExt, BufReader};

/// The topics of each direction. A server that sends `Say`, or a client that listens for it, does not compile.
#[derive(Protocol)]
#[protocol(to_server(Join, Say), to_client(News))]
struct Chat;

/// A guest joins a room.
#[derive(Topic, Serialize, Deserialize, Clone, Debug)]
#[topic(name = "join", reply = News)]
struct Join {
    room: String,
    name: String,
}

/// What a guest says to the others in the room.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "say"]
struct Say(String);

/// What the room says. The reply to a join lists the guests; a broadcast tells them what happens.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News(String);

/// The handlers of the server, with the room and the name of each guest. The library knows which client is in which
/// group.
#[derive(Default)]
struct Rooms(Mutex<BTreeMap<ClientId, Join>>);

#[handlers(server = Chat)]
impl Rooms {
    fn join(&self, join: Join, context: Context<'_, Chat>) -> Result<News, ErrorReply> {
        let (mut guests, id) = (self.0.lock().unwrap(), context.client_id());
        let in_room = |guest: &&Join| guest.room == join.room;
        if guests.values().filter(in_room).any(|guest| guest.name == join.name) {
            return Err(ErrorReply::new("taken", format!("there is a {} already", join.name)));
        }
        context.join(&join.room)?;
        if let Some(before) = guests.insert(id, join.clone()).filter(|before| before.room != join.room) {
            context.server().group(before.room).leave(id);
        }
        tell_others(&context.server().group(&join.room), id, format!("{} joined", join.name));
        let names: Vec<_> = guests.values().filter(in_room).map(|guest| &guest.name).collect();
        Ok(News(format!("here are {names:?}")))
    }

    fn say(&self, Say(text): Say, context: Context<'_, Chat>) {
        // A client that has not joined is ignored.
        let Some(Join { room, name }) = self.0.lock().unwrap().get(&context.client_id()).cloned() else {
            return;
        };
        tell_others(&context.server().group(room), context.client_id(), format!("{name}: {text}"));
    }
}

fn tell_others(room: &ClientGroup<Chat>, client_id: ClientId, news: String) {
    if let Err(error) = room.broadcast_except(&News(news), client_id) {
        eprintln!("{error}");
    }
}

async fn serve(path: &Path) -> Result<Server<Chat>, Box<dyn Error>> {
    let (server, rooms) = (Chat::server(path).build(), Arc::new(Rooms::default()));
    server.attach(Arc::clone(&rooms))?;
    let others = server.handle();
    server.on_connection_close(move |client_id, _reason| {
        // It has left the group by itself.
        let Some(Join { room, name }) = rooms.0.lock().unwrap().remove(&client_id) else { return };
        tell_others(&others.group(room), client_id, format!("{name} left"));
    });
    server.listen().await?;
    Ok(server)
}

async fn join(path: &Path, room: &str, name: &str) -> Result<Client<Chat>, Box<dyn Error>> {
    let (client, join) = (Chat::client(path).build(), Join { room: room.into(), name: name.into() });
    let screen = name.to_owned();
    client.on::<News>(move |News(text)| println!("[{screen}] {text}"));
    client.on_connect_error(|error| println!("no rooms yet: {error}"));
    client.connect().await?;
    enter(client.handle(), join.clone()).await;
    // A restarted server knows no guests, so each client joins again.
    let again = client.handle();
    client.on_reconnect(move || drop(tokio::spawn(enter(again.clone(), join.clone()))));
    Ok(client)
}

async fn enter(client: ClientHandle<Chat>, join: Join) {
    let welcome = client.request(&join).await.map_or_else(|error| error.to_string(), |News(text)| text);
    println!("[{}] {welcome}", join.name);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", path] => {
            let server = serve(path.as_ref()).await?;
            tokio::signal::ctrl_c().await?;
            server.close().await;
        }
        ["join", path, room, name] => {
            let client = join(path.as_ref(), room, name).await?;
            let mut lines = BufReader::new(tokio::io::stdin()).lines();
            while let Some(text) = lines.next_line().await? {
                client.send(&Say(text)).unwrap_or_else(|error| eprintln!("{error}"));
            }
            client.close().await;
        }
        ["--demo"] => demo().await?,
        _ => eprintln!("usage: chat serve PATH, chat join PATH ROOM NAME, or chat --demo"),
    }
    Ok(())
}

async fn demo() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("chat.sock");
    let server = serve(&path).await?;
    let (ann, bob) = (join(&path, "kitchen", "ann").await?, join(&path, "kitchen", "bob").await?);
    let cid = join(&path, "garden", "cid").await?;
    // Each waits for what the other says, and then speaks. The garden gets nothing of it.
    let (mut to_ann, mut to_bob) = (ann.subscribe::<News>(), bob.subscribe::<News>());
    ann.send(&Say("hello, bob".into()))?;
    to_bob.next().await;
    bob.send(&Say("hello, ann; I must go".into()))?;
    bob.close().await;
    while to_ann.next().await.is_some_and(|News(text)| text != "bob left") {}
    tokio::join!(ann.close(), cid.close());
    server.close().await;
    Ok(())
}
