use serde::{Deserialize, Serialize};
use socket_ipc::{Hears, Protocol, Context, Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Greeting)]
struct Add;

#[derive(Protocol)]
#[protocol(to_server(Hello, Add), to_client(Greeting))]
struct Chat;

struct Handlers;

impl Hears<Hello, Server<Chat>> for Handlers {
    fn hear(&self, _: Hello, _: Context<'_, Chat>) {}
}

fn main() {
    let server = Chat::server("/tmp/myApp.sock").build();
    let _ = server.attach(Handlers);
}
