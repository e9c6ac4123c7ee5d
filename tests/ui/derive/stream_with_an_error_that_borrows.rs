use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "follow", stream = u64, error = Failure<'a>)]
struct Follow;

struct Failure<'a>(&'a str);

fn main() {}
