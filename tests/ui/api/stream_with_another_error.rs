use futures::stream;
use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "follow", stream = u64, error = FollowError)]
struct Follow;

#[derive(Serialize, Deserialize)]
struct FollowError;

#[derive(Serialize, Deserialize)]
struct OtherError;

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.respond_stream::<Follow>(|_, _client_id| stream::iter([Ok(1), Err(OtherError)]));
}
