//! Peers that use streams to do harm.

use std::time::Instant;

use socket_ipc::{ErrorReply, MessageErrorKind, limits};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;

use super::*;

/// How many lines a hostile peer sends.
const LINES: usize = if cfg!(debug_assertions) { 50_000 } else { 1_000_000 };

fn request(topic: &str, window: &str, id: usize) -> String {
    format!(
        "{{\"topic\":\"{topic}\",\"message\":{{\"numbers\":10,\"to\":10}},\"window\":{window},\"id\":{id}}}\n"
    )
}

fn more(id: usize, bytes: &str) -> String {
    format!("{{\"topic\":\"socket-ipc.more\",\"message\":[{id},{bytes}],\"re\":0}}\n")
}

fn cancel(id: usize) -> String {
    format!("{{\"topic\":\"socket-ipc.cancel\",\"message\":{id},\"re\":0}}\n")
}

/// An endless stream of texts of this length.
fn endless(server: &Server, len: usize) {
    server
        .respond_stream_raw("endless", move |_, _| {
            let text = "x".repeat(len);
            stream::repeat_with(move || Ok(text.clone()))
        })
        .unwrap();
}

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
    async fn windows_of_every_size_never_renewed_take_no_memory_and_no_time() {
        let (place, server, client) = connected().await;
        endless(&server, 1000);
        let mut peer = raw_peer(&place).await;
        // Zero, one, huge, beyond any number: the peer reads nothing, and what it may have is bounded by its outbox.
        for (id, window) in ["0", "1", "64", "18446744073709551615", "1e300", "null"].into_iter().enumerate() {
            peer.write(&request("endless", window, id)).await;
        }
        peer.write(more(0, "1e300") + &more(0, "18446744073709551615") + &more(3, "18446744073709551615")).await;
        for _ in 0..50 {
            ping(&client).await;
        }
        assert!(server.stats().outbox_len <= 2 << 20, "{} bytes", server.stats().outbox_len);
        drop(peer);
        until("the end of the streams", || server.stats().outbox_len == 0).await;
        ping(&client).await;
    }

    async fn renewals_of_a_million_do_not_delay_others() {
        let (place, server, client) = connected().await;
        let guards = follows(&server);
        let mut peer = raw_peer(&place).await;
        peer.write((0..100).map(|id| request("follow", "0", id)).collect::<String>()).await;
        for _ in 0..100 {
            assert!(peer.line().await.contains("started"));
        }
        let hostile = tokio::spawn(async move {
            for chunk in 0..LINES / 1000 {
                // Of streams that run, that do not exist, with numbers that are none.
                let lines: String = (0..1000)
                    .map(|at| match at % 4 {
                        0 => more(at % 100, "0"),
                        1 => more(1_000_000 + chunk, "1"),
                        2 => more(at % 100, "-1"),
                        _ => cancel(1_000_000 + at),
                    })
                    .collect();
                peer.stream.write_all(lines.as_bytes()).await.unwrap();
            }
            peer
        });
        let (mut round_trips, mut longest) = (0, Duration::ZERO);
        while !hostile.is_finished() {
            let begin = Instant::now();
            ping(&client).await;
            longest = longest.max(begin.elapsed());
            round_trips += 1;
        }
        println!("{round_trips} round trips meanwhile, the longest {longest:?}");
        let mut peer = hostile.await.unwrap();
        raw_ping(&mut peer).await;
        assert_eq!((guards.begun(), guards.dropped()), (100, 0));
    }

    async fn streams_requested_and_cancelled_leave_nothing() {
        let (place, server, client) = connected_with(|server| server.max_requests(16), |client| client).await;
        let guards = follows(&server);
        let peer = raw_peer(&place).await;
        let (reader, mut writer) = peer.stream.into_split();
        let hostile = tokio::spawn(async move {
            for chunk in 0..LINES / 1000 {
                let pairs: String = (0..500)
                    .map(|at| request("follow", "1000", 500 * chunk + at) + &cancel(500 * chunk + at))
                    .collect();
                writer.write_all(pairs.as_bytes()).await.unwrap();
            }
            writer
        });
        let reading = tokio::spawn(async move {
            let mut reader = reader;
            drop(tokio::io::copy(&mut reader, &mut tokio::io::sink()).await);
        });
        while !hostile.is_finished() {
            ping(&client).await;
            // The dropped ones are counted first, so that a stream that ends in between is not counted twice.
            let dropped = guards.dropped();
            assert!(guards.begun() - dropped <= 100 * 16);
        }
        drop(hostile.await.unwrap());
        until("the end of the streams", || guards.begun() == guards.dropped()).await;
        soon("the end of the connection", reading).await.unwrap();
        ping(&client).await;
        assert!(guards.begun() > 0);
    }

    async fn reader_of_one_item_at_a_time_delays_nobody() {
        let (place, server, client) = connected().await;
        endless(&server, 100);
        let mut peer = raw_peer(&place).await;
        peer.write(&request("endless", "1000", 1)).await;
        assert!(peer.line().await.contains("started"));
        let mut counted = 0;
        for _ in 0..200 {
            peer.write(&more(1, "170")).await;
            while counted < 6 { let _ = peer.line().await; counted += 1; }
            assert!(peer.line().await.contains("\"more\":true"));
            ping(&client).await;
        }
    }

    async fn reader_of_one_item_at_a_time_and_a_fast_one_do_not_wait_for_each_other() {
        let (place, server, client) = connected().await;
        endless(&server, 100);
        let item = (100 + r#"{"topic":"endless","message":"","more":true,"re":1}"#.len()).to_string();
        let mut slow = raw_peer(&place).await;
        slow.write(&request("endless", &item, 1)).await;
        assert!(slow.line().await.contains("started"));
        for _ in 0..20 {
            assert!(slow.line().await.contains("\"more\":true"));
            // It takes nothing while a thousand items pass it by.
            assert_eq!(all(client.request_stream(&Count { to: 1_000 })).await.len(), 1_000);
            slow.write(&more(1, &item)).await;
        }
    }

    async fn cancel_and_renewal_pass_by_full_responders_and_a_full_subscription() {
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "wait", reply = ())]
        struct Wait;
        let (place, server, _client) = connected_with(|server| server.max_requests(2), |client| client).await;
        let guards = follows(&server);
        server.respond_async::<Wait>(|Wait, _| std::future::pending::<()>()).unwrap();
        let mut peer = raw_peer(&place).await;
        peer.write(&request("follow", "0", 1)).await;
        assert!(peer.line().await.contains("started"));
        // With that, its responders are full: the second is refused.
        peer.write("{\"topic\":\"wait\",\"id\":2}\n{\"topic\":\"wait\",\"id\":3}\n").await;
        assert!(peer.line().await.contains(ErrorReply::TOO_MANY_REQUESTS));
        peer.write(&more(1, "64")).await;
        assert!(peer.line().await.contains("\"message\":0,\"more\":true"));
        // A subscription that nobody reads, and twice as many messages as it has room for.
        let mut subscription = server.subscribe_raw();
        peer.write("{\"topic\":\"news\"}\n".repeat(2 * limits::SUBSCRIPTION_LEN)).await;
        peer.write(&more(1, "64")).await;
        assert!(peer.line().await.contains("\"message\":1,\"more\":true"));
        peer.write(&cancel(1)).await;
        until("the drop of the stream", || guards.dropped() == 1).await;
        assert!(subscription.next().await.is_some());
    }

    async fn cancel_and_renewal_pass_by_what_holds_messages_back() {
        const STREAMS: usize = limits::MAX_REQUESTS;
        let (place, server, _client) = connected().await;
        let guards = follows(&server);
        #[derive(Topic, Serialize, Deserialize)]
        #[topic = "hold"]
        struct Hold;
        // A listener that never returns.
        server.on_async::<Hold>(|_, _| std::future::pending());
        let peer = raw_peer(&place).await;
        let (reader, mut writer) = peer.stream.into_split();
        let mut reader = tokio::io::BufReader::new(reader);
        use tokio::io::AsyncBufReadExt as _;
        writer.write_all((0..STREAMS).map(|id| request("follow", "0", id)).collect::<String>().as_bytes()).await.unwrap();
        let mut line = String::new();
        for _ in 0..STREAMS {
            line.clear();
            soon("a start", reader.read_line(&mut line)).await.unwrap();
            assert!(line.contains("started"), "{line}");
        }
        // One request, a listener that waits, 1 MiB of messages, and then `more` and `cancel` for each stream.
        let writing = tokio::spawn(async move {
            writer.write_all(b"{\"topic\":\"hold\"}\n{\"topic\":\"ping\",\"message\":1,\"id\":\"held\"}\n").await.unwrap();
            let message = format!("{{\"topic\":\"news\",\"message\":\"{}\"}}\n", "x".repeat(1000));
            writer.write_all(message.repeat(1024).as_bytes()).await.unwrap();
            let lines: String = (0..STREAMS).map(|id| more(id, "64")).collect();
            writer.write_all(lines.as_bytes()).await.unwrap();
            let lines: String = (0..STREAMS).map(cancel).collect();
            writer.write_all(lines.as_bytes()).await.unwrap();
            writer
        });
        for _ in 0..STREAMS {
            line.clear();
            soon("an item", reader.read_line(&mut line)).await.unwrap();
            assert!(line.contains("\"message\":0,\"more\":true"), "{line}");
        }
        until("the drop of the streams", || guards.dropped() == STREAMS).await;
        drop(soon("the end of writing", writing).await.unwrap());
    }

    async fn item_beyond_the_window_ends_the_stream_and_later_ones_are_counted() {
        let (_place, mut server, client) = client_of_raw_server().await;
        let mut items = client.request_stream(&Count { to: 3 }).window(128);
        let mut spared = client.request_stream(&Count { to: 3 });
        let (started, ()) = tokio::join!(soon("the start", items.started()), async {
            assert!(server.line().await.ends_with(",\"window\":128,\"id\":1}"));
            server.write("{\"topic\":\"count\",\"started\":true,\"re\":1}\n").await;
        });
        started.unwrap();
        assert!(futures::poll!(Box::pin(spared.next())).is_pending());
        assert!(server.line().await.ends_with(",\"id\":2}"), "it waits for its start");
        let item = "{\"topic\":\"count\",\"message\":1,\"more\":true,\"re\":1}\n";
        server.write(item.repeat(10)).await;
        assert_eq!(server.line().await, r#"{"topic":"socket-ipc.cancel","message":1,"re":0}"#);
        for _ in 0..2 {
            assert_eq!(next(&mut items).await.unwrap().unwrap(), 1);
        }
        let error = failed(items).await;
        assert!(
            matches!(&error, RequestError::WindowExceeded { topic, size: 48, window: 128 } if topic == "count"),
            "{error:?}"
        );
        // The third item was beyond, and seven came after it.
        until("the count of late items", || client.stats().late_replies == 7).await;
        server.write("{\"topic\":\"count\",\"started\":true,\"re\":2}\n{\"topic\":\"count\",\"message\":5,\"more\":true,\"re\":2}\n").await;
        assert_eq!(next(&mut spared).await.unwrap().unwrap(), 5);
    }

    async fn items_for_a_dropped_stream_are_late_while_another_waits() {
        let (_place, mut server, client) = client_of_raw_server().await;
        let mut items = client.request_stream(&Count { to: 8 });
        let mut other = client.request_stream(&Count { to: 1 });
        let (started, other_started, ()) = tokio::join!(
            soon("the start", items.started()),
            soon("the start", other.started()),
            async {
                for id in 1..=2 {
                    server.line().await;
                    server.write(&format!("{{\"topic\":\"count\",\"started\":true,\"re\":{id}}}\n")).await;
                }
            }
        );
        started.unwrap();
        other_started.unwrap();
        let item = |id| format!("{{\"topic\":\"count\",\"message\":1,\"more\":true,\"re\":{id}}}\n");
        server.write(item(1).repeat(3)).await;
        for _ in 0..3 {
            assert_eq!(next(&mut items).await.unwrap().unwrap(), 1);
        }
        drop(items);
        assert_eq!(server.line().await, r#"{"topic":"socket-ipc.cancel","message":1,"re":0}"#);
        server.write(item(1).repeat(5)).await;
        until("the count of late items", || client.stats().late_replies == 5).await;
        server.write(item(2)).await;
        assert_eq!(next(&mut other).await.unwrap().unwrap(), 1);
    }

    async fn items_after_the_end_and_for_a_request_without_stream_are_late() {
        let (_place, mut server, client) = client_of_raw_server().await;
        let (end, ()) = tokio::join!(next_of(client.request_stream(&Count { to: 0 })), async {
            server.line().await;
            server.write("{\"topic\":\"count\",\"started\":true,\"re\":1}\n{\"topic\":\"count\",\"message\":null,\"re\":1}\n").await;
        });
        assert!(end.is_none());
        server.write("{\"topic\":\"count\",\"message\":1,\"more\":true,\"re\":1}\n".repeat(3)).await;
        server.write("{\"topic\":\"count\",\"message\":1,\"more\":true,\"re\":77}\n".repeat(3)).await;
        until("the count of late items", || client.stats().late_replies == 6).await;
    }

    async fn item_of_the_largest_size_arrives() {
        let (_place, server, client) = connected().await;
        const LEN: usize = 4 << 20;
        let frame = r#"{"topic":"texts","message":"","more":true,"re":1}"#.len();
        server.respond_stream_raw("texts", move |_, _| stream::iter((0..3).map(move |_| Ok("x".repeat(LEN - frame))))).unwrap();
        let items = all(client.request_stream_raw("texts", &()).window(LEN as u64)).await;
        assert_eq!(items.len(), 3);
        server.respond_stream_raw("longer", move |_, _| stream::iter([Ok("x".repeat(LEN))])).unwrap();
        match failed(client.request_stream_raw("longer", &()).window(u64::MAX)).await {
            RequestError::Rejected { reply, .. } => assert!(reply.text().contains("over the limit"), "{}", reply.text()),
            other => panic!("{other:?}"),
        }
    }

    async fn id_reused_ten_thousand_times_runs_one_stream_at_a_time() {
        let (place, server, _client) = connected().await;
        let guards = follows(&server);
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.kind().clone()));
        let mut peer = raw_peer(&place).await;
        peer.write(request("follow", "0", 1).repeat(10_000)).await;
        assert!(peer.line().await.contains("started"));
        for error in errors.take(9_999).await {
            assert!(matches!(error, MessageErrorKind::IdInFlight { .. }), "{error:?}");
        }
        raw_ping(&mut peer).await;
        assert_eq!(guards.begun(), 1);
    }

    async fn streams_beyond_max_requests_are_rejected_at_once() {
        let (place, server, client) = connected_with(|server| server.max_requests(8), |client| client).await;
        let guards = follows(&server);
        let mut peer = raw_peer(&place).await;
        peer.write((0..1_000).map(|id| request("follow", "0", id)).collect::<String>()).await;
        let (mut started, mut rejected) = (0, 0);
        for _ in 0..1_000 {
            let line = peer.line().await;
            started += usize::from(line.contains("started"));
            rejected += usize::from(line.contains(ErrorReply::TOO_MANY_REQUESTS));
        }
        assert_eq!((started, rejected), (8, 992));
        assert_eq!(guards.begun(), 8);
        ping(&client).await;
    }
}

async fn next_of<I, E>(mut items: ReplyStream<I, E>) -> Option<Result<I, RequestError<E>>> {
    next(&mut items).await
}
