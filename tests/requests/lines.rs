//! The lines of requests, replies and error replies, byte for byte.

use super::*;

support::both_flavours! {
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
}
