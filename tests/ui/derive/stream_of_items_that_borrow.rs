use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "lines", stream = Line<'a>)]
struct Lines;

struct Line<'a>(&'a str);

fn main() {}
