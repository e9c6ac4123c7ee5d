use futures::stream;
use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count;

struct Silent;

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.respond_stream::<Count>(|_, _client_id| stream::iter([Ok(1), Err(Silent)]));
}
