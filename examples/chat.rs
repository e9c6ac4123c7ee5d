//! A chat room: a protocol, a struct with the handlers of the server, and a struct with those of a client.
//!
//! ```text
//! cargo run --example chat -- serve /tmp/chat.sock      # the room, in one terminal, until Ctrl-C
//! cargo run --example chat -- join /tmp/chat.sock ann   # a member, in another terminal: type lines, until Ctrl-D
//! cargo run --example chat -- --demo                    # or all in one process, which ends by itself
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use socket_ipc::{
    Client, ClientHandle, ClientId, Context, ErrorReply, Protocol, Server, ServerHandle, Topic, handlers,
};
use tokio::io::{AsyncBufReadExt, BufReader};

/// The topics of each direction. A server that sends `Say`, or a client that listens for it, does not compile.
#[derive(Protocol)]
#[protocol(to_server(Join, Say), to_client(News))]
struct Chat;

/// The name of the member that joins.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "join", reply = News)]
struct Join(String);

/// What a member says.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "say"]
struct Say(String);

/// What the room says. The reply to a join lists the members; a broadcast tells the members what happens.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News(String);

/// The handlers of the server, which share the list of members. Without a handler for each topic to the server,
/// `attach` does not compile.
#[derive(Default)]
struct Room(Mutex<BTreeMap<ClientId, String>>);

#[handlers(server = Chat)]
impl Room {
    fn join(&self, Join(name): Join, context: Context<'_, Chat>) -> Result<News, ErrorReply> {
        let mut members = self.0.lock().unwrap();
        if members.values().any(|member| *member == name) {
            return Err(ErrorReply::new("taken", format!("there is a {name} already")));
        }
        tell_others(context.server(), context.client_id(), format!("{name} joined"));
        members.insert(context.client_id(), name);
        Ok(News(format!("here are {:?}", members.values())))
    }

    fn say(&self, Say(text): Say, context: Context<'_, Chat>) {
        // A client that has not joined is ignored.
        let Some(name) = self.0.lock().unwrap().get(&context.client_id()).cloned() else { return };
        tell_others(context.server(), context.client_id(), format!("{name}: {text}"));
    }
}

fn tell_others(server: &ServerHandle<Chat>, client_id: ClientId, news: String) {
    if let Err(error) = server.broadcast_except(&News(news), client_id) {
        eprintln!("{error}");
    }
}

async fn serve(path: &Path) -> Result<Server<Chat>, Box<dyn Error>> {
    let room = Arc::new(Room::default());
    let server = Chat::server(path).build();
    server.attach(Arc::clone(&room))?;
    let others = server.handle();
    server.on_connection_close(move |client_id, _reason| {
        let Some(name) = room.0.lock().unwrap().remove(&client_id) else { return };
        tell_others(&others, client_id, format!("{name} left"));
    });
    server.listen().await?;
    Ok(server)
}

/// The handlers of a client, with the name of its member.
struct Screen(String);

#[handlers(client = Chat)]
impl Screen {
    fn news(&self, News(text): News) {
        println!("[{}] {text}", self.0);
    }
}

async fn join(path: &Path, name: &str) -> Result<Client<Chat>, Box<dyn Error>> {
    let client = Chat::client(path).build();
    client.attach(Screen(name.to_owned()))?;
    client.on_connect_error(|error| println!("no room yet: {error}"));
    client.connect().await?;
    let (room, name) = (client.handle(), name.to_owned());
    introduce(room.clone(), name.clone()).await;
    // A restarted server knows no members, so each client joins again.
    client.on_reconnect(move || drop(tokio::spawn(introduce(room.clone(), name.clone()))));
    Ok(client)
}

async fn introduce(room: ClientHandle<Chat>, name: String) {
    match room.request(&Join(name.clone())).await {
        Ok(News(text)) => println!("[{name}] {text}"),
        Err(error) => eprintln!("[{name}] {error}"),
    }
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
        ["join", path, name] => {
            let client = join(path.as_ref(), name).await?;
            let mut lines = BufReader::new(tokio::io::stdin()).lines();
            while let Some(text) = lines.next_line().await? {
                client.send(&Say(text)).unwrap_or_else(|error| eprintln!("{error}"));
            }
            client.close().await;
        }
        ["--demo"] => demo().await?,
        _ => eprintln!("usage: chat serve PATH, chat join PATH NAME, or chat --demo"),
    }
    Ok(())
}

async fn demo() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("chat.sock");
    let server = serve(&path).await?;
    let (ann, bob) = (join(&path, "ann").await?, join(&path, "bob").await?);
    // Each waits for what the other says, and then speaks.
    let (mut to_ann, mut to_bob) = (ann.subscribe::<News>(), bob.subscribe::<News>());
    ann.send(&Say("hello, bob".into()))?;
    to_bob.next().await;
    bob.send(&Say("hello, ann; I must go".into()))?;
    bob.close().await;
    while to_ann.next().await.is_some_and(|News(text)| text != "bob left") {}
    ann.close().await;
    server.close().await;
    Ok(())
}
