use socket_ipc::Topic;

#[derive(Topic)]
#[topic = "hello"]
struct Hello<'a: 'static>(&'a str);

fn main() {}
