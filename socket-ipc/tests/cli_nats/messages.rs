//! `listen`, `request` and `send` in a domain.

use super::*;

#[test]
fn listen_prints_broadcasts_of_all_servers_and_comes_back() {
    let Some(mut nats) = Nats::start("") else { return };
    let (one, other) = (Node::join(&nats, "host-a"), Node::join(&nats, "host-b"));
    let listener = Running::start(["listen", "--nats", &nats.url(), "jobs"]);
    let chosen = Running::start(["listen", "--nats", &nats.url(), "jobs", "weather"]);
    for listener in [&listener, &chosen] {
        assert_eq!(listener.error(), "socket-ipc: connected to the domain jobs");
    }
    // Until the NATS server has acted on the subscriptions, broadcasts pass by.
    let received = |number: u64, listener: &Running| {
        other.cluster.broadcast(&Weather(number)).unwrap();
        listener.line_within(Duration::from_millis(50))
    };
    for listener in [&listener, &chosen] {
        let line = (0..).find_map(|number| received(number, listener)).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["node"], &line["topic"]), (&json!(other.id()), &json!("weather")));
    }
    one.cluster.broadcast(&News(1000)).unwrap();
    other.cluster.broadcast(&Weather(1001)).unwrap();
    let all = std::iter::repeat_with(|| listener.json()).find(|line| line["message"] == 1000).unwrap();
    assert_eq!(all, json!({"node": one.id(), "topic": "news", "message": 1000}));
    let chosen_next = std::iter::repeat_with(|| chosen.json()).find(|line| line["message"] == 1001).unwrap();
    assert_eq!(chosen_next["topic"], "weather");
    nats.kill();
    assert_eq!(listener.error(), "socket-ipc: lost the NATS server; trying again");
    nats.restart();
    // Before that it may say why it could not connect.
    let again = |line: &String| line == "socket-ipc: connected to the domain jobs again";
    assert!(std::iter::repeat_with(|| listener.error()).any(|line| again(&line)));
    listener.signal(Signal::INT);
    assert_eq!(listener.end().status, Some(0));
    chosen.signal(Signal::TERM);
    assert_eq!(chosen.end().status, Some(0));
}

#[test]
fn listen_says_what_did_not_arrive_and_skips_garbage() {
    let Some(nats) = Nats::start("") else { return };
    let listener = Running::start(["listen", "--nats", &nats.url(), "jobs"]);
    assert_eq!(listener.error(), "socket-ipc: connected to the domain jobs");
    let beat = |sequence: u64| {
        ("jobs.b.host-a.0123456789abcdef", format!("{{\"sequence\":{sequence},\"clients\":0}}"))
    };
    let line = ("jobs.b.host-a.0123456789abcdef.news", "{\"topic\":\"news\",\"message\":[1]}\n".to_owned());
    let garbage = ("jobs.b.host-a.0123456789abcdef.news", "garbage\u{1b}\n".to_owned());
    let beats = Beats::give(&nats, vec![beat(0), line, garbage, beat(7)]);
    let node = "host-a.0123456789abcdef";
    assert_eq!(listener.json(), json!({"node": node, "topic": "news", "message": [1]}));
    let missed = listener.error_with("socket-ipc: missed");
    assert_eq!(missed, format!("socket-ipc: missed 5 broadcasts of {node}"), "7 were sent, 2 arrived");
    let skipped = listener.error_with("socket-ipc: skipped");
    assert!(skipped.contains("jobs.b.host-a.0123456789abcdef.news: a line is no envelope"), "{skipped}");
    assert!(!skipped.contains('\u{1b}'), "{skipped:?}");
    beats.end();
}

#[test]
fn request_prints_reply_or_error_with_its_status() {
    let Some(nats) = Nats::start("") else { return };
    let node = Node::join(&nats, "host-a");
    let reports = node.responds();
    node.server
        .respond_raw("refuse", None, |_, _| {
            Err::<(), _>(ErrorReply::new("closed", "come back\n tomorrow\u{1b}[2J"))
        })
        .unwrap();
    let request = |topic: &str, json: &str| over(&nats, &[], ["request", "jobs", topic, json]);
    until(|| request("divide", "[42,6]"), |end| end.status == Some(0));
    assert_eq!(request("divide", "[42,6]").well(), "7\n");
    let input = run_with(["request", "--nats", &nats.url(), "jobs", "divide", "-"], b"[42,\n7]\n");
    assert_eq!(input.well(), "6\n");
    let text = request("divide", "[42,0]").failed(4);
    assert_eq!(text, "`divide` was rejected (failed): 42 by zero\\u001b[2J; its data: 42");
    let text = request("divide", "true").failed(4);
    assert!(text.starts_with("the peer can't decode the request of `divide`: "), "{text}");
    let start = Instant::now();
    assert_eq!(request("missing", "1").failed(4), "no node of the domain `jobs` offers `missing`");
    // It is not offered, though the server has a responder.
    assert_eq!(request("refuse", "1").failed(4), "no node of the domain `jobs` offers `refuse`");
    assert!(start.elapsed() < Duration::from_secs(5), "at once: {:?}", start.elapsed());
    assert_eq!(request("count", "null").well(), "1\n2\n");
    let text = over(&nats, &[], ["request", "jobs", "wait", "--timeout", "0.5"]).failed(5);
    assert_eq!(text, "no reply to `wait` within 500ms");
    for expected in ["began", "dropped"] {
        assert_eq!(reports.recv_timeout(TOLD).unwrap(), expected, "the node is told");
    }
}

#[test]
fn request_ended_by_a_signal_is_cancelled() {
    let Some(nats) = Nats::start("") else { return };
    let node = Node::join(&nats, "host-a");
    let reports = node.responds();
    let divide = || over(&nats, &[], ["request", "jobs", "divide", "[42,6]"]);
    until(divide, |end| end.status == Some(0));
    let requesting =
        Running::start(["request", "--nats", &nats.url(), "jobs", "wait", "null", "--timeout", "60"]);
    assert_eq!(reports.recv_timeout(DEADLINE).unwrap(), "began");
    requesting.signal(Signal::INT);
    assert_eq!(requesting.end().failed(1), "a signal ended the request of `wait`");
    assert_eq!(reports.recv_timeout(TOLD).unwrap(), "dropped");
}

#[test]
fn request_whose_node_or_engine_is_gone_is_lost() {
    let Some(mut nats) = Nats::start("") else { return };
    // A program that takes requests, and gives no sign of life.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let silent = runtime.block_on(async {
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let requests = plain.subscribe("jobs.q.silent").await.unwrap();
        // The engine has acted on the subscription.
        assert!(plain.request("jobs.q.nobody", "".into()).await.is_err());
        (plain, requests)
    });
    let text = over(&nats, &[], ["request", "jobs", "silent"]).failed(3);
    assert_eq!(text, "no reply to `silent`: its node gave no sign of life for 3s");
    drop(silent);
    let node = Node::join(&nats, "host-a");
    let reports = node.responds();
    let divide = || over(&nats, &[], ["request", "jobs", "divide", "[42,6]"]);
    until(divide, |end| end.status == Some(0));
    let requesting =
        Running::start(["request", "--nats", &nats.url(), "jobs", "wait", "null", "--timeout", "60"]);
    assert_eq!(reports.recv_timeout(DEADLINE).unwrap(), "began");
    nats.kill();
    assert_eq!(requesting.end().failed(3), "lost the NATS server");
}

#[test]
fn send_reaches_a_listener_or_says_that_there_is_none() {
    let Some(nats) = Nats::start("") else { return };
    let node = Node::join(&nats, "host-a");
    let (received, messages) = channel();
    node.server.on::<News>(move |News(number), _| received.send(number).unwrap());
    let _runtime = node.runtime.enter();
    node.cluster.offer::<News>().unwrap();
    let send = |json: &str| over(&nats, &[], ["send", "jobs", "news", json]);
    until(|| send("1"), |end| end.status == Some(0));
    assert_eq!(send("2").well(), "");
    assert_eq!([(); 2].map(|()| messages.recv_timeout(DEADLINE).unwrap()), [1, 2]);
    let lines: String = (3..2003).map(|number| format!("{number}\n\n")).collect();
    let url = nats.url();
    assert_eq!(run_with(["send", "--nats", &url, "jobs", "news", "-"], lines.as_bytes()).well(), "");
    for number in 3..2003 {
        assert_eq!(messages.recv_timeout(DEADLINE).unwrap(), number);
    }
    let end = run_with(["send", "--nats", &url, "jobs", "news", "-"], b"7\n{\n8\n");
    assert!(end.failed(1).starts_with("line 2 of standard input: expected JSON: "));
    assert_eq!(messages.recv_timeout(DEADLINE).unwrap(), 7, "the lines before a wrong one are sent");
    let place = Place::new();
    let file = place.file("numbers");
    std::fs::write(&file, "1\n2\n3\n").unwrap();
    if let Some(send) = on_a_terminal("", &format!("send --nats {url} jobs news - < {}", file.display())) {
        let shown = send.end().output;
        assert!(shown.contains("100 %  3 messages"), "{shown}");
    }
    let text = over(&nats, &[], ["send", "jobs", "nobody", "1"]).failed(4);
    assert_eq!(text, "no node of the domain `jobs` offers `nobody`");
    // A program that takes messages, and acknowledges none.
    let silent = node.runtime.block_on(async {
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let messages = plain.subscribe("jobs.q.silent").await.unwrap();
        assert!(plain.request("jobs.q.nobody", "".into()).await.is_err());
        (plain, messages)
    });
    let text = over(&nats, &[], ["send", "jobs", "silent", "1"]).failed(3);
    assert_eq!(text, "no server has acknowledged `silent` within 3s: it may not have arrived");
    drop(silent);
    let long = format!("\"{}\"", "x".repeat(2 << 20));
    let text = run_with(["send", "--nats", &url, "jobs", "news", "-"], long.as_bytes()).failed(1);
    assert!(
        text.contains("2097154 bytes are over the 1048320 that the NATS server's `max_payload`"),
        "{text}"
    );
    // The broadcast that a message brings about.
    let cluster = node.cluster.clone();
    node.server.on::<News>(move |News(number), _| drop(cluster.broadcast(&Weather(number + 1))));
    let text = over(&nats, &[], ["send", "jobs", "news", "20", "--wait", "weather"]).well();
    assert_eq!(text, "21\n");
    let text =
        over(&nats, &[], ["send", "jobs", "news", "20", "--wait", "other", "--timeout", "0.2"]).failed(5);
    assert_eq!(text, "no message of `other` came within 200ms");
}

#[test]
fn send_to_a_server_without_room_waits_for_it() {
    let Some(nats) = Nats::start("") else { return };
    let node = Node::join(&nats, "host-a");
    let (received, messages) = channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    node.server.on_async::<Text>(move |Text(number, _), _| {
        let (gate, received) = (Arc::clone(&gate), received.clone());
        async move {
            gate.acquire().await.unwrap().forget();
            received.send(number).unwrap();
        }
    });
    let _runtime = node.runtime.enter();
    node.cluster.offer::<Text>().unwrap();
    let long = "x".repeat(2000);
    let first = format!("[0,\"{long}\"]");
    until(|| over(&nats, &[], ["send", "jobs", "text", &first]), |end| end.status == Some(0));
    // Sees what the server replies to the command.
    let url = nats.url();
    let watching = node.runtime.block_on(async {
        let plain = async_nats::connect(url).await.unwrap();
        let replies = plain.subscribe("jobs.i.command.>").await.unwrap();
        assert!(plain.request("jobs.q.nobody", "".into()).await.is_err());
        (plain, replies)
    });
    node.runtime.spawn(async move {
        let (_plain, mut replies) = watching;
        while let Some(reply) = replies.next().await {
            if reply.headers.is_some() {
                assert!(String::from_utf8_lossy(&reply.payload).contains("too_many_requests"), "{reply:?}");
                opened.add_permits(10_000);
                return;
            }
        }
    });
    let lines: String = (1..4000).map(|number| format!("[{number},\"{long}\"]\n")).collect();
    assert_eq!(run_with(["send", "--nats", &nats.url(), "jobs", "text", "-"], lines.as_bytes()).well(), "");
    for number in 0..4000 {
        assert_eq!(messages.recv_timeout(DEADLINE).unwrap(), number, "in order, and none twice");
    }
}
