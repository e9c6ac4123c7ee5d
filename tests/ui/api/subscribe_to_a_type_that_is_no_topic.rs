use serde::Deserialize;

#[derive(Deserialize)]
struct Plain {
    name: String,
}

fn main() {
    let client = socket_ipc::Client::new("/tmp/myApp.sock");
    client.subscribe::<Plain>();
}
