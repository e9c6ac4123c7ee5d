use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting;

#[derive(Protocol)]
#[protocol(to_server(Hello))]
struct Chat<'a, T: Clone, const N: usize>(&'a [T; N]);

fn main() {
    let server = Chat::<u8, 2>::server("/tmp/myApp.sock").build();
    server.on::<Hello>(|_, _| ());
}
