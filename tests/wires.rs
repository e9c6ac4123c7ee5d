//! Every wire as its bytes on a socket, on both sides: those of the Node library's versions 0.1 too, which
//! are no longer to be had as programs.

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Topic, Wire};
use support::{Place, RawPeer, both_flavours, soon};
use tokio::net::UnixListener;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "discount"]
struct Discount(String);

/// What is said, as it stands between the envelope's key for the message and its end.
const TEXT: &str = "100 %, \0 and \n";
const JSON: &str = r#""100 %, \u0000 and \n""#;

fn wires() -> [(Wire, &'static str, &'static str); 5] {
    [
        (Wire::JSON_LINES, "message", "\n"),
        (Wire::NODE_0_4, "message", "\0\0"),
        (Wire::NODE_0_2, "message", "%EOM%"),
        (Wire::NODE_0_1, "data", "%<EOM>%\n"),
        (Wire::new("\u{1e}", "payload").unwrap(), "payload", "\u{1e}"),
    ]
}

async fn sends_and_receives(peer: &mut RawPeer, key: &str, end: &str) {
    let envelope = format!(r#"{{"topic":"discount","{key}":{JSON}}}"#);
    peer.write(envelope.clone() + end).await;
    let reply = peer.until(end.as_bytes()).await.expect("a reply");
    assert_eq!(String::from_utf8(reply).unwrap(), envelope);
    // The end of a message in a message: it comes back, and is no end.
    let within = format!(r#"{{"topic":"discount","{key}":{}}}"#, serde_json::json!(end));
    let within = within.replace("%EOM%", "\\u0025EOM%");
    peer.write(within.clone() + end).await;
    let reply = peer.until(end.as_bytes()).await.expect("a reply");
    assert_eq!(String::from_utf8(reply).unwrap(), within);
}

both_flavours! {
    async fn a_server_reads_and_writes_the_bytes_of_every_wire() {
        for (wire, key, end) in wires() {
            let place = Place::new();
            let server = Server::builder(place.socket()).wire(wire).build();
            let reply = server.handle();
            server.on::<Discount>(move |discount, client_id| reply.send(&discount, client_id).unwrap());
            server.listen().await.unwrap();
            let mut peer = RawPeer::connect(place.socket()).await;
            sends_and_receives(&mut peer, key, end).await;
        }
    }

    async fn a_client_reads_and_writes_the_bytes_of_every_wire() {
        for (wire, key, end) in wires() {
            let place = Place::new();
            let listener = UnixListener::bind(place.socket()).unwrap();
            let client = Client::builder(place.socket()).wire(wire).build();
            let reply = client.handle();
            client.on::<Discount>(move |discount| reply.send(&discount).unwrap());
            client.connect().await.unwrap();
            let (stream, _) = soon("the client", listener.accept()).await.unwrap();
            let mut peer = RawPeer::over(stream);
            client.send(&Discount(TEXT.into())).unwrap();
            let first = peer.until(end.as_bytes()).await.expect("what the client says first");
            assert_eq!(String::from_utf8(first).unwrap(), format!(r#"{{"topic":"discount","{key}":{JSON}}}"#));
            sends_and_receives(&mut peer, key, end).await;
        }
    }
}
