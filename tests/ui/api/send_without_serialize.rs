use socket_ipc::{Client, Topic};

#[derive(Topic, serde::Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

fn main() {
    let client = Client::new("/tmp/myApp.sock");
    let _ = client.send(&Hello { name: String::new() });
}
