use socket_ipc::{Protocol, Topic};

#[derive(Topic)]
#[topic(name = "hello", reply = Greeting)]
struct Hello;

struct Greeting;

#[derive(Protocol)]
#[protocol(to_server(Hello -> Greeting))]
struct Chat;

fn main() {}
