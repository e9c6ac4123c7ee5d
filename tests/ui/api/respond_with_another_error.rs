use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "submit", reply = u64, error = SubmitError)]
struct Submit;

#[derive(Serialize, Deserialize)]
struct SubmitError;

#[derive(Serialize, Deserialize)]
struct OtherError;

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.respond::<Submit>(|_, _client_id| Err(OtherError));
}
