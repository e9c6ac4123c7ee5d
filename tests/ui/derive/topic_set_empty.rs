use socket_ipc::TopicSet;


#[derive(TopicSet)]
enum FromServer {}

fn main() {
    let client = socket_ipc::Client::new("/tmp/myApp.sock");
    client.subscribe::<FromServer>();
}
