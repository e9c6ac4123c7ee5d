use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "submit", reply = u64, error = SubmitError)]
struct Submit;

#[derive(Serialize)]
struct SubmitError;

fn main() {
    let client = Client::new("/tmp/myApp.sock");
    let _ = client.request(&Submit);
}
