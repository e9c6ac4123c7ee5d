use socket_ipc::{Protocol, Topic};

#[derive(Topic)]
#[topic(name = "add", reply = Sum)]
struct Add;

#[derive(Topic)]
#[topic = "sum"]
struct Sum;

#[derive(Topic)]
#[topic = "product"]
struct Product;

#[derive(Protocol)]
#[protocol(to_server(Add -> Product), to_client(Sum))]
struct Chat;

fn main() {}
