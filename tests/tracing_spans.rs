//! The spans of the library: server or client, connection, request.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Topic};
use support::{Place, RawPeer, soon};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "double", reply = Doubled, reply_topic = "doubled")]
struct Double(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "doubled"]
struct Doubled(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "enter", reply = bool)]
struct Enter(String);

/// The trace as text.
#[derive(Clone, Default)]
struct Traced(Arc<Mutex<Vec<u8>>>);

impl Write for Traced {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Traced {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Traced {
    fn line_with(&self, part: &str) -> String {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("no {part} in:\n{text}"))
            .to_owned()
    }
}

/// The only test of this process, since a process has one subscriber.
#[tokio::test]
async fn events_are_traced_in_spans_of_endpoint_connection_and_request() {
    let traced = Traced::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(traced.clone())
        .init();
    let place = Place::new();
    let server = Server::new(place.socket());
    server
        .respond::<Double>(|Double(number), _| {
            tracing::info!("at once");
            Doubled(2 * number)
        })
        .unwrap();
    let rooms = server.handle();
    server.respond::<Enter>(move |Enter(room), id| rooms.group(room).join(id)).unwrap();
    server.listen().await.unwrap();
    let client = Client::new(place.socket());
    client
        .respond_async::<Double>(|Double(number)| async move {
            tokio::task::yield_now().await;
            tracing::info!("later");
            Doubled(2 * number)
        })
        .unwrap();
    client.connect().await.unwrap();
    soon("the reply", client.request(&Double(1))).await.unwrap();
    let id = server.clients()[0];
    assert!(soon("the reply", client.request(&Enter("room 5".into()))).await.unwrap());
    assert!(server.group("room 5").leave(id));
    soon("the reply", server.request(&Double(1), id)).await.unwrap();

    let path = place.socket().display().to_string();
    let process = std::process::id();
    let line = traced.line_with("at once");
    let spans = format!("server{{path={path}}}:connection{{client=1 user=");
    assert!(line.contains(&spans), "{line}");
    assert!(line.contains(&format!("process={process}}}:request{{topic=\"double\" id=1}}")), "{line}");
    let line = traced.line_with("later");
    let spans = format!("client{{path={path}}}:connection:request{{topic=\"double\" id=1}}");
    assert!(line.contains(&spans), "{line}");

    let group = r#"client=1 group="room 5""#;
    let line = traced.line_with("a client joined a group");
    assert!(line.contains(group) && line.trim_start().contains(" DEBUG "), "{line}");
    assert!(line.contains(&format!("server{{path={path}}}:connection{{client=1 user=")), "{line}");
    assert!(line.contains(r#":request{topic="enter" id="#), "{line}");
    let line = traced.line_with("a client left a group");
    assert!(line.contains(group) && line.trim_start().contains(" DEBUG "), "{line}");

    let mut peer = RawPeer::connect(place.socket()).await;
    peer.write("no message\n{\"topic\":\"double\",\"message\":1}\n").await;
    peer.line().await;
    let line = traced.line_with("a message could not be dispatched");
    assert!(line.contains("connection{client=2") && line.trim_start().contains("WARN"), "{line}");
}
