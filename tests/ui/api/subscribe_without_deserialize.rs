use socket_ipc::Topic;

#[derive(Topic)]
#[topic = "hello"]
struct Hello;

fn main() {
    let client = socket_ipc::Client::new("/tmp/myApp.sock");
    client.subscribe::<Hello>();
}
