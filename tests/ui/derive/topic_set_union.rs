use socket_ipc::TopicSet;


#[derive(TopicSet)]
union FromServer {
    news: u64,
}

fn main() {
    let client = socket_ipc::Client::new("/tmp/myApp.sock");
    client.subscribe::<FromServer>();
}
