use futures::stream;
use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "follow", stream = u64)]
struct Follow;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "log", stream = u64)]
struct Log;

#[derive(Protocol)]
#[protocol(to_server(Follow), to_client(Log))]
struct Chat;

fn main() {
    let server = Chat::server("/tmp/myApp.sock").build();
    let _ = server.respond_stream::<Log>(|_, _client_id| stream::iter([1]));
}
