use serde::{Deserialize, Serialize};
use socket_ipc::{Attaches, Client, Protocol, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting;

#[derive(Protocol)]
#[protocol(to_server(Hello, Greeting))]
struct Chat;

struct Room;

fn attach<L, P: Attaches<L, Client<P>> + 'static>(_: &Client<P>, _: L) {}

fn main() {
    let client = Chat::client("/tmp/myApp.sock").build();
    attach(&client, Room);
}
