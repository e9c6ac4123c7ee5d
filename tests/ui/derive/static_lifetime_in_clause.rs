use socket_ipc::Topic;

#[derive(Topic)]
#[topic = "hello"]
struct Hello<'a>(&'a str)
where
    'a: 'static;

fn main() {}
