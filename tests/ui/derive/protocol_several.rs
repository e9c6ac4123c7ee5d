//! All mistakes of a protocol are reported at once, and no use of it is.

use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting;

#[derive(Protocol)]
#[protocol(to_servers(Hello), to_client(Greeting, "goodbye", Greeting, 'x'), crate = 5, to_client(Hello))]
#[protocol(to_server(Hello))]
struct Chat<T>(T);

fn main() {
    let server = Chat::<u8>::server("/tmp/myApp.sock").build();
    server.on::<Hello>(|_, _| ());
    let _ = server.broadcast(&Greeting);
}
