//! Which listeners get a message, in which order, and from when to when.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ListenerId, MessageErrorKind, Server, Topic};
use support::{Events, Place, RawPeer, soon};
use tokio::sync::{Barrier, Semaphore};

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "number"]
struct Number(u64);

/// The same topic with another type.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "number"]
struct Text(String);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m> {
    level: u8,
    #[serde(borrow)]
    text: Cow<'m, str>,
    target: &'m str,
}

fn number(number: u64) -> String {
    format!("{{\"topic\":\"number\",\"message\":{number}}}\n")
}

async fn listening(server: &Server, place: &Place) -> RawPeer {
    server.listen().await.unwrap();
    RawPeer::connect(place.socket()).await
}

support::both_flavours! {
    async fn listeners_of_server_are_called_in_order() {
        let (place, mut calls) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let call = |name: &'static str| {
            let report = calls.reporter();
            move || report(name)
        };
        let (one, two, three, four, five, six) = (call("typed"), call("every"), call("async"), call("raw"), call("every too"), call("typed too"));
        server.on::<Number>(move |_, _| one());
        server.on_message(move |_, _, _| two());
        server.on_async::<Number>(move |_, _| {
            let three = three.clone();
            async move {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                three();
            }
        });
        server.on_topic("number", move |_, _| four());
        server.on_message(move |_, _, _| five());
        server.on::<Number>(move |_, _| six());
        let mut peer = listening(&server, &place).await;
        peer.write(number(1).repeat(3)).await;
        let expected = ["every", "every too", "typed", "async", "raw", "typed too"];
        assert_eq!(calls.take(18).await, expected.repeat(3));
    }

    async fn listeners_of_client_are_called_in_order() {
        let (place, mut calls) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let greeter = server.handle();
        server.on_connection(move |client_id| {
            greeter.send(&Number(1), client_id).unwrap();
            greeter.send(&Number(2), client_id).unwrap();
        });
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        let (typed, slow, raw, every) = (calls.reporter(), calls.reporter(), calls.reporter(), calls.reporter());
        client.on::<Number>(move |msg| typed(format!("typed {}", msg.0)));
        client.on_async::<Number>(move |msg| {
            let slow = slow.clone();
            async move {
                tokio::task::yield_now().await;
                slow(format!("async {}", msg.0));
            }
        });
        client.on_topic("number", move |message| raw(format!("raw {message}")));
        client.on_message(move |message, topic| every(format!("{topic} {message}")));
        client.connect().await.unwrap();
        for number in 1..=2 {
            for call in ["number", "typed", "async", "raw"] {
                assert_eq!(calls.next().await, format!("{call} {number}"));
            }
        }
    }

    async fn listener_async_pending_delays_only_its_connection() {
        let (place, mut received) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let gate = Arc::new(Semaphore::new(0));
        let (inside, report) = (Arc::clone(&gate), received.reporter());
        server.on_async::<Number>(move |msg, client_id| {
            let (gate, report) = (Arc::clone(&inside), report.clone());
            async move {
                report(("begins", msg.0));
                if client_id.get() == 1 {
                    gate.acquire().await.unwrap().forget();
                }
                report(("ends", msg.0));
            }
        });
        let mut slow = listening(&server, &place).await;
        slow.write(number(1) + &number(2)).await;
        assert_eq!(received.next().await, ("begins", 1));
        let mut fast = RawPeer::connect(place.socket()).await;
        for number in 3..100 {
            fast.write(self::number(number)).await;
            assert_eq!(received.take(2).await, [("begins", number), ("ends", number)]);
        }
        gate.add_permits(1);
        assert_eq!(received.take(2).await, [("ends", 1), ("begins", 2)]);
        assert!(received.rest().is_empty());
    }

    async fn listener_async_runs_for_several_clients_at_once() {
        let (place, mut received) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (barrier, report) = (Arc::new(Barrier::new(3)), received.reporter());
        server.on_async::<Number>(move |msg, _| {
            let (barrier, report) = (Arc::clone(&barrier), report.clone());
            async move {
                barrier.wait().await;
                report(msg.0);
            }
        });
        let mut first = listening(&server, &place).await;
        first.write(number(0)).await;
        let (mut second, mut third) = (RawPeer::connect(place.socket()).await, RawPeer::connect(place.socket()).await);
        second.write(number(1)).await;
        third.write(number(2)).await;
        let mut numbers = received.take(3).await;
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2]);
    }

    async fn listener_blocking_its_thread_delays_only_its_connection() {
        // The listener blocks a thread of a runtime of its own; the test waits on another.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (place, mut calls) = (Place::new(), Events::new());
        let server = Arc::new(Server::new(place.socket()));
        let (report, other) = (calls.reporter(), calls.reporter());
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        server.on_topic("block", move |message, _| {
            report(message.as_str().to_owned());
            blocked.lock().unwrap().recv().unwrap();
        });
        server.on_topic("other", move |message, _| other(message.as_str().to_owned()));
        let listening = Arc::clone(&server);
        soon("listening", runtime.spawn(async move { listening.listen().await })).await.unwrap().unwrap();
        let mut blocking = RawPeer::connect(place.socket()).await;
        blocking.write("{\"topic\":\"block\",\"message\":1}\n{\"topic\":\"other\",\"message\":2}\n").await;
        assert_eq!(calls.next().await, "1");
        // If the other thread is asleep, no thread notices what arrives (tokio#4730).
        soon("the other thread", runtime.spawn(async {})).await.unwrap();
        let mut others = [RawPeer::connect(place.socket()).await, RawPeer::connect(place.socket()).await];
        for number in 3..100 {
            others[number % 2].write(format!("{{\"topic\":\"other\",\"message\":{number}}}\n")).await;
            assert_eq!(calls.next().await, number.to_string());
        }
        release.send(()).unwrap();
        assert_eq!(calls.next().await, "2");
        soon("the close", server.close()).await;
        runtime.shutdown_background();
    }

    async fn listener_added_while_listening_receives_until_off() {
        let (place, mut received) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let mut peer = listening(&server, &place).await;
        let (first, last) = (received.reporter(), received.reporter());
        let kept = server.on_topic("done", move |_, _| last(0));
        peer.write(number(1) + "{\"topic\":\"done\"}\n").await;
        assert_eq!(received.next().await, 0);
        let numbers = server.on::<Number>(move |msg, _| first(msg.0));
        peer.write(number(2)).await;
        assert_eq!(received.next().await, 2);
        assert!(server.off(numbers));
        assert!(!server.off(numbers), "the listener was removed twice");
        peer.write(number(3) + "{\"topic\":\"done\"}\n").await;
        assert_eq!(received.next().await, 0);
        assert!(server.off(kept));
    }

    async fn off_inside_a_listener_takes_effect_at_once() {
        let (place, mut received) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (handle, report) = (server.handle(), received.reporter());
        let later: Arc<Mutex<Vec<ListenerId>>> = Arc::default();
        let tokens = Arc::clone(&later);
        server.on::<Number>(move |msg, _| {
            report(("first", msg.0));
            for token in tokens.lock().unwrap().drain(..) {
                assert!(handle.off(token));
            }
        });
        // Each comes after the listener that removes it.
        let (typed, slow, raw) = (received.reporter(), received.reporter(), received.reporter());
        let all = vec![
            server.on::<Number>(move |msg, _| typed(("removed", msg.0))),
            server.on_async::<Number>(move |msg, _| {
                slow(("removed", msg.0));
                async {}
            }),
            server.on_topic("number", move |_, _| raw(("removed", 0))),
        ];
        later.lock().unwrap().extend(all);
        let report = received.reporter();
        server.on::<Number>(move |msg, _| report(("last", msg.0)));
        let mut peer = listening(&server, &place).await;
        peer.write(number(1) + &number(2)).await;
        assert_eq!(received.take(4).await, [("first", 1), ("last", 1), ("first", 2), ("last", 2)]);
    }

    async fn off_of_own_listener_is_called_once() {
        let (place, mut received) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (handle, report, own) = (server.handle(), received.reporter(), Arc::new(Mutex::new(None)));
        let token = Arc::clone(&own);
        let listener = server.on::<Number>(move |msg, _| {
            report(msg.0);
            assert!(handle.off(token.lock().unwrap().take().unwrap()));
        });
        *own.lock().unwrap() = Some(listener);
        let mut peer = listening(&server, &place).await;
        let report = received.reporter();
        server.on_topic("done", move |_, _| report(0));
        peer.write(number(1).repeat(5) + "{\"topic\":\"done\"}\n").await;
        assert_eq!(received.take(2).await, [1, 0]);
    }

    async fn listener_added_inside_listener_begins_at_next_message() {
        let (place, mut received) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (handle, report) = (server.handle(), received.reporter());
        server.on::<Number>(move |msg, _| {
            report(("first", msg.0));
            let report = report.clone();
            if msg.0 == 1 {
                handle.on::<Number>(move |msg, _| report(("second", msg.0)));
            }
        });
        let mut peer = listening(&server, &place).await;
        peer.write(number(1) + &number(2)).await;
        assert_eq!(received.take(3).await, [("first", 1), ("first", 2), ("second", 2)]);
    }

    async fn listeners_of_several_types_each_failure_is_one_error() {
        let (place, mut received) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (numbers, texts, raw, slow, report_error) = (received.reporter(), received.reporter(), received.reporter(), received.reporter(), received.reporter());
        server.on::<Number>(move |msg, _| numbers(format!("{msg:?}")));
        server.on::<Text>(move |msg, _| texts(format!("{msg:?}")));
        server.on_async::<Text>(move |msg, _| {
            slow(format!("async {msg:?}"));
            async {}
        });
        server.on_topic("number", move |message, _| raw(format!("raw {message}")));
        server.on_message_error(move |error, _| {
            let MessageErrorKind::Decode { topic, type_name, line, column, reason } = error.kind() else { panic!() };
            assert_eq!(error.raw(), number(7).trim_end().as_bytes());
            let type_name = type_name.rsplit("::").next().unwrap();
            report_error(format!("{topic} {type_name} {line}:{column} {reason}"));
        });
        let mut peer = listening(&server, &place).await;
        peer.write(number(7)).await;
        let wrong = "number Text 1:1 invalid type: integer `7`, expected a string";
        assert_eq!(received.take(4).await, ["Number(7)", wrong, wrong, "raw 7"]);
    }

    async fn off_connections_idle_drops_the_closure() {
        let place = Place::new();
        let server = Server::new(place.socket());
        let mut ready = Events::new();
        let report = ready.reporter();
        server.on_topic("ready", move |_, _| report(()));
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        client.connect().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        let (mut server_times, mut client_times) = ([Duration::MAX; 5], [Duration::MAX; 5]);
        for round in 0..5 {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<u64>();
            let (topic, every, fallback) = (sender.clone(), sender.clone(), sender.clone());
            let listeners = [
                server.on::<Number>(move |Number(number), _| { let _ = topic.send(number); }),
                server.on_message(move |_, _, _| { let _ = every.send(0); }),
                server.on_fallback(move |_, _, _| { let _ = fallback.send(9); }),
            ];
            let (owned, mut replies) = tokio::sync::mpsc::unbounded_channel::<()>();
            let responder = server.respond_raw("request", Some("reply"), move |_, _| { let _ = &owned; Ok(()) }).unwrap();
            let (owned, mut received) = tokio::sync::mpsc::unbounded_channel::<()>();
            let of_client = client.on_topic("news", move |_| { let _ = owned.send(()); });
            drop(sender);
            // Each connection gets the table with all of them.
            for connection in 0..2 {
                match connection {
                    0 => client.send(&Number(7)).unwrap(),
                    _ => peer.write(number(7)).await,
                }
                assert_eq!([receiver.recv().await, receiver.recv().await], [Some(0), Some(7)]);
                match connection {
                    0 => client.send_raw("ready", &()).unwrap(),
                    _ => peer.write("{\"topic\":\"ready\"}\n").await,
                }
                ready.next().await;
                assert_eq!(receiver.recv().await, Some(0));
            }
            server.broadcast_raw("news", &1).unwrap();
            received.recv().await.unwrap();
            peer.line().await;
            let removed = Instant::now();
            assert!(listeners.into_iter().all(|listener| server.off(listener)));
            assert!(server.off(responder));
            assert_eq!(soon("the end of what listeners own", receiver.recv()).await, None);
            assert_eq!(soon("the end of what a responder owns", replies.recv()).await, None);
            server_times[round] = removed.elapsed();
            let removed = Instant::now();
            assert!(client.off(of_client));
            assert_eq!(soon("the end of what a client's listener owns", received.recv()).await, None);
            client_times[round] = removed.elapsed();
        }
        for (endpoint, mut times) in [("server", server_times), ("client", client_times)] {
            times.sort_unstable();
            // The median: other programs may take the processors once or twice.
            assert!(times[2] < Duration::from_millis(100), "{endpoint}: {times:?}");
        }
    }

    async fn off_message_pending_drops_the_closure() {
        let place = Place::new();
        let server = Server::new(place.socket());
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<u64>();
        let (receiver, ended) = (Arc::new(tokio::sync::Mutex::new(receiver)), Arc::new(Semaphore::new(0)));
        let (next_calls, mut waits) = (Events::new(), Events::new());
        let (report, next) = (waits.reporter(), next_calls.reporter());
        let end = Arc::clone(&ended);
        // Waits until the next listener's closure is dropped, and the message waits for it.
        let first = server.on_async::<Number>(move |_, _| {
            let (receiver, report, end) = (Arc::clone(&receiver), report.clone(), Arc::clone(&end));
            async move {
                report(());
                assert_eq!(receiver.lock().await.recv().await, None);
                end.add_permits(1);
            }
        });
        let second = server.on::<Number>(move |Number(number), _| { let _ = sender.send(number); });
        server.on::<Number>(move |Number(number), _| next(number));
        let mut next_calls = next_calls;
        let mut peer = listening(&server, &place).await;
        peer.write(number(7)).await;
        waits.next().await;
        // The first listener is removed while it runs, and runs on.
        assert!(server.off(first) && server.off(second));
        soon("the end of what the second owns", ended.acquire()).await.unwrap().forget();
        assert_eq!(next_calls.next().await, 7, "the third gets the message");
    }

    async fn listener_of_str_with_escapes_error_names_the_fix() {
        let (place, mut errors) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.to_string()));
        let mut received = Events::new();
        let report = received.reporter();
        server.on::<Log>(move |log, _| report(log.target.to_owned()));
        let mut peer = listening(&server, &place).await;
        for target in [r#""plain""#, r#""a \"b\"""#, r#""a\nb""#, "5"] {
            let line = format!("{{\"topic\":\"log\",\"message\":{{\"level\":1,\"text\":\"\\n\",\"target\":{target}}}}}\n");
            peer.write(line.as_bytes()).await;
        }
        assert_eq!(received.next().await, "plain");
        for _ in 0..2 {
            let error = errors.next().await;
            assert!(error.contains("write `#[serde(borrow)] Cow<'_, str>` in the place of `&str` at line 1"), "{error}");
        }
        let error = errors.next().await;
        assert!(error.contains("invalid type: integer `5`, expected a borrowed string at line 1"), "{error}");
    }

    async fn listener_borrowed_message_is_not_copied() {
        let (place, mut received) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let report = received.reporter();
        server.on::<Log>(move |msg, _| {
            report((msg.level, msg.text.to_string(), matches!(msg.text, Cow::Borrowed(_)), msg.target.len()));
        });
        let (report_error, client) = (received.reporter(), Client::new(place.socket()));
        server.on_message_error(move |error, _| report_error((0, error.to_string(), false, 0)));
        server.listen().await.unwrap();
        client.connect().await.unwrap();
        client.send(&Log { level: 1, text: "plain".into(), target: "here" }).unwrap();
        assert_eq!(received.next().await, (1, "plain".into(), true, 4));
        client.send(&Log { level: 2, text: "a \"quote\"".into(), target: "" }).unwrap();
        assert_eq!(received.next().await, (2, "a \"quote\"".into(), false, 0));
        // Escaped text can't be borrowed.
        client.send(&Log { level: 3, text: "".into(), target: "\n" }).unwrap();
        let (_, error, ..) = received.next().await;
        assert!(error.contains("Log") && error.contains("borrowed string"), "{error}");
        soon("flushing", client.flush()).await.unwrap();
    }
}
