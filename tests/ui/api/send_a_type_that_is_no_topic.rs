use socket_ipc::Client;

#[derive(serde::Serialize, serde::Deserialize)]
struct Plain {
    name: String,
}

fn main() {
    let client = Client::new("/tmp/myApp.sock");
    let _ = client.send(&Plain { name: String::new() });
}
