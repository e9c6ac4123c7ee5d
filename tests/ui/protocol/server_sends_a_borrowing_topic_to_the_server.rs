use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m> {
    text: &'m str,
}

#[derive(Protocol)]
#[protocol(to_server(Log<'_>), to_client(Greeting))]
struct Chat;

fn main() {
    let server = Chat::server("/tmp/myApp.sock").build();
    let text = String::from("text");
    let _ = server.broadcast(&Log { text: &text });
}
