//! The bytes of every wire on a socket, at both ends. The versions 0.1 of the Node library, which are no longer
//! available, are here, too.

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Topic, Wire};
use support::{Place, RawPeer, both_flavours, soon};
use tokio::net::UnixListener;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "discount"]
struct Discount(String);

/// The message, and its JSON in the envelope.
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

async fn sends_and_receives(peer: &mut RawPeer, key: &str, delimiter: &str) {
    let envelope = format!(r#"{{"topic":"discount","{key}":{JSON}}}"#);
    peer.write(envelope.clone() + delimiter).await;
    let reply = peer.until(delimiter.as_bytes()).await.expect("a reply");
    assert_eq!(String::from_utf8(reply).unwrap(), envelope);
    // A delimiter inside a message comes back, and ends nothing.
    let within = format!(r#"{{"topic":"discount","{key}":{}}}"#, serde_json::json!(delimiter));
    let within = within.replace("%EOM%", "\\u0025EOM%");
    peer.write(within.clone() + delimiter).await;
    let reply = peer.until(delimiter.as_bytes()).await.expect("a reply");
    assert_eq!(String::from_utf8(reply).unwrap(), within);
}

both_flavours! {
    async fn server_every_wire_reads_and_writes_its_bytes() {
        for (wire, key, delimiter) in wires() {
            let place = Place::new();
            let server = Server::builder(place.socket()).wire(wire).build();
            let reply = server.handle();
            server.on::<Discount>(move |discount, client_id| reply.send(&discount, client_id).unwrap());
            server.listen().await.unwrap();
            let mut peer = RawPeer::connect(place.socket()).await;
            sends_and_receives(&mut peer, key, delimiter).await;
        }
    }

    async fn client_every_wire_reads_and_writes_its_bytes() {
        for (wire, key, delimiter) in wires() {
            let place = Place::new();
            let listener = UnixListener::bind(place.socket()).unwrap();
            let client = Client::builder(place.socket()).wire(wire).build();
            let reply = client.handle();
            client.on::<Discount>(move |discount| reply.send(&discount).unwrap());
            client.connect().await.unwrap();
            let (stream, _) = soon("the client", listener.accept()).await.unwrap();
            let mut peer = RawPeer::over(stream);
            client.send(&Discount(TEXT.into())).unwrap();
            let first = peer.until(delimiter.as_bytes()).await.expect("the first message of the client");
            assert_eq!(String::from_utf8(first).unwrap(), format!(r#"{{"topic":"discount","{key}":{JSON}}}"#));
            sends_and_receives(&mut peer, key, delimiter).await;
        }
    }
}
