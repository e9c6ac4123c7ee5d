use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic, TopicSet};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting;

#[derive(Protocol)]
#[protocol(to_server(Hello), to_client(Greeting))]
struct Chat;

#[derive(TopicSet)]
enum Both {
    Hello(Hello),
    Greeting(Greeting),
}

fn main() {
    let server = Chat::server("/tmp/myApp.sock").build();
    server.events::<Both>();
}
