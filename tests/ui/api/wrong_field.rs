use socket_ipc::{Client, Topic};

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

fn main() {
    let client = Client::new("/tmp/myApp.sock");
    client.on::<Hello>(|msg| println!("{}", msg.nick));
}
