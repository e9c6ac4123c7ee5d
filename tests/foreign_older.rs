//! An earlier version of this library, as client of our server and as server of our client: what each makes of what the
//! other sends for requests.

use std::time::Duration;

use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket_ipc::{
    Client, ClientId, RawMessage, ReplyFuture, ReplyStream, Request, RequestError, Server, Stats, Topic,
};
use support::foreign::{Older, Peer, Role};
use support::{Events, Place, both_flavours, skip, soon};

/// The earlier version has the topic `sum` for the reply, and an error without a type.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64, reply_topic = "sum", error = TooMuch)]
struct Add(i64, i64);

#[derive(Serialize, Deserialize, Debug, PartialEq, thiserror::Error)]
#[error("more than fits")]
struct TooMuch {
    left: i64,
}

/// The earlier version has the topic `worked` for the reply.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "work", reply = u64)]
struct Work(u64);

/// A stream, which the earlier version does not know.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count(u64);

/// Longer than any test takes: a request that fails earlier did not wait for it.
const LONG: Duration = Duration::from_secs(3_600);
const MOST: i64 = i64::MAX;

/// Our endpoint, connected to one of the earlier version.
enum Ours {
    Server(Server, ClientId),
    Client(Client),
}

impl Ours {
    fn request<T>(&self, request: &T) -> ReplyFuture<T::Reply, T::Error>
    where
        T: Request + Serialize,
        T::Reply: for<'m> Deserialize<'m>,
        T::Error: for<'m> Deserialize<'m>,
    {
        match self {
            Ours::Server(server, id) => server.request(request, *id),
            Ours::Client(client) => client.request(request),
        }
    }

    fn request_stream(
        &self,
        topic: &str,
        message: &Value,
    ) -> ReplyStream<RawMessage<'static>, RawMessage<'static>> {
        match self {
            Ours::Server(server, id) => server.request_stream_raw(topic, message, *id),
            Ours::Client(client) => client.request_stream_raw(topic, message),
        }
    }

    fn send(&self, topic: &str, message: &Value) {
        match self {
            Ours::Server(server, id) => server.send_raw(topic, message, *id).unwrap(),
            Ours::Client(client) => client.send_raw(topic, message).unwrap(),
        }
    }

    fn stats(&self) -> Stats {
        match self {
            Ours::Server(server, _) => server.stats(),
            Ours::Client(client) => client.stats(),
        }
    }
}

/// Attaches the responders and listeners of our endpoint, whose closures take `$id` beside a message.
macro_rules! attach {
    ($end:expr, $received:expr $(, $id:tt)?) => {
        $end.respond::<Add>(|Add(left, right) $(, $id)?| left.checked_add(right).ok_or(TooMuch { left })).unwrap();
        $end.respond::<Work>(|Work(number) $(, $id)?| number).unwrap();
        $end.respond_stream::<Count>(|Count(to) $(, $id)?| stream::iter(0..to)).unwrap();
        let report = $received.reporter();
        $end.on_fallback(move |message, topic $(, $id)?| report((topic.to_owned(), message.to_value().unwrap())));
        let report = $received.reporter();
        $end.on_message_error(move |error $(, $id)?| report(("message error".into(), json!(error.to_string()))));
    };
}

/// Our endpoint, the messages that it receives and no responder takes, and the peer.
struct Pair {
    ours: Ours,
    received: Events<(String, Value)>,
    theirs: Peer,
    _place: Place,
}

/// `None` if the earlier version can't be had here; the skip is reported.
async fn pair(test: &str, theirs: Role) -> Option<Pair> {
    let older = Older::build(env!("CARGO_TARGET_TMPDIR")).await.map_err(|why| skip(test, &why)).ok()?;
    let (place, received) = (Place::new(), Events::new());
    let path = place.socket();
    let (ours, theirs) = match theirs {
        Role::Client => {
            let server = Server::builder(&path).request_timeout(LONG).build();
            attach!(server, received, _);
            let mut connections = Events::new();
            server.on_connection(connections.reporter());
            server.listen().await.unwrap();
            let mut theirs = older.start(Role::Client, &path).await;
            theirs.expect("connect").await;
            (Ours::Server(server, connections.next().await), theirs)
        }
        Role::Server => {
            let mut theirs = older.start(Role::Server, &path).await;
            theirs.expect("listening").await;
            let client = Client::builder(&path).request_timeout(LONG).build();
            attach!(client, received);
            soon("a connection", client.connect()).await.unwrap();
            theirs.expect("connection").await;
            (Ours::Client(client), theirs)
        }
    };
    Some(Pair { ours, received, theirs, _place: place })
}

impl Pair {
    /// A round trip from the peer. It has received everything that was sent before.
    async fn round_trip(&mut self) {
        self.theirs.command("add 2 3").await;
        assert_eq!(self.theirs.told("reply").await, 5);
    }

    /// Ends both, after checking that neither received more than was expected.
    async fn end(mut self) {
        self.round_trip().await;
        assert_eq!(self.received.rest(), []);
        self.theirs.close().await;
        self.theirs.end().await;
    }
}

/// A reply is read under its `reply_topic`, which is the topic of the reply's type in the earlier version.
async fn replies_reach_earlier_version(theirs: Role) {
    let Some(mut pair) = pair("replies to an earlier version", theirs).await else { return };
    pair.round_trip().await;
    // Without a `reply_topic` a raw request reads the reply, and a typed one says what it would need.
    pair.theirs.command("request work 5").await;
    assert_eq!(pair.theirs.told("reply").await, 5);
    pair.theirs.command("work 5").await;
    let failure = pair.theirs.told("failed").await;
    assert_eq!(failure, "the reply to `work` came under the topic `work` and not `worked`");
    pair.end().await;
}

/// A typed error is a code and a text to the earlier version.
async fn errors_reach_earlier_version(theirs: Role) {
    let Some(mut pair) = pair("error replies to an earlier version", theirs).await else { return };
    let rejected = json!({ "code": "failed", "text": "more than fits" });
    pair.theirs.command(&format!("add {MOST} 1")).await;
    assert_eq!(pair.theirs.told("rejected").await, rejected);
    pair.theirs.command(&format!("request add [{MOST},1]")).await;
    assert_eq!(pair.theirs.told("rejected").await, rejected);
    pair.theirs.command("request missing 1").await;
    assert_eq!(pair.theirs.told("failed").await, "the peer has no responder for `missing`");
    assert_eq!(pair.received.next().await, ("missing".into(), json!(1)));
    pair.end().await;
}

/// What the earlier version replies, under the topics of its types and without `data`.
async fn replies_of_earlier_version_are_read(theirs: Role) {
    let Some(mut pair) = pair("replies of an earlier version", theirs).await else { return };
    assert_eq!(soon("a reply", pair.ours.request(&Add(2, 3))).await.unwrap(), 5);
    let work = pair.ours.request(&Work(5));
    assert_eq!(pair.theirs.told("begun").await, 5);
    pair.theirs.command("finish").await;
    assert_eq!(soon("a reply", work).await.unwrap(), 5);
    assert_eq!(pair.theirs.told("ended").await, 5);
    let error = soon("an error", pair.ours.request(&Add(MOST, 1))).await.unwrap_err();
    assert!(
        matches!(&error, RequestError::Rejected { reply, .. }
            if (reply.code(), reply.text()) == ("failed", "more than fits")),
        "{error:?}"
    );
    pair.end().await;
}

/// The earlier version counts a cancel as a late reply. No listener gets it, and the responder runs to its end.
async fn cancel_at_earlier_version_is_a_late_reply(theirs: Role) {
    let Some(mut pair) = pair("a cancel to an earlier version", theirs).await else { return };
    let work = pair.ours.request(&Work(5));
    assert_eq!(pair.theirs.told("begun").await, 5);
    drop(work);
    pair.round_trip().await;
    pair.theirs.command("late").await;
    assert_eq!(pair.theirs.told("late").await, 1);
    pair.theirs.command("finish").await;
    assert_eq!(pair.theirs.told("ended").await, 5);
    // Its reply comes before that of a later request, and is late in turn.
    assert_eq!(soon("a reply", pair.ours.request(&Add(2, 3))).await.unwrap(), 5);
    assert_eq!(pair.ours.stats().late_replies, 1);
    pair.end().await;
}

/// The reply to a message without an id is a plain message with `"re":null`, where there is a `reply_topic`.
async fn re_null_at_earlier_version_is_a_plain_message(theirs: Role) {
    let Some(mut pair) = pair("a reply without an id to an earlier version", theirs).await else { return };
    pair.theirs.command("send add [2,3]").await;
    assert_eq!(pair.theirs.plain().await, ("received".into(), "sum".into(), json!(5)));
    pair.theirs.command(&format!("send add [{MOST},1]")).await;
    let error = json!({ "code": "failed", "text": "more than fits", "data": { "left": MOST } });
    assert_eq!(pair.theirs.plain().await, ("received".into(), "error".into(), error));
    pair.theirs.command("send work 5").await;
    pair.round_trip().await;
    assert_eq!(pair.ours.stats().dropped_replies, 1);
    pair.end().await;
}

/// The earlier version replies to every message without an id, by a plain message.
async fn earlier_version_replies_to_every_plain_message(theirs: Role) {
    let Some(mut pair) = pair("a plain message to an earlier version", theirs).await else { return };
    pair.ours.send("add", &json!([2, 3]));
    assert_eq!(pair.received.next().await, ("sum".into(), json!(5)));
    pair.ours.send("add", &json!([MOST, 1]));
    let error = json!({ "code": "failed", "text": "more than fits" });
    assert_eq!(pair.received.next().await, ("error".into(), error));
    pair.ours.send("work", &json!(5));
    assert_eq!(pair.theirs.told("begun").await, 5);
    pair.theirs.command("finish").await;
    assert_eq!(pair.theirs.told("ended").await, 5);
    assert_eq!(pair.received.next().await, ("worked".into(), json!(5)));
    pair.end().await;
}

/// Neither takes a single reply for a stream, or the reverse.
async fn streams_fail_by_name(theirs: Role) {
    let Some(mut pair) = pair("streams with an earlier version", theirs).await else { return };
    pair.theirs.command("request count 3").await;
    let rejected = pair.theirs.told("rejected").await;
    assert_eq!(rejected["code"], "stream");
    assert!(rejected["text"].as_str().unwrap().contains("`count` is a stream"), "{rejected}");
    for (topic, message) in [("add", json!([2, 3])), ("add", json!([MOST, 1])), ("nothing", json!(1))] {
        let mut items = pair.ours.request_stream(topic, &message);
        let error = match soon("the end", items.next()).await {
            Some(Err(error)) => error,
            other => panic!("{other:?}"),
        };
        match (topic, &message[0]) {
            ("add", left) if left == 2 => {
                assert!(matches!(&error, RequestError::NotAStream { topic } if topic == "add"), "{error:?}")
            }
            ("add", _) => assert!(matches!(&error, RequestError::Rejected { .. }), "{error:?}"),
            _ => assert!(matches!(&error, RequestError::NoResponder { .. }), "{error:?}"),
        }
        assert!(soon("the end", items.next()).await.is_none());
        if topic == "nothing" {
            // Listeners get the request of a topic that has no responder.
            assert_eq!(pair.theirs.told("fallback").await, 1);
        }
    }
    pair.end().await;
}

both_flavours! {
    async fn earlier_client_reads_replies() {
        replies_reach_earlier_version(Role::Client).await;
    }

    async fn earlier_server_reads_replies() {
        replies_reach_earlier_version(Role::Server).await;
    }

    async fn earlier_client_reads_typed_errors_as_code_and_text() {
        errors_reach_earlier_version(Role::Client).await;
    }

    async fn earlier_server_reads_typed_errors_as_code_and_text() {
        errors_reach_earlier_version(Role::Server).await;
    }

    async fn earlier_client_replies_are_read() {
        replies_of_earlier_version_are_read(Role::Client).await;
    }

    async fn earlier_server_replies_are_read() {
        replies_of_earlier_version_are_read(Role::Server).await;
    }

    async fn earlier_client_counts_cancel_as_late_reply() {
        cancel_at_earlier_version_is_a_late_reply(Role::Client).await;
    }

    async fn earlier_server_counts_cancel_as_late_reply() {
        cancel_at_earlier_version_is_a_late_reply(Role::Server).await;
    }

    async fn earlier_client_receives_re_null_as_plain_message() {
        re_null_at_earlier_version_is_a_plain_message(Role::Client).await;
    }

    async fn earlier_server_receives_re_null_as_plain_message() {
        re_null_at_earlier_version_is_a_plain_message(Role::Server).await;
    }

    async fn earlier_client_replies_to_every_plain_message() {
        earlier_version_replies_to_every_plain_message(Role::Client).await;
    }

    async fn earlier_server_replies_to_every_plain_message() {
        earlier_version_replies_to_every_plain_message(Role::Server).await;
    }

    async fn earlier_client_and_streams_fail_by_name() {
        streams_fail_by_name(Role::Client).await;
    }

    async fn earlier_server_and_streams_fail_by_name() {
        streams_fail_by_name(Role::Server).await;
    }
}
