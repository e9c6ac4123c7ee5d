use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "submit", reply = u64, error = SubmitError)]
struct Submit;

#[derive(Serialize, Deserialize)]
struct SubmitError;

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.respond_with::<Submit>(|_, reply| {
        let _ = reply.send(Err("no room"));
    });
}
