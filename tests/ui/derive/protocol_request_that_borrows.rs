use socket_ipc::{Protocol, Topic};

#[derive(Topic)]
#[topic = "log"]
struct Log<'m>(&'m str);

#[derive(Protocol)]
#[protocol(to_server(Log<'_> -> Log<'_>))]
struct Chat;

fn main() {}
