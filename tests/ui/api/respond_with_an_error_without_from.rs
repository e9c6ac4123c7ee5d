use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "submit", reply = u64, error = SubmitError)]
struct Submit {
    command: String,
}

#[derive(Serialize, Deserialize)]
struct SubmitError;

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.respond::<Submit>(|submit, _client_id| Ok(submit.command.parse::<u64>()?));
}
