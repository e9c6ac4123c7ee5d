use socket_ipc::{Protocol, Topic};

#[derive(Topic)]
#[topic = "hello"]
struct Hello;

#[derive(Topic)]
#[topic = "hello"]
struct Copied;

#[derive(Protocol)]
#[protocol(to_server(Hello, Copied))]
struct Chat;

fn main() {}
