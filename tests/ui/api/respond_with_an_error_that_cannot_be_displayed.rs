use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "submit", reply = u64)]
struct Submit;

struct SubmitError;

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.respond::<Submit>(|_, _client_id| Err(SubmitError));
}
