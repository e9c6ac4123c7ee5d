use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "follow", stream = u64)]
struct Follow<'a> {
    job: &'a str,
}

fn main() {}
