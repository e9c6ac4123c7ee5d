//! Many messages in one read: what is wrong with one of them concerns no other.

use socket_ipc::{Server, Topic};
use support::{Events, Place, RawPeer};

#[derive(Topic, serde::Deserialize)]
#[topic = "number"]
struct Number(u64);

#[derive(Topic, serde::Deserialize)]
#[topic = "end"]
struct End;

/// What happens to all these bytes, which are written in pieces of at most `len`.
async fn happens(bytes: &[u8], len: usize) -> Vec<String> {
    let (place, mut events) = (Place::new(), Events::new());
    let server = Server::builder(place.socket()).max_message_len(2_000).build();
    let (number, error, end) = (events.reporter(), events.reporter(), events.reporter());
    server.on::<Number>(move |Number(n), _| number(format!("number {n}")));
    server.on::<End>(move |End, _| end("end".to_owned()));
    server.on_message_error(move |report, _| error(report.to_string()));
    server.listen().await.unwrap();
    let mut peer = RawPeer::connect(place.socket()).await;
    for piece in bytes.chunks(len) {
        peer.write(piece).await;
    }
    let mut all = Vec::new();
    while all.last().is_none_or(|last| last != "end") {
        all.push(events.next().await);
    }
    all
}

support::both_flavours! {
    async fn wrong_messages_among_many_lose_no_other() {
        let line = |n: u64| format!("{{\"topic\":\"number\",\"message\":{n}}}\n").into_bytes();
        let wrong: [&[u8]; 9] = [
            b"{\"topic\":\"number\",\"message\":\"\xff\"}\n",
            b"{\"topic\":\"number\",\"message\":1}\xff\n",
            b"{\"topic\":\"number\",\"message\":\"text\"}\n",
            b"{\"topic\":\"number\",\"message\":1\n",
            b"\n \r\n",
            b"{\"topic\":\"number\",\"message\":1,\"id\":1}\n",
            b"{\"topic\":\"number\",\"message\":1,\"re\":1}\n",
            b"{\"topic\":\"other\",\"message\":1}\n",
            b"no envelope\n",
        ];
        let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
        let mut rng = fastrand::Rng::with_seed(11);
        for n in 0..3_000 {
            bytes.extend(line(n));
            numbers.push(format!("number {n}"));
            match rng.u8(..40) {
                at @ 0..9 => bytes.extend_from_slice(wrong[usize::from(at)]),
                9 => bytes.extend([&b"{\"topic\":\"number\",\"message\":\""[..], &[b'x'; 2_000], b"\"}\n"].concat()),
                _ => {}
            }
        }
        bytes.extend_from_slice(b"{\"topic\":\"end\",\"message\":null}\n");
        let all = happens(&bytes, bytes.len()).await;
        // A request without a responder is received as a message, too: those of `wrong` are all number 1.
        let numbers_of = |events: &[String]| -> Vec<_> {
            events.iter().filter(|event| event.starts_with("number ") && *event != "number 1").cloned().collect()
        };
        assert_eq!(numbers_of(&all), numbers_of(&numbers));
        assert!(all.len() > numbers.len() + 500, "{} events", all.len());
        for len in [100, 1_023, 1_024, 1_025] {
            assert_eq!(happens(&bytes, len).await, all, "in pieces of {len} bytes");
        }
    }
}
