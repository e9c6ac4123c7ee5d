use socket_ipc::Server;

#[derive(serde::Serialize, serde::Deserialize)]
struct Plain {
    name: String,
}

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    server.on::<Plain>(|msg, client_id| println!("{client_id} {}", msg.name));
}
