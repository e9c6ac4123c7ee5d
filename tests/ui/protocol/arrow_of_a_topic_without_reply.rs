use socket_ipc::{Protocol, Topic};

#[derive(Topic)]
#[topic = "hello"]
struct Hello;

#[derive(Topic)]
#[topic = "greeting"]
struct Greeting;

#[derive(Protocol)]
#[protocol(to_server(Hello -> Greeting))]
struct Chat;

fn main() {}
