use socket_ipc::{Server, Topic};

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "log"]
struct Log<'m> {
    text: &'m str,
}

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    server.on_async::<Log>(|msg, client_id| async move { println!("{client_id} {}", msg.text) });
}
