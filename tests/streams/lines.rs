//! The lines of a stream, byte for byte, at either end.

use socket_ipc::{MessageErrorKind, Wire};
use tokio::net::UnixListener;

use super::*;

/// A client of a raw server: the place, the peer, and the client.
async fn client_of_raw_server() -> (Place, RawPeer, Client) {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let client = Client::builder(place.socket()).request_timeout(LONG).build();
    let (accepted, connected) = tokio::join!(listener.accept(), client.connect());
    connected.unwrap();
    (place, RawPeer::over(accepted.unwrap().0), client)
}

support::both_flavours! {
    async fn lines_of_stream_requested_by_a_raw_peer_are_those_of_the_contract() {
        let (place, _server, _client) = connected().await;
        let mut peer = raw_peer(&place).await;
        for (window, id) in [("262144", "8"), ("null", "\"a-8\""), ("1e6", "8.0"), ("0.0", "9")] {
            peer.write(&format!("{{\"topic\":\"count\",\"message\":{{\"to\":2}},\"window\":{window},\"id\":{id}}}\n")).await;
            assert_eq!(peer.line().await, format!(r#"{{"topic":"count","started":true,"re":{id}}}"#));
            if window == "0.0" {
                raw_ping(&mut peer).await;
                peer.write(&format!("{{\"topic\":\"socket-ipc.more\",\"message\":[{id},200],\"re\":0}}\n")).await;
            }
            for item in 0..2 {
                assert_eq!(peer.line().await, format!(r#"{{"topic":"count","message":{item},"more":true,"re":{id}}}"#));
            }
            assert_eq!(peer.line().await, format!(r#"{{"topic":"count","message":null,"re":{id}}}"#));
        }
        raw_ping(&mut peer).await;
    }

    async fn lines_of_failing_stream_end_with_an_error_reply() {
        let (place, _server, _client) = connected().await;
        let mut peer = raw_peer(&place).await;
        peer.write("{\"window\":null,\"id\":1,\"message\":{\"after\":1,\"with\":\"Silent\"},\"topic\":\"fail\"}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"fail","started":true,"re":1}"#);
        assert_eq!(peer.line().await, r#"{"topic":"fail","message":0,"more":true,"re":1}"#);
        assert_eq!(
            peer.line().await,
            r#"{"topic":"error","message":{"code":"failed","text":"the failure Silent","data":"Silent"},"error":true,"re":1}"#
        );
        raw_ping(&mut peer).await;
    }

    async fn lines_of_a_client_are_those_of_the_contract() {
        let (_place, mut server, client) = client_of_raw_server().await;
        let mut items = client.request_stream(&Count { to: 3 }).window(1000);
        let (started, ()) = tokio::join!(soon("the start", items.started()), async {
            assert_eq!(server.line().await, r#"{"topic":"count","message":{"to":3},"window":1000,"id":1}"#);
            server.write("{\"topic\":\"count\",\"started\":true,\"re\":1}\n").await;
        });
        started.unwrap();
        // Another program may leave out what is plain, and write the keys in any order.
        server.write("{\"topic\":\"count\",\"message\":5,\"more\":true,\"re\":1}\n{\"re\":1,\"more\":true,\"message\":6,\"topic\":\"x\"}\n").await;
        assert_eq!(next(&mut items).await.unwrap().unwrap(), 5);
        assert_eq!(next(&mut items).await.unwrap().unwrap(), 6);
        drop(items);
        assert_eq!(server.line().await, r#"{"topic":"socket-ipc.cancel","message":1,"re":0}"#);
        let mut items = client.request_stream_raw("count", &1);
        let (end, ()) = tokio::join!(next(&mut items), async {
            assert_eq!(server.line().await, r#"{"topic":"count","message":1,"window":262144,"id":2}"#);
            server.write("{\"topic\":\"count\",\"started\":true,\"re\":2}\n{\"message\":null,\"re\":2,\"topic\":\"count\"}\n").await;
        });
        assert!(end.is_none());
    }

    async fn end_without_start_and_plain_reply_fail_by_name() {
        let (_place, mut server, client) = client_of_raw_server().await;
        for reply in ["null", "[1,2]"] {
            let (error, ()) = tokio::join!(failed(client.request_stream(&Count { to: 3 })), async {
                let request = server.line().await;
                let id = &request[request.rfind(':').unwrap() + 1..request.len() - 1];
                server.write(&format!("{{\"topic\":\"count\",\"message\":{reply},\"re\":{id}}}\n")).await;
            });
            assert!(matches!(&error, RequestError::NotAStream { topic } if topic == "count"), "{error:?}");
        }
    }

    async fn stream_for_a_single_reply_fails_by_name_and_is_cancelled() {
        let (_place, mut server, client) = client_of_raw_server().await;
        for (id, line) in [
            (1, r#"{"topic":"ping","started":true,"re":1}"#),
            (2, r#"{"topic":"ping","message":5,"more":true,"re":2}"#),
            (3, r#"{"more":true,"re":3,"topic":"ping"}"#),
        ] {
            let (error, ()) = tokio::join!(soon("the failure", client.request(&Ping(5))), async {
                server.line().await;
                server.write(&format!("{line}\n")).await;
            });
            assert!(matches!(&error, Err(RequestError::IsAStream { topic }) if topic == "ping"), "{error:?}");
            assert_eq!(server.line().await, format!(r#"{{"topic":"socket-ipc.cancel","message":{id},"re":0}}"#));
        }
    }

    async fn window_of_any_other_form_fails_by_name() {
        let (place, _server, _client) = connected().await;
        let mut peer = raw_peer(&place).await;
        for window in ["-1", "0.5", "\"7\"", "[7]", "{}", "true"] {
            peer.write(&format!("{{\"topic\":\"count\",\"message\":{{\"to\":2}},\"window\":{window},\"id\":1}}\n")).await;
            let line = peer.line().await;
            assert!(line.contains(r#""code":"stream""#) && line.ends_with(r#","error":true,"re":1}"#), "{line}");
        }
        raw_ping(&mut peer).await;
    }

    async fn stream_request_without_id_is_a_message_error() {
        let (place, server, _client) = connected().await;
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.kind().clone()));
        let mut peer = raw_peer(&place).await;
        for window in ["", ",\"window\":100"] {
            peer.write(&format!("{{\"topic\":\"count\",\"message\":{{\"to\":2}}{window}}}\n")).await;
            let error = errors.next().await;
            assert!(matches!(&error, MessageErrorKind::StreamWithoutId { topic } if topic == "count"), "{error:?}");
        }
        raw_ping(&mut peer).await;
    }

    async fn id_of_running_stream_is_a_message_error_and_runs_nothing() {
        let (place, server, _client) = connected().await;
        let guards = follows(&server);
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.kind().clone()));
        let works = Events::new();
        let worked = works.reporter();
        server.respond_raw("work", None, move |_, _| { worked(()); Ok(()) }).unwrap();
        server.respond_async::<Ping>(|_, _| std::future::pending::<u64>()).unwrap_err();
        let mut peer = raw_peer(&place).await;
        let stream = |id| format!("{{\"topic\":\"follow\",\"message\":{{\"numbers\":0}},\"window\":null,\"id\":{id}}}\n");
        peer.write(&stream("7")).await;
        assert_eq!(peer.line().await, r#"{"topic":"follow","started":true,"re":7}"#);
        for line in [stream("7"), "{\"topic\":\"work\",\"message\":1,\"id\":7}\n".to_owned(), "{\"id\":7,\"topic\":\"work\"}\n".to_owned()] {
            peer.write(&line).await;
            let error = errors.next().await;
            assert!(matches!(&error, MessageErrorKind::IdInFlight { id } if id == "7"), "{error:?}");
        }
        assert_eq!(guards.begun(), 1);
        // Ids are compared as text.
        peer.write(&stream("7.0")).await;
        assert_eq!(peer.line().await, r#"{"topic":"follow","started":true,"re":7.0}"#);
        peer.write("{\"topic\":\"socket-ipc.cancel\",\"message\":7,\"re\":0}\n").await;
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 1);
        peer.write(&stream("7")).await;
        assert_eq!(peer.line().await, r#"{"topic":"follow","started":true,"re":7}"#, "the id is free again");
    }

    async fn id_of_plain_request_in_flight_begins_no_stream() {
        let (place, server, _client) = connected().await;
        let guards = follows(&server);
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.kind().clone()));
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "wait", reply = u64)]
        struct Wait;
        server.respond_async::<Wait>(|_, _| std::future::pending::<u64>()).unwrap();
        let mut peer = raw_peer(&place).await;
        peer.write("{\"topic\":\"wait\",\"id\":7}\n{\"topic\":\"follow\",\"message\":{\"numbers\":0},\"window\":null,\"id\":7}\n").await;
        let error = errors.next().await;
        assert!(matches!(&error, MessageErrorKind::IdInFlight { id } if id == "7"), "{error:?}");
        raw_ping(&mut peer).await;
        assert_eq!(guards.begun(), 0);
    }

    async fn renewals_and_cancels_of_nothing_are_ignored() {
        let (place, _server, _client) = connected().await;
        let mut peer = raw_peer(&place).await;
        for line in [
            r#"{"topic":"socket-ipc.more","message":[7,100],"re":0}"#,
            r#"{"topic":"socket-ipc.more","message":["x",1e300],"re":0}"#,
            r#"{"topic":"socket-ipc.cancel","message":7,"re":0}"#,
        ] {
            peer.write(&format!("{line}\n")).await;
        }
        raw_ping(&mut peer).await;
    }

    async fn control_topics_without_re_are_plain_messages() {
        let (place, server, _client) = connected().await;
        let mut messages = Events::new();
        let report = messages.reporter();
        server.on_message(move |message, topic, _| report(format!("{topic} {message}")));
        let mut peer = raw_peer(&place).await;
        peer.write("{\"topic\":\"socket-ipc.more\",\"message\":[7,100]}\n").await;
        assert_eq!(messages.next().await, "socket-ipc.more [7,100]");
    }

    async fn keys_of_streams_elsewhere_mean_nothing() {
        let (place, server, _client) = connected().await;
        let mut messages = Events::new();
        let report = messages.reporter();
        server.on_message(move |message, topic, _| report(format!("{topic} {message}")));
        let mut peer = raw_peer(&place).await;
        peer.write("{\"topic\":\"news\",\"message\":1,\"more\":true,\"started\":true,\"window\":5,\"trace\":[]}\n").await;
        assert_eq!(messages.next().await, "news 1");
        peer.write("{\"topic\":\"ping\",\"message\":7,\"more\":true,\"started\":true,\"id\":3}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"ping","message":7,"re":3}"#);
    }

    async fn streams_on_wires_of_the_node_library_fail_by_name() {
        for wire in [Wire::NODE_0_4, Wire::NODE_0_2, Wire::NODE_0_1] {
            let place = Place::new();
            let client = Client::builder(place.socket()).wire(wire).build();
            let error = failed(client.request_stream(&Count { to: 1 })).await;
            assert!(matches!(&error, RequestError::NoStreams { topic } if topic == "count"), "{error:?}");
            let server = Server::builder(place.socket()).wire(wire).build();
            let error = server.respond_stream::<Count>(|Count { to }, _| numbers(to)).unwrap_err();
            assert!(error.to_string().contains("`count`"), "{error}");
        }
    }
}
