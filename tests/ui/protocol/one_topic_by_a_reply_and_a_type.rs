use socket_ipc::{Protocol, Topic};

#[derive(Topic)]
#[topic = "hello"]
struct Hello;

#[derive(Topic)]
#[topic(name = "add", reply = Sum)]
struct Add;

#[derive(Topic)]
#[topic = "hello"]
struct Sum;

#[derive(Protocol)]
#[protocol(to_server(Add -> Sum), to_client(Hello))]
struct Chat;

fn main() {}
