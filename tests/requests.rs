//! Requests and replies, both ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use socket_ipc::{
    Client, CloseCause, ErrorReply, MessageErrorKind, RegisterError, RequestError, SendError, Server, Topic,
};
use support::{Events, Place, RawPeer, soon};
use tokio::sync::Semaphore;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum, reply_topic = "sum")]
struct Add {
    left: i64,
    right: i64,
}

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "sum"]
struct Sum(i64);

/// A request whose reply comes once a test opens the gate.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = Waited)]
struct Wait(u64);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "waited"]
struct Waited(u64);

/// Longer than any test takes: a request that fails earlier did not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

const ADD: Add = Add { left: 2, right: 3 };

/// A server, and a client that is connected to it.
async fn connected() -> (Place, Server, Client) {
    let place = Place::new();
    let server = Server::builder(place.socket()).request_timeout(LONG).build();
    server.listen().await.unwrap();
    let client = Client::builder(place.socket()).request_timeout(LONG).build();
    let mut events = Events::new();
    let report = events.reporter();
    let token = server.on_connection(move |_| report(()));
    client.connect().await.unwrap();
    events.next().await;
    server.off(token);
    (place, server, client)
}

/// A responder to `Wait` that sends a reply for each permit of the gate.
fn gated(server: &Server) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    let closed = Arc::clone(&gate);
    let responder = move |Wait(number), _| {
        let closed = Arc::clone(&closed);
        async move {
            closed.acquire().await.unwrap().forget();
            Waited(number)
        }
    };
    server.respond_async::<Wait>(responder).unwrap();
    gate
}

async fn failed<R: std::fmt::Debug, E>(reply: socket_ipc::ReplyFuture<R, E>) -> RequestError
where
    RequestError: From<RequestError<E>>,
{
    soon("the failure of a request", reply).await.expect_err("a failure").into()
}

support::both_flavours! {
    async fn request_to_server_and_to_client_gets_reply() {
        let (_place, server, client) = connected().await;
        server.respond::<Add>(|Add { left, right }, _client_id| Sum(left + right)).unwrap();
        client.respond_async::<Add>(|Add { left, right }| async move { Ok::<_, ErrorReply>(Sum(left * right)) }).unwrap();
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
        let id = server.clients()[0];
        assert_eq!(soon("the product", server.request(&ADD, id)).await.unwrap(), Sum(6));
        assert_eq!(soon("the sum", client.handle().request(&ADD)).await.unwrap(), Sum(5));
        assert_eq!(soon("the product", server.handle().request(&ADD, id)).await.unwrap(), Sum(6));
    }

    async fn request_raw_gets_reply_both_ways() {
        let (_place, server, client) = connected().await;
        server.respond_raw("length", Some(""), |text, _| Ok(text.decode::<String>()?.len())).unwrap();
        client.respond_raw("echo", Some("echoed"), |message| Ok(message.into_owned())).unwrap();
        let length = soon("the length", client.request_raw("length", "four")).await.unwrap();
        assert_eq!(length.as_str(), "4");
        let error = failed(client.request_raw("length", &4)).await;
        assert!(matches!(&error, RequestError::Rejected { topic, reply }
            if topic == "length" && reply.code() == "failed" && reply.text().contains("expected a string")), "{error}");
        let echo = soon("the echo", server.request_raw("echo", &[1, 2], server.clients()[0])).await.unwrap();
        assert_eq!(echo.as_str(), "[1,2]");
        // A raw request reaches a typed responder.
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        assert_eq!(soon("the sum", client.request_raw("add", &ADD)).await.unwrap().as_str(), "5");
    }

    async fn request_and_reply_bytes_are_as_documented() {
        let (place, server, _client) = connected().await;
        server.respond::<Add>(|Add { left, right }, _| left.checked_add(right).map(Sum).ok_or("too much")).unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        for (request, reply) in [
            (r#"{"topic":"add","message":{"left":2,"right":3},"id":7}"#, r#"{"topic":"sum","message":5,"re":7}"#),
            (r#"{"id":8,"message":{"left":2,"right":3},"topic":"add"}"#, r#"{"topic":"sum","message":5,"re":8}"#),
            // Without an id the reply has none, either. Any integer or short string is repeated as it was written.
            (r#"{"topic":"add","message":{"left":2,"right":3}}"#, r#"{"topic":"sum","message":5,"re":null}"#),
            (r#"{"topic":"add","message":{"left":2,"right":3},"id":"7"}"#, r#"{"topic":"sum","message":5,"re":"7"}"#),
            (r#"{"id":7.0,"topic":"add","message":{"left":2,"right":3}}"#, r#"{"topic":"sum","message":5,"re":7.0}"#),
            (
                r#"{"topic":"add","message":{"left":9223372036854775807,"right":1},"id":9}"#,
                r#"{"topic":"error","message":{"code":"failed","text":"too much"},"error":true,"re":9}"#,
            ),
            (
                r#"{"topic":"add","message":{"left":9223372036854775807,"right":1}}"#,
                r#"{"topic":"error","message":{"code":"failed","text":"too much"},"error":true,"re":null}"#,
            ),
            (
                r#"{"topic":"divide","message":{},"id":10}"#,
                r#"{"topic":"error","message":{"code":"no_responder","text":"no responder for `divide`"},"error":true,"re":10}"#,
            ),
        ] {
            peer.write(format!("{request}\n")).await;
            assert_eq!(peer.line().await, reply, "to {request}");
        }
        let mut ids = Events::new();
        let report = ids.reporter();
        server.on_topic("ready", move |_, client_id| report(client_id));
        peer.write("{\"topic\":\"ready\"}\n").await;
        let reply = server.request(&ADD, ids.next().await);
        assert_eq!(peer.line().await, r#"{"topic":"add","message":{"left":2,"right":3},"id":1}"#);
        peer.write("{\"re\":1,\"message\":6,\"topic\":\"sum\"}\n").await;
        assert_eq!(soon("the reply", reply).await.unwrap(), Sum(6));
    }

    async fn request_id_of_foreign_program_is_echoed_or_message_error() {
        let (place, server, _client) = connected().await;
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.kind().clone()));
        let mut requests = Events::new();
        let report = requests.reporter();
        server.on_topic("add", move |message, _| report(message.to_string()));
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        server.respond_async::<Wait>(|Wait(number), _| async move { Waited(number) }).unwrap();
        server.respond_raw("panic", Some("panicked"), |_, _| -> Result<(), ErrorReply> { panic!("on purpose") }).unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        let longest = format!("\"{}\"", "u".repeat(64));
        for id in ["7.0", "-7", "1e3", "18446744073709551616", r#""7""#, r#""""#, r#""0190a1b2-c3d4-7e5f""#, r#""\u0061\n""#, &longest] {
            for (request, reply) in [
                (r#""topic":"add","message":{"left":2,"right":3}"#, r#""topic":"sum","message":5"#),
                (r#""topic":"wait","message":8"#, r#""topic":"wait","message":8"#),
                (
                    r#""topic":"panic","message":8"#,
                    r#""topic":"error","message":{"code":"panicked","text":"the responder of `panic` panicked"},"error":true"#,
                ),
                (
                    r#""topic":"missing","message":8"#,
                    r#""topic":"error","message":{"code":"no_responder","text":"no responder for `missing`"},"error":true"#,
                ),
            ] {
                peer.write(format!("{{{request},\"id\":{id}}}\n")).await;
                assert_eq!(peer.line().await, format!("{{{reply},\"re\":{id}}}"), "to {request}");
            }
        }
        requests.rest();
        let longer = format!("\"{}\"", "u".repeat(65));
        for id in ["7.5", "null", "true", "[7]", r#"{"n":7}"#, "1e999", &longer] {
            peer.write(format!("{{\"topic\":\"add\",\"message\":{{\"left\":2,\"right\":3}},\"id\":{id}}}\n")).await;
            let kind = errors.next().await;
            assert_eq!(kind, MessageErrorKind::RequestId { topic: "add".into(), id: id.to_owned() });
        }
        // Without a responder, `id` is a key of the program's own.
        let mut news = Events::new();
        let report = news.reporter();
        server.on_topic("news", move |message, _| report(message.to_string()));
        peer.write("{\"topic\":\"news\",\"message\":1,\"id\":null}\n").await;
        assert_eq!(news.next().await, "1");
        peer.write("{\"topic\":\"add\",\"message\":{\"left\":2,\"right\":3},\"id\":1}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"sum","message":5,"re":1}"#);
        assert_eq!(requests.rest().len(), 1, "a message error calls no listener");
        assert!(errors.rest().is_empty());
        // A program that writes numbers as floats returns the id as a float.
        let mut ids = Events::new();
        let report = ids.reporter();
        server.on_topic("ready", move |_, client_id| report(client_id));
        peer.write("{\"topic\":\"ready\"}\n").await;
        let reply = server.request(&ADD, ids.next().await);
        assert_eq!(peer.line().await, r#"{"topic":"add","message":{"left":2,"right":3},"id":1}"#);
        peer.write("{\"topic\":\"sum\",\"message\":6,\"re\":1.0}\n").await;
        assert_eq!(soon("the reply", reply).await.unwrap(), Sum(6));
    }

    async fn request_over_limit_with_string_id_gets_error_reply() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_message_len(1_000).build();
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        let id = format!("\"{}\"", "u".repeat(64));
        peer.write(format!("{{\"topic\":\"add\",\"message\":\"{}\",\"id\":{id}}}\n", "x".repeat(100_000))).await;
        let line = peer.line().await;
        assert!(line.ends_with(&format!(",\"error\":true,\"re\":{id}}}")), "{line}");
    }

    async fn reply_with_topic_error_is_no_error_reply() {
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "inspect", reply = Problems, reply_topic = "error")]
        struct Inspect(u8);
        /// The message of any error reply decodes as this, too.
        #[derive(Topic, Serialize, Deserialize, Debug, PartialEq, Default)]
        #[topic = "error"]
        #[serde(default)]
        struct Problems { count: u64 }

        let (place, server, client) = connected().await;
        let error = failed(client.request(&Inspect(0))).await;
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
        let respond = |Inspect(number), _| match number {
            0 => Ok(Problems { count: 3 }),
            1 => Err("failed on purpose"),
            _ => panic!("on purpose"),
        };
        server.respond::<Inspect>(respond).unwrap();
        assert_eq!(soon("a reply", client.request(&Inspect(0))).await.unwrap(), Problems { count: 3 });
        let error = failed(client.request(&Inspect(1))).await;
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "failed"), "{error:?}");
        let error = failed(client.request(&Inspect(2))).await;
        assert!(matches!(error, RequestError::ResponderPanicked { .. }), "{error:?}");

        // The key marks an error reply under any topic. Older versions write no key: then the topic `error` marks it,
        // unless the reply has that topic.
        let mut peer = RawPeer::connect(place.socket()).await;
        let mut ids = Events::new();
        let report = ids.reporter();
        server.on_topic("ready", move |_, client_id| report(client_id));
        peer.write("{\"topic\":\"ready\"}\n").await;
        let id = ids.next().await;
        let error_reply = r#"{"code":"busy","text":"later"}"#;
        for (number, topic, key) in [(1, "sum", r#","error":true"#), (2, "error", ""), (3, "error", r#","error":true"#), (4, "else", r#","error":true"#)] {
            let reply = server.request(&ADD, id);
            peer.line().await;
            peer.write(format!("{{\"topic\":\"{topic}\",\"message\":{error_reply}{key},\"re\":{number}}}\n")).await;
            let error = failed(reply).await;
            assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "busy" && reply.text() == "later"), "{error:?}");
        }
        for (number, key, is_error) in [(5, "", false), (6, r#","error":true"#, true), (7, r#","error":false"#, false)] {
            let reply = server.request(&Inspect(0), id);
            peer.line().await;
            peer.write(format!("{{\"topic\":\"error\",\"message\":{{\"code\":\"busy\",\"text\":\"later\"}}{key},\"re\":{number}}}\n")).await;
            assert_eq!(soon("a reply", reply).await.is_err(), is_error, "{key}");
        }
        let reply = server.request_raw("anything", &1, id);
        peer.line().await;
        peer.write(format!("{{\"topic\":\"reply\",\"message\":{error_reply},\"error\":true,\"re\":8}}\n")).await;
        let error = failed(reply).await;
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "busy"), "{error:?}");
    }

    async fn respond_reply_to_itself_on_both_ends_is_not_answered_again() {
        let (_place, server, client) = connected().await;
        let calls = Arc::new(AtomicUsize::new(0));
        let (on_server, on_client) = (Arc::clone(&calls), Arc::clone(&calls));
        let count = move |calls: &AtomicUsize| Ok::<_, ErrorReply>(calls.fetch_add(1, Ordering::SeqCst));
        server.respond_raw("x", Some("x"), move |_, _| count(&on_server)).unwrap();
        client.respond_raw("x", Some("x"), move |_| count(&on_client)).unwrap();
        let mut received = Events::new();
        let report = received.reporter();
        client.on_topic("x", move |message| report(message.to_string()));
        client.send_raw("x", &1).unwrap();
        assert_eq!(received.next().await, "0", "a listener receives the reply");
        soon("a round trip", client.request_raw("x", &1)).await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 2, "no responder is called for a reply");
    }

    async fn requests_500_pending_each_gets_its_own_reply() {
        let (_place, server, client) = connected().await;
        let gate = gated(&server);
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        let replies: Vec<_> = (0..500).map(|number| client.request(&Wait(number))).collect();
        // A later request with an immediate reply does not wait for them.
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
        gate.add_permits(500);
        let replies = soon("all replies", join_all(replies)).await;
        for (number, reply) in replies.into_iter().enumerate() {
            assert_eq!(reply.unwrap(), Waited(number as u64));
        }
        assert_eq!(client.stats().late_replies, 0);
    }

    async fn request_fails_in_any_way_returns_its_own_error() {
        let (_place, server, client) = connected().await;
        let mut panics = Events::new();
        let report = panics.reporter();
        server.on_error(move |error| report(error.to_string()));
        let mut undecodable = Events::new();
        let report = undecodable.reporter();
        server.on_message_error(move |error, _| report(error.to_string()));
        server.respond::<Add>(|Add { left, right }, _| match (left, right) {
            (0, _) => panic!("nothing to add to"),
            (_, 0) => Err(ErrorReply::new("nothing_to_add", "add something")),
            _ => Ok(Sum(left + right)),
        }).unwrap();
        server.respond_async::<Wait>(|Wait(number), _| async move {
            tokio::task::yield_now().await;
            assert_ne!(number, 0, "not that one");
            Err::<Waited, _>(std::io::Error::other("no time"))
        }).unwrap();

        let error = failed(client.request_raw("divide", &1)).await;
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "divide"), "{error:?}");
        let error = failed(client.request(&Add { left: 0, right: 1 })).await;
        assert!(matches!(&error, RequestError::ResponderPanicked { topic } if topic == "add"), "{error:?}");
        assert!(panics.next().await.contains("nothing to add to"), "the panic itself is reported by the server");
        let error = failed(client.request(&Add { left: 1, right: 0 })).await;
        assert_eq!(error.to_string(), "`add` was rejected (nothing_to_add): add something");
        let error = failed(client.request(&Wait(0))).await;
        assert!(matches!(&error, RequestError::ResponderPanicked { topic } if topic == "wait"), "{error:?}");
        assert!(panics.next().await.contains("not that one"));
        let error = failed(client.request(&Wait(1))).await;
        assert_eq!(error.to_string(), "`wait` was rejected (failed): no time");
        let error = failed(client.request_raw("add", &"two and three")).await;
        assert!(matches!(&error, RequestError::RequestUndecodable { topic, text }
            if topic == "add" && text.contains("expected struct Add")), "{error:?}");
        assert!(undecodable.next().await.contains("expected struct Add"), "the server reports a message error, too");
        // The connection lives.
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
    }

    async fn reply_of_other_type_fails_the_request_of_other_topic_does_not() {
        let (_place, server, client) = connected().await;
        server.respond_raw("add", Some("sum"), |_, _| Ok("five")).unwrap();
        server.respond_raw("wait", Some("nothing of the kind"), |_, _| Ok(5)).unwrap();
        let error = failed(client.request(&ADD)).await;
        assert!(matches!(&error, RequestError::ReplyUndecodable { topic, type_name, reason }
            if topic == "add" && type_name.ends_with("Sum") && reason.contains("expected i64")), "{error:?}");
        assert_eq!(soon("the reply", client.request(&Wait(1))).await.unwrap(), Waited(5));
    }

    async fn reply_cannot_be_sent_becomes_error_reply() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_message_len(200).build();
        server.listen().await.unwrap();
        server.respond_raw("long", Some("long reply"), |_, _| Ok("x".repeat(200))).unwrap();
        server.respond_raw("worse", Some("worse reply"), |_, _| Err::<(), _>(ErrorReply::new("x", "x".repeat(200)))).unwrap();
        server.respond_raw("map", Some("map reply"), |_, _| Ok(std::collections::HashMap::from([((1, 2), 3)]))).unwrap();
        let client = Client::builder(place.socket()).request_timeout(LONG).build();
        client.connect().await.unwrap();
        for (topic, expected, says) in
            [("long", "failed", "over the limit of 200"), ("worse", "x", ""), ("map", "failed", "key must be")]
        {
            let error = failed(client.request_raw(topic, &())).await;
            assert!(matches!(&error, RequestError::Rejected { reply, .. }
                if reply.code() == expected && reply.text().contains(says)), "{topic}: {error:?}");
        }
        // An error reply that loses its text keeps its code.
        let strict = Place::new();
        let server = Server::builder(strict.socket()).max_message_len(90).build();
        server.listen().await.unwrap();
        let client = Client::builder(strict.socket()).request_timeout(LONG).build();
        client.connect().await.unwrap();
        let error = failed(client.request_raw("without a responder", &())).await;
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
    }

    async fn request_without_connection_returns_send_error() {
        let (place, server, client) = connected().await;
        let stranger = Client::new(place.socket());
        let error = failed(stranger.request(&ADD)).await;
        assert!(matches!(error, RequestError::Send(SendError::NotConnected { .. })), "{error:?}");
        let id = server.clients()[0];
        let mut gone = Events::new();
        let report = gone.reporter();
        server.on_connection_close(move |_, _| report(()));
        client.close().await;
        let error = failed(client.request(&ADD)).await;
        assert!(matches!(error, RequestError::Send(SendError::Closed { .. })), "{error:?}");
        gone.next().await;
        let error = failed(server.request(&ADD, id)).await;
        assert!(matches!(error, RequestError::Send(SendError::UnknownClient { .. })), "{error:?}");
        server.close().await;
        let error = failed(server.request(&ADD, id)).await;
        assert!(matches!(error, RequestError::Send(SendError::Closed { .. })), "{error:?}");
    }

    async fn request_over_max_requests_returns_error_until_a_reply() {
        let (place, server, _client) = connected().await;
        let gate = gated(&server);
        let client = Client::builder(place.socket()).max_requests(2).request_timeout(LONG).build();
        client.connect().await.unwrap();
        let replies = [client.request(&Wait(1)), client.request(&Wait(2))];
        let error = failed(client.request(&Wait(3))).await;
        assert!(matches!(&error, RequestError::TooManyRequests { topic, limit: 2 } if topic == "wait"), "{error:?}");
        gate.add_permits(2);
        soon("the replies", join_all(replies)).await;
        gate.add_permits(1);
        assert_eq!(soon("the reply", client.request(&Wait(4))).await.unwrap(), Waited(4));
    }

    async fn connection_lost_pending_requests_fail_at_once() {
        let (place, server, client) = connected().await;
        let gate = gated(&server);
        let replies: Vec<_> = (0..100).map(|number| client.request(&Wait(number))).collect();
        let listening = client.request(&Wait(100));
        gate.add_permits(101);
        soon("the reply", listening).await.unwrap();
        drop(replies);
        let replies: Vec<_> = (0..100).map(|number| client.request(&Wait(number))).collect();
        drop(server);
        for reply in replies {
            let error = failed(reply).await;
            assert!(matches!(&error, RequestError::ConnectionLost { topic, cause: CloseCause::PeerClosed }
                if topic == "wait"), "{error:?}");
        }
        // The next connection has its own.
        let server = Server::new(place.socket());
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        let mut back = Events::new();
        let report = back.reporter();
        client.on_reconnect(move || report(()));
        server.listen().await.unwrap();
        back.next().await;
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
    }

    async fn client_close_pending_request_fails_at_once() {
        let (_place, server, client) = connected().await;
        let _gate = gated(&server);
        let reply = client.request(&Wait(1));
        let closing = client.close();
        let error = failed(reply).await;
        assert!(matches!(&error, RequestError::ConnectionLost { cause: CloseCause::Closed, .. }), "{error:?}");
        // The running responder does not delay the client that has left.
        soon("the close", closing).await;
    }

    async fn request_dropped_or_timed_out_counts_a_late_reply() {
        /// `Wait` for a requester that does not cancel.
        #[derive(Topic, Serialize)]
        #[topic(name = "wait", reply = Waited, no_cancel)]
        struct Stubborn(u64);

        let (_place, server, client) = connected().await;
        let gate = gated(&server);
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        drop(client.request(&Stubborn(1)));
        let error = failed(client.request(&Stubborn(2)).timeout(Duration::ZERO)).await;
        assert!(matches!(&error, RequestError::Timeout { topic, timeout: Duration::ZERO } if topic == "wait"), "{error:?}");
        gate.add_permits(2);
        let last = client.request(&Wait(3));
        gate.add_permits(1);
        soon("the reply", last).await.unwrap();
        assert_eq!(client.stats().late_replies, 2);
    }

    async fn async_listener_requests_over_its_own_connection() {
        let (_place, server, client) = connected().await;
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        let mut received = Events::new();
        let (report, requesting) = (received.reporter(), client.handle());
        client.on_async::<Waited>(move |Waited(number)| {
            let (report, reply) = (report.clone(), requesting.request(&Add { left: number as i64, right: 1 }));
            async move { report(reply.await.unwrap().0) }
        });
        let id = server.clients()[0];
        for number in 0..100 {
            server.send(&Waited(number), id).unwrap();
        }
        assert_eq!(received.take(100).await, (1..=100).collect::<Vec<_>>());
        assert_eq!(client.stats().late_replies, 0);
    }

    async fn reply_key_with_escapes_behind_held_message_is_found() {
        let place = Place::new();
        let listener = tokio::net::UnixListener::bind(place.socket()).unwrap();
        let client = Client::builder(place.socket()).request_timeout(LONG).build();
        let mut replies = Events::new();
        let (report, requesting) = (replies.reporter(), client.handle());
        client.on_async::<Waited>(move |_| {
            let (report, reply) = (report.clone(), requesting.request(&ADD));
            async move { report(reply.await.unwrap().0) }
        });
        client.connect().await.unwrap();
        let mut server = RawPeer::over(listener.accept().await.unwrap().0);
        for (number, key) in ["re", r"r\u0065", r"\u0072e", r"\u0072\u0065"].into_iter().enumerate() {
            server.write("{\"topic\":\"waited\",\"message\":1}\n").await;
            let id = number + 1;
            assert!(server.line().await.ends_with(&format!("\"id\":{id}}}")));
            server.write(format!("{{\"topic\":\"sum\",\"message\":{id},\"{key}\":{id}}}\n")).await;
            assert_eq!(replies.next().await, id as i64);
        }
    }

    async fn responder_requests_back_recursively() {
        let (_place, server, client) = connected().await;
        let requesting = server.handle();
        server.respond_async::<Wait>(move |Wait(number), client_id| {
            let reply = (number > 0).then(|| requesting.request(&Wait(number - 1), client_id));
            async move {
                match reply {
                    Some(reply) => reply.await.map(|Waited(below)| Waited(below + 1)),
                    None => Ok(Waited(0)),
                }
            }
        }).unwrap();
        let requesting = client.handle();
        client.respond_async::<Wait>(move |Wait(number)| {
            requesting.request(&Wait(number))
        }).unwrap();
        assert_eq!(soon("the depth", client.request(&Wait(50))).await.unwrap(), Waited(50));
    }

    async fn reply_behind_full_subscription_arrives() {
        let (_place, server, client) = connected().await;
        let handle = server.handle();
        server.respond::<Add>(move |Add { left, right }, client_id| {
            for number in 0..1_000 {
                handle.send(&Waited(number), client_id).unwrap();
            }
            Sum(left + right)
        }).unwrap();
        let mut subscription = client.subscribe::<Waited>();
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
        for number in 0..1_000 {
            assert_eq!(soon("a message", subscription.next()).await, Some(Waited(number)));
        }
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
        assert_eq!(client.stats().late_replies, 0);
    }

    async fn client_reads_no_replies_its_requests_wait_until_it_reads() {
        const LEN: usize = 100_000;
        let place = Place::new();
        let server = Server::builder(place.socket()).outbox_len(4 * LEN).build();
        server.listen().await.unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        server.respond_raw("long", Some("long reply"), move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok("x".repeat(LEN))
        }).unwrap();
        let mut pings = Events::new();
        let report = pings.reporter();
        server.on_topic("ping", move |_, _| report(()));
        let mut greedy = RawPeer::connect(place.socket()).await;
        let requests: String = (0..50).map(|id| format!("{{\"topic\":\"long\",\"message\":0,\"id\":{id}}}\n")).collect();
        greedy.write(requests).await;
        // The server dispatches messages of another client meanwhile. By then it has read the requests of the first
        // one.
        let mut other = RawPeer::connect(place.socket()).await;
        for _ in 0..50 {
            other.write("{\"topic\":\"ping\"}\n").await;
            pings.next().await;
        }
        // What fills the outbox, one reply over its limit, and what the kernel holds.
        let most = 4 + 1 + 400_000 / LEN + 1;
        assert!((1..=most).contains(&calls.load(Ordering::Relaxed)), "{calls:?} calls");
        for id in 0..50 {
            assert!(greedy.line().await.ends_with(&format!(",\"re\":{id}}}")));
        }
        assert_eq!(calls.load(Ordering::Relaxed), 50);
    }

    async fn client_gone_with_unread_replies_is_disconnected() {
        let place = Place::new();
        let server = Server::builder(place.socket()).outbox_len(1_000).build();
        server.listen().await.unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        server
            .respond_raw("long", Some("long reply"), move |_, _| {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok("x".repeat(500_000))
            })
            .unwrap();
        let mut gone = Events::new();
        let report = gone.reporter();
        server.on_connection_close(move |_, reason| report(reason.unsent_bytes));
        for _ in 0..3 {
            let mut greedy = RawPeer::connect(place.socket()).await;
            greedy.write("{\"topic\":\"long\",\"message\":0,\"id\":1}\n".repeat(10_000)).await;
            drop(greedy);
            let unsent = gone.next().await;
            assert!((1..2_000_000).contains(&unsent), "{unsent} bytes were queued for a client that is gone");
        }
        assert_eq!(server.stats().outbox_len, 0);
    }

    async fn async_listener_requests_more_than_read_ahead_gets_replies() {
        let (_place, server, client) = connected().await;
        server.respond_raw("long", Some("long reply"), |len, _| Ok("x".repeat(len.decode()?))).unwrap();
        let mut received = Events::new();
        let (report, requesting) = (received.reporter(), client.handle());
        client.on_async::<Waited>(move |Waited(len)| {
            let (report, requesting) = (report.clone(), requesting.clone());
            async move {
                for _ in 0..40 {
                    let reply = requesting.request_raw("long", &len).await;
                    report(reply.map(|text| text.as_str().len()).map_err(|error| error.to_string()));
                }
            }
        });
        let id = server.clients()[0];
        for len in [100_000, 2_000_000] {
            server.send(&Waited(len), id).unwrap();
            for _ in 0..40 {
                assert_eq!(received.next().await, Ok(len as usize + 2));
            }
        }
    }

    async fn requests_both_ways_larger_than_outbox_all_get_replies() {
        let (_place, server, client) = connected().await;
        server.respond_raw("long", Some("long reply"), |_, _| Ok("x".repeat(2_000_000))).unwrap();
        client.respond_raw("long", Some("long reply"), |_| Ok("y".repeat(2_000_000))).unwrap();
        let id = server.clients()[0];
        let replies: Vec<_> = (0..10)
            .flat_map(|_| [client.request_raw("long", &()), server.request_raw("long", &(), id)])
            .collect();
        for reply in soon("all replies", join_all(replies)).await {
            assert_eq!(reply.unwrap().as_str().len(), 2_000_002);
        }
    }

    async fn request_over_limit_of_peer_fails_at_once() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_message_len(100_000).max_topic_len(50).build();
        server.listen().await.unwrap();
        server.respond_raw("long", Some("long reply"), |len, _| Ok("x".repeat(len.decode()?))).unwrap();
        let client = Client::builder(place.socket())
            .max_topic_len(1_000)
            .max_message_len(90_000)
            .request_timeout(LONG)
            .build();
        let requesting = Client::builder(place.socket()).request_timeout(LONG).build();
        client.connect().await.unwrap();
        requesting.connect().await.unwrap();
        let error = failed(client.request_raw(&"t".repeat(60), &())).await;
        assert!(matches!(&error, RequestError::RequestUndecodable { text, .. }
            if text.contains("60 bytes, over the limit of 50")), "{error:?}");
        let error = failed(requesting.request_raw("long", &"x".repeat(300_000))).await;
        assert!(matches!(&error, RequestError::RequestUndecodable { text, .. }
            if text.contains("over the limit of 100000")), "{error:?}");
        let error = failed(client.request_raw("long", &95_000)).await;
        assert!(matches!(&error, RequestError::ReplyUndecodable { reason, .. }
            if reason.contains("over the limit of 90000")), "{error:?}");
        // Both connections live.
        for client in [client, requesting] {
            assert_eq!(soon("a reply", client.request_raw("long", &1)).await.unwrap().as_str(), "\"x\"");
        }
    }

    async fn reply_over_limit_fails_however_it_arrives() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_message_len(1_000_000).outbox_len(100_000).build();
        let gate = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&gate);
        server.respond_raw("long", Some("long reply"), |_, _| Ok("x".repeat(900_000))).unwrap();
        server.respond_async::<Wait>(move |Wait(number), _| {
            let opened = Arc::clone(&opened);
            async move {
                opened.acquire().await.unwrap().forget();
                Waited(number)
            }
        }).unwrap();
        let mut here = Events::new();
        let report = here.reporter();
        server.on_topic("here", move |_, client_id| report(client_id));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"here\"}\n").await;
        let reply = server.request(&ADD, here.next().await);
        // The beginning of the reply is discarded. Its end arrives while unread replies hold messages back.
        peer.write(format!("{{\"topic\":\"sum\",\"message\":\"{}", "a".repeat(1_500_000))).await;
        peer.write("bbb\",\"re\":1}\n{\"topic\":\"long\",\"id\":7}\n").await;
        let error = failed(reply).await;
        assert!(matches!(&error, RequestError::ReplyUndecodable { reason, .. } if reason.contains("over the limit of 1000000")), "{error:?}");
        gate.add_permits(1);
    }

    async fn malformed_reply_inside_listener_fails_at_once() {
        let (place, server, _client) = connected().await;
        let mut received = Events::new();
        let (report, requesting) = (received.reporter(), server.handle());
        server.on_async::<Waited>(move |Waited(_), client_id| {
            let (report, reply) = (report.clone(), requesting.request(&ADD, client_id));
            async move { report(reply.await.unwrap_err()) }
        });
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"waited\",\"message\":1}\n").await;
        peer.line().await;
        peer.write("{\"topic\":\"sum\",\"message\":nope,\"re\":1}\n").await;
        let error = received.next().await;
        assert!(matches!(error, RequestError::ReplyUndecodable { .. }), "{error:?}");
    }

    async fn responder_removed_while_request_is_held_gets_no_responder() {
        let (_place, server, client) = connected().await;
        let responder = Arc::new(std::sync::OnceLock::new());
        let (known, handle) = (Arc::clone(&responder), server.handle());
        server.on_async::<Add>(move |_, _| {
            let (known, handle) = (Arc::clone(&known), handle.clone());
            async move {
                tokio::task::yield_now().await;
                handle.off(*known.get().unwrap());
            }
        });
        responder.set(server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap()).unwrap();
        let error = failed(client.request(&ADD)).await;
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
    }

    async fn server_close_sends_all_replies_ready_in_time() {
        let (_place, server, client) = connected().await;
        let gate = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&gate);
        server.respond_async::<Wait>(move |Wait(_), _| {
            let opened = Arc::clone(&opened);
            async move {
                opened.acquire().await.unwrap().forget();
                // A long reply.
                Err::<Waited, _>(ErrorReply::new("long", "x".repeat(20_000)))
            }
        }).unwrap();
        let mut received = Events::new();
        let report = received.reporter();
        server.on_topic("wait", move |_, _| report(()));
        let replies: Vec<_> = (0..100).map(|number| client.request(&Wait(number))).collect();
        received.take(100).await;
        let closing = server.close();
        gate.add_permits(100);
        for reply in replies {
            let error = failed(reply).await;
            assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "long"), "{error:?}");
        }
        soon("the close", closing).await;
    }

    async fn request_timeout_passed_cannot_be_extended() {
        let (_place, server, client) = connected().await;
        let _gate = gated(&server);
        let reply = client.request(&Wait(1)).timeout(Duration::ZERO);
        // Sent later, and due later: both are overdue by now.
        failed(client.request(&Wait(2)).timeout(Duration::from_millis(1))).await;
        let error = failed(reply.timeout(LONG)).await;
        assert!(matches!(&error, RequestError::Timeout { timeout: Duration::ZERO, .. }), "{error:?}");
    }

    async fn responders_running_stay_within_max_requests() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_requests(3).build();
        server.listen().await.unwrap();
        let gate = gated(&server);
        let mut received = Events::new();
        let report = received.reporter();
        server.on_topic("wait", move |_, _| report(()));
        let mut peer = RawPeer::connect(place.socket()).await;
        let requests: String = (0..5).map(|id| format!("{{\"topic\":\"wait\",\"message\":{id},\"id\":{id}}}\n")).collect();
        peer.write(requests).await;
        received.take(3).await;
        let mut other = RawPeer::connect(place.socket()).await;
        other.write("{\"topic\":\"wait\",\"message\":9,\"id\":9}\n").await;
        received.next().await;
        assert!(received.rest().is_empty(), "a fourth was dispatched");
        gate.add_permits(6);
        assert_eq!(received.take(2).await.len(), 2);
        let mut replies = [peer.line().await, peer.line().await, peer.line().await, peer.line().await, peer.line().await];
        replies.sort();
        assert_eq!(replies[4], r#"{"topic":"wait","message":4,"re":4}"#);
    }

    async fn client_half_closed_still_gets_reply() {
        let (place, server, _client) = connected().await;
        let gate = gated(&server);
        let mut received = Events::new();
        let report = received.reporter();
        server.on_connection_close(move |_, reason| report(reason.unsent_messages));
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"wait\",\"message\":1,\"id\":1}\n").await;
        tokio::io::AsyncWriteExt::shutdown(&mut peer.stream).await.unwrap();
        gate.add_permits(1);
        assert_eq!(peer.closed().await, b"{\"topic\":\"wait\",\"message\":1,\"re\":1}\n");
        assert_eq!(received.next().await, 0);
    }

    async fn server_close_waits_for_running_responder() {
        let (_place, server, client) = connected().await;
        let gate = gated(&server);
        let mut received = Events::new();
        let report = received.reporter();
        server.on_topic("wait", move |_, _| report(()));
        let reply = client.request(&Wait(1));
        received.next().await;
        let closing = server.close();
        gate.add_permits(1);
        assert_eq!(soon("the reply", reply).await.unwrap(), Waited(1));
        soon("the close", closing).await;
    }

    async fn server_close_does_not_wait_for_responder_awaiting_it() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        let (report, handle) = (received.reporter(), server.handle());
        server.respond_async::<Wait>(move |Wait(number), _| {
            let (report, closing) = (report.clone(), handle.close());
            async move {
                closing.await;
                report("closed");
                Waited(number)
            }
        }).unwrap();
        let error = failed(client.request(&Wait(1))).await;
        assert!(matches!(error, RequestError::ConnectionLost { .. }), "{error:?}");
        assert_eq!(received.next().await, "closed");
        soon("the close", server.closed()).await;
    }

    async fn client_gone_running_responder_is_dropped_and_place_is_free() {
        struct Dropped(Box<dyn Fn() + Send + Sync>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0();
            }
        }
        let place = Place::new();
        let server = Server::builder(place.socket()).max_clients(1).build();
        let mut events = Events::new();
        let report = events.reporter();
        server
            .respond_async::<Wait>(move |Wait(_), _| {
                let (started, ended) = (report.clone(), report.clone());
                async move {
                    let _dropped = Dropped(Box::new(move || ended("dropped")));
                    started("started");
                    std::future::pending::<Waited>().await
                }
            })
            .unwrap();
        let report = events.reporter();
        server.on_connection_close(move |_, _| report("closed"));
        server.listen().await.unwrap();
        for _ in 0..3 {
            let mut peer = RawPeer::connect(place.socket()).await;
            peer.write("{\"topic\":\"wait\",\"message\":1,\"id\":1}\n").await;
            assert_eq!(events.next().await, "started");
            drop(peer);
            assert_eq!(events.take(2).await, ["dropped", "closed"]);
        }
        soon("the close", server.close()).await;
    }

    async fn respond_second_time_returns_error_until_first_is_removed() {
        let (_place, server, client) = connected().await;
        let first = server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        let RegisterError::AlreadyRegistered { topic, existing, rejected } =
            server.respond_raw("add", Some("sum"), |_, _| Ok(0)).unwrap_err() else { panic!("another error") };
        assert_eq!((topic.as_str(), rejected), ("add", "RawMessage"));
        assert!(existing.ends_with("::Add"), "{existing}");
        assert!(server.off(first));
        assert!(matches!(failed(client.request(&ADD)).await, RequestError::NoResponder { .. }));
        server.respond::<Add>(|Add { left, right }, _| Sum(left - right)).unwrap();
        assert_eq!(soon("the difference", client.request(&ADD)).await.unwrap(), Sum(-1));
    }

    async fn listeners_get_requests_but_no_replies() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        let report = received.reporter();
        server.on_message(move |_, topic, _| report(format!("server: every {topic}")));
        let report = received.reporter();
        server.on::<Add>(move |Add { left, .. }, _| report(format!("server: {left}")));
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        let report = received.reporter();
        client.on_message(move |_, topic| report(format!("client: every {topic}")));
        let report = received.reporter();
        client.on::<Sum>(move |Sum(sum)| report(format!("client: {sum}")));
        soon("the sum", client.request(&ADD)).await.unwrap();
        assert_eq!(received.take(2).await, ["server: every add", "server: 2"]);
        // The reply to a request without an id is a message like any other.
        client.send(&ADD).unwrap();
        assert_eq!(received.take(4).await[2..], ["client: every sum", "client: 5"]);
        assert!(received.rest().is_empty());
    }

    async fn reply_future_without_runtime_resolves() {
        let (_place, server, client) = connected().await;
        let gate = gated(&server);
        let (reply, overdue) = (client.request(&Wait(1)), client.request(&Wait(2)).timeout(Duration::from_millis(1)));
        let mut received = Events::new();
        let report = received.reporter();
        std::thread::spawn(move || {
            report(futures::executor::block_on(overdue));
            report(futures::executor::block_on(reply));
        });
        let overdue = received.next().await;
        assert!(matches!(overdue, Err(RequestError::Timeout { .. })), "{overdue:?}");
        gate.add_permits(2);
        assert_eq!(received.next().await.unwrap(), Waited(1));
    }
}

/// In memory, on a paused clock.
#[tokio::test(start_paused = true)]
async fn request_timeout_default_and_own_are_kept() {
    let server = Server::new("in memory");
    let _gate = gated(&server);
    let acceptor = server.handle();
    let client = Client::builder("in memory")
        .connector(move || {
            let (ours, theirs) = tokio::io::duplex(1024);
            let served = acceptor.serve_connection(theirs).map_err(std::io::Error::other);
            async move { served.map(|_| ours) }
        })
        .build();
    client.connect().await.unwrap();
    let start = tokio::time::Instant::now();
    let default = client.request(&Wait(1));
    let longer = client.request(&Wait(2)).timeout(Duration::from_secs(60));
    let error = default.await.unwrap_err();
    assert!(
        matches!(&error, RequestError::Timeout { timeout, .. } if *timeout == Duration::from_secs(10)),
        "{error:?}"
    );
    assert_eq!(start.elapsed().as_secs(), 10);
    // The timeout runs from the call, not from the await.
    assert!(matches!(longer.await, Err(RequestError::Timeout { .. })));
    assert_eq!(start.elapsed().as_secs(), 60);
}
