use socket_ipc::Topic;

#[derive(Topic)]
#[topic = "hello"]
union Hello {
    signed: i8,
    unsigned: u8,
}

fn main() {}
