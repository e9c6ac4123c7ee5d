//! The topics that replies travel under, and messages without an id.

use super::*;

/// Its replies travel under a topic of their own.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64, reply_topic = "sum")]
struct Add(i64, i64);

/// Its replies travel under its own.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "multiply", reply = i64)]
struct Multiply(i64, i64);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "sum"]
struct Sum(i64);

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct TooMuch {
    left: i64,
}

/// With a typed error.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "subtract", reply = i64, reply_topic = "sum", error = TooMuch)]
struct Subtract(i64, i64);

fn respond_to_all(server: &Server) {
    server.respond::<Add>(|Add(left, right), _| left.checked_add(right).ok_or("too much")).unwrap();
    server.respond::<Multiply>(|Multiply(left, right), _| left.checked_mul(right).ok_or("too much")).unwrap();
    server
        .respond::<Subtract>(|Subtract(left, right), _| left.checked_sub(right).ok_or(TooMuch { left }))
        .unwrap();
}

const MOST: i64 = i64::MAX;

support::both_flavours! {
    async fn reply_travels_under_request_topic_or_reply_topic() {
        let (place, server, client) = connected().await;
        respond_to_all(&server);
        let (mut peer, id) = raw_peer(&place, &server).await;
        peer.write("{\"topic\":\"multiply\",\"message\":[2,3],\"id\":1}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"multiply","message":6,"re":1}"#);
        peer.write("{\"topic\":\"add\",\"message\":[2,3],\"id\":2}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"sum","message":5,"re":2}"#);
        assert_eq!(soon("a reply", client.request(&Add(2, 3))).await.unwrap(), 5);
        assert_eq!(soon("a reply", client.request(&Multiply(2, 3))).await.unwrap(), 6);
        // The request itself says nothing of it.
        let reply = server.request(&Add(1, 1), id);
        assert_eq!(peer.line().await, r#"{"topic":"add","message":[1,1],"id":1}"#);
        peer.write("{\"topic\":\"sum\",\"message\":2,\"re\":1}\n").await;
        assert_eq!(soon("a reply", reply).await.unwrap(), 2);
    }

    async fn plain_message_with_reply_topic_is_answered_by_re_null() {
        let (place, server, _client) = connected().await;
        respond_to_all(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        for (message, reply) in [
            (r#"{"topic":"add","message":[2,3]}"#.to_owned(), r#"{"topic":"sum","message":5,"re":null}"#.to_owned()),
            (
                format!(r#"{{"topic":"add","message":[{MOST},1]}}"#),
                r#"{"topic":"error","message":{"code":"failed","text":"too much"},"error":true,"re":null}"#.into(),
            ),
            (
                r#"{"topic":"subtract","message":[-2,9223372036854775807]}"#.into(),
                r#"{"topic":"error","message":{"code":"failed","text":"","data":{"left":-2}},"error":true,"re":null}"#.into(),
            ),
        ] {
            peer.write(format!("{message}\n")).await;
            assert_eq!(peer.line().await, reply, "to {message}");
        }
        assert_eq!(server.stats().dropped_replies, 0);
    }

    async fn plain_message_with_reply_topic_is_answered_by_each_kind_of_responder() {
        let (place, server, _client) = connected().await;
        let (mut peer, _) = raw_peer(&place, &server).await;
        let mut asked = async |reply: &str| {
            peer.write("{\"topic\":\"add\",\"message\":[2,3]}\n").await;
            assert_eq!(peer.line().await, reply);
        };
        let token = server.respond_async::<Add>(|Add(left, right), _| async move { left + right }).unwrap();
        asked(r#"{"topic":"sum","message":5,"re":null}"#).await;
        server.off(token);
        let token = server.respond_with::<Add>(|Add(left, right), reply| reply.send(Ok(left + right)).unwrap()).unwrap();
        asked(r#"{"topic":"sum","message":5,"re":null}"#).await;
        server.off(token);
        let token = server.respond_with::<Add>(|_, reply| drop(reply)).unwrap();
        asked(r#"{"topic":"error","message":{"code":"unanswered","text":"the responder of `add` gave up the request without a reply"},"error":true,"re":null}"#).await;
        server.off(token);
        let token = server.respond_raw("add", Some("sum"), |_, _| Ok(5)).unwrap();
        asked(r#"{"topic":"sum","message":5,"re":null}"#).await;
        server.off(token);
    }

    async fn plain_message_without_reply_topic_counts_dropped_reply() {
        let (place, server, _client) = connected().await;
        let mut called = Events::new();
        let report = called.reporter();
        let token = server.respond::<Multiply>(move |Multiply(left, right), _| {
            report(left);
            left.checked_mul(right).ok_or("too much")
        }).unwrap();
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write("{\"topic\":\"multiply\",\"message\":[2,3]}\n").await;
        assert_eq!(called.next().await, 2);
        peer.write(format!("{{\"topic\":\"multiply\",\"message\":[{MOST},3]}}\n")).await;
        assert_eq!(called.next().await, MOST);
        // Nothing came before this.
        raw_ping(&mut peer).await;
        assert_eq!(server.stats().dropped_replies, 2);
        server.off(token);
        let report = called.reporter();
        let token = server.respond_async::<Multiply>(move |Multiply(left, _), _| {
            report(left);
            async move { left }
        }).unwrap();
        peer.write("{\"topic\":\"multiply\",\"message\":[4,3]}\n").await;
        assert_eq!(called.next().await, 4);
        raw_ping(&mut peer).await;
        assert_eq!(server.stats().dropped_replies, 3);
        server.off(token);
        let report = called.reporter();
        let token = server.respond_with::<Multiply>(move |Multiply(left, _), reply| {
            report(left);
            if left == 5 {
                let _ = reply.send(Ok(left));
            }
        }).unwrap();
        for (left, dropped) in [(5, 4), (6, 5)] {
            peer.write(format!("{{\"topic\":\"multiply\",\"message\":[{left},3]}}\n")).await;
            assert_eq!(called.next().await, left);
            raw_ping(&mut peer).await;
            assert_eq!(server.stats().dropped_replies, dropped);
        }
        server.off(token);
        let report = called.reporter();
        server.respond_raw("multiply", None, move |_, _| {
            report(7);
            Ok(7)
        }).unwrap();
        peer.write("{\"topic\":\"multiply\",\"message\":[4,3]}\n").await;
        assert_eq!(called.next().await, 7);
        raw_ping(&mut peer).await;
        assert_eq!(server.stats().dropped_replies, 6);
    }

    async fn message_with_re_null_reaches_listeners_but_no_responder() {
        let (place, server, _client) = connected().await;
        let mut called = Events::new();
        let report = called.reporter();
        server.respond_raw("sum", Some("sum"), move |message, _| {
            report(format!("responder {message}"));
            Ok(1)
        }).unwrap();
        let report = called.reporter();
        server.on::<Sum>(move |Sum(sum), _| report(format!("listener {sum}")));
        let report = called.reporter();
        server.on_topic("sum", move |message, _| report(format!("raw {message}")));
        let (mut peer, _) = raw_peer(&place, &server).await;
        for line in [
            r#"{"topic":"sum","message":5,"re":null}"#,
            r#"{"re":null,"topic":"sum","message":5}"#,
            r#"{"message":5,"re": null ,"topic":"sum"}"#,
            r#"{"topic":"sum","message":5,"r\u0065":null}"#,
        ] {
            peer.write(format!("{line}\n")).await;
            let mut both = called.take(2).await;
            both.sort();
            assert_eq!(both, ["listener 5", "raw 5"], "{line}");
            raw_ping(&mut peer).await;
        }
        assert!(called.rest().is_empty(), "no responder was called");
        assert_eq!(server.stats().dropped_replies, 0);
        // The same without the key gets a reply.
        peer.write("{\"topic\":\"sum\",\"message\":5}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"sum","message":1,"re":null}"#);
    }

    async fn plain_replies_reach_listeners_of_client() {
        let (_place, server, client) = connected().await;
        respond_to_all(&server);
        let mut received = Events::new();
        let report = received.reporter();
        client.on::<Sum>(move |Sum(sum)| report(sum.to_string()));
        let report = received.reporter();
        client.on_topic("error", move |message| report(message.to_string()));
        client.respond_raw("sum", Some("sum"), |_| Ok(0)).unwrap();
        client.respond_raw("error", Some("error"), |_| Ok(0)).unwrap();
        client.send(&Add(2, 3)).unwrap();
        assert_eq!(received.next().await, "5");
        client.send(&Add(MOST, 3)).unwrap();
        assert_eq!(received.next().await, r#"{"code":"failed","text":"too much"}"#);
        ping(&client).await;
        assert!(received.rest().is_empty());
        assert_eq!(client.stats().late_replies, 0);
    }

    async fn topic_error_is_usable() {
        #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
        #[topic = "error"]
        struct Problem {
            line: u64,
        }
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "check", reply = Problem, reply_topic = "error")]
        struct Check(u64);

        let (place, server, client) = connected().await;
        let mut problems = Events::new();
        let report = problems.reporter();
        server.on::<Problem>(move |problem, _| report(problem.line));
        client.send(&Problem { line: 3 }).unwrap();
        assert_eq!(problems.next().await, 3);
        let token = server.respond::<Check>(|Check(line), _| if line > 0 { Ok(Problem { line }) } else { Err("no line 0") }).unwrap();
        assert_eq!(soon("a reply", client.request(&Check(4))).await.unwrap(), Problem { line: 4 });
        let error = failed(client.request(&Check(0))).await;
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.text() == "no line 0"), "{error:?}");
        server.off(token);
        // As the topic of a request, too.
        server.respond_raw("error", None, |message, _| Ok(message.into_owned())).unwrap();
        let reply = soon("a reply", client.request_raw("error", &[1])).await.unwrap();
        assert_eq!(reply.as_str(), "[1]");
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write("{\"topic\":\"error\",\"message\":{\"line\":1},\"id\":1}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"error","message":{"line":1},"re":1}"#);
    }

    async fn reply_with_error_key_or_under_error_is_an_error() {
        let (place, server, _client) = connected().await;
        let (mut peer, id) = raw_peer(&place, &server).await;
        // (what the peer replies to `add`, whether that is an error)
        for (number, (reply, is_error)) in [
            (r#""topic":"sum","message":5"#, false),
            (r#""topic":"add","message":5"#, false),
            (r#""topic":"else","message":5,"error":false"#, false),
            (r#""topic":"sum","message":{"code":"busy","text":"later"},"error":true"#, true),
            (r#""topic":"error","message":{"code":"busy","text":"later"},"error":true"#, true),
            (r#""error":true,"message":{"code":"busy","text":"later"},"topic":"x""#, true),
            (r#""topic":"error","message":{"code":"busy","text":"later"}"#, true),
        ].into_iter().enumerate() {
            let pending = server.request(&Add(2, 3), id);
            peer.line().await;
            peer.write(format!("{{{reply},\"re\":{}}}\n", number + 1)).await;
            match soon("a reply", pending).await {
                Ok(5) => assert!(!is_error, "{reply}"),
                Err(RequestError::Rejected { reply: error, .. }) => assert!(is_error && error.code() == "busy", "{reply}"),
                other => panic!("{reply}: {other:?}"),
            }
        }
    }

    async fn describe_and_stats_of_a_shell_are_answered() {
        let (place, server, _client) = connected_with(|server| server.describe(), |client| client).await;
        let (mut peer, _) = raw_peer(&place, &server).await;
        for topic in ["socket-ipc.describe", "socket-ipc.stats"] {
            peer.write(format!("{{\"topic\":\"{topic}\"}}\n")).await;
            let line = peer.line().await;
            assert!(line.starts_with("{\"topic\":\"socket-ipc.") && line.ends_with(",\"re\":null}"), "{line}");
        }
    }
}
