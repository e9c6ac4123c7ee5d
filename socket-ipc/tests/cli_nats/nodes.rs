//! `nodes`: who is in a domain.

use super::*;

#[test]
fn nodes_lists_servers_with_clients_offers_broadcasts_and_lag() {
    let Some(nats) = Nats::start("") else { return };
    let (one, other) = (Node::join(&nats, "host-a"), Node::join(&nats, "host-b"));
    let _reports = other.responds();
    let client = Client::new(&one.socket);
    one.runtime.block_on(client.connect()).unwrap();
    one.cluster.broadcast(&News(1)).unwrap();
    let seen = until(|| nodes(&nats), |nodes| nodes[0]["clients"] == 1 && nodes[0]["broadcasts"] == 1);
    assert_eq!(
        seen,
        [
            json!({"node": one.id(), "name": "host-a", "up": true, "clients": 1, "offers": [], "broadcasts": 1,
                   "lag": 0}),
            json!({"node": other.id(), "name": "host-b", "up": true, "clients": 0,
                   "offers": ["count", "divide", "wait"], "broadcasts": 0, "lag": 0}),
        ]
    );
    let only_reads = one.cluster.nodes();
    assert_eq!(only_reads.len(), 1, "the command is no node: {only_reads:?}");
    let line = format!("nodes --nats {} jobs --timeout 2.5", nats.url());
    let Some(terminal) = on_a_terminal("NO_COLOR=1", &line) else { return };
    assert_eq!(terminal.line(), format!("{}  1 clients, 1 broadcasts, lag 0", one.id()));
    assert_eq!(
        terminal.line(),
        format!("{}  0 clients, 0 broadcasts, lag 0, offers count divide wait", other.id())
    );
    let terminal = on_a_terminal("NO_COLOR=1", &format!("{line} --json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&terminal.line()).unwrap(), seen[0]);
}

#[test]
fn nodes_lag_is_what_a_node_missed() {
    let Some(nats) = Nats::start("") else { return };
    let one = Node::join(&nats, "host-a");
    // A node whose broadcasts get lost: its beats tell of three more each time.
    let beats = (0..20).map(|number| format!("{{\"sequence\":{},\"clients\":0}}", 3 * number));
    let lost = beats.map(|beat| ("jobs.b.host-c.0123456789abcdef", beat)).collect();
    let beats = Beats::give(&nats, lost);
    let lag = |nodes: &Vec<Value>| {
        nodes.iter().any(|node| node["node"] == one.id() && node["lag"].as_u64() > Some(3))
    };
    until(|| nodes(&nats), lag);
    beats.end();
}

#[test]
fn nodes_hostile_beats_are_escaped_or_named() {
    let Some(nats) = Nats::start("") else { return };
    let hostile = r#"{"sequence":5,"clients":3,"offers":["\u001b[2J","plain"],"lag":7}"#;
    let beats = Beats::give(
        &nats,
        vec![
            ("jobs.b.%1B%5B2J.0123456789abcdef", hostile.to_owned()),
            ("jobs.b.host-a.not-hexadecimal", hostile.to_owned()),
            ("jobs.b.host-b.0123456789abcdef", "garbage\u{1b}".to_owned()),
        ],
    );
    let end = over(&nats, &[], ["nodes", "jobs"]);
    let line: Value = serde_json::from_str(&end.output).unwrap();
    assert_eq!((&line["name"], &line["offers"][0]), (&json!("\u{1b}[2J"), &json!("\u{1b}[2J")));
    assert_eq!((end.status, &line["clients"], &line["lag"]), (Some(0), &json!(3), &json!(7)));
    assert!(end.errors.contains("skipped what came under jobs.b.host-a.not-hexadecimal: "), "{}", end.errors);
    assert!(end.errors.contains("jobs.b.host-b.0123456789abcdef: it is no beat"), "{}", end.errors);
    let Some(terminal) = on_a_terminal("NO_COLOR=1", &format!("nodes --nats {} jobs", nats.url())) else {
        return;
    };
    let line = std::iter::repeat_with(|| terminal.line()).find(|line| line.contains("clients")).unwrap();
    let expected = r#"%1B%5B2J.0123456789abcdef  3 clients, 5 broadcasts, lag 7, offers "\u001b[2J" plain"#;
    assert_eq!(line, expected);
    beats.end();
}

#[test]
fn nodes_of_empty_domain_exits_with_its_status() {
    let Some(nats) = Nats::start("") else { return };
    let _elsewhere = Node::join(&nats, "host-a");
    let text = over(&nats, &[], ["nodes", "nobody is here"]).failed(5);
    assert_eq!(text, "no node of the domain `nobody is here` gave a sign of life within 1.5s");
    let text = over(&nats, &[], ["nodes", ""]).failed(2);
    assert_eq!(text, "the name of the domain is 0 bytes long; 1 to 128 are allowed");
    let text = over(&nats, &[], ["nodes", &"x".repeat(200)]).failed(2);
    assert_eq!(text, "the name of the domain is 200 bytes long; 1 to 128 are allowed");
    let text = run(["nodes", "jobs"]).failed(2);
    assert!(text.starts_with("missing --nats <URL>"), "{text}");
}

#[test]
fn nodes_watch_prints_who_comes_and_goes_until_a_signal() {
    let Some(mut nats) = Nats::start("") else { return };
    let watching = Running::start(["nodes", "--nats", &nats.url(), "jobs", "--watch"]);
    assert_eq!(watching.error(), "socket-ipc: connected to the domain jobs");
    let one = Node::join(&nats, "host-a");
    let next = || serde_json::from_str::<Value>(&watching.line()).unwrap();
    let line = next();
    assert_eq!((&line["node"], &line["up"], &line["clients"]), (&json!(one.id()), &json!(true), &json!(0)));
    let client = Client::new(&one.socket);
    one.runtime.block_on(client.connect()).unwrap();
    assert_eq!(next()["clients"], 1);
    one.runtime.block_on(one.cluster.leave());
    let line = std::iter::repeat_with(next).find(|line| line["up"] == false).unwrap();
    assert_eq!(line["node"], one.id());
    // One that says no goodbye.
    let other = Node::join(&nats, "host-b");
    assert_eq!(next()["name"], "host-b");
    let id = other.id();
    drop(other);
    let line = std::iter::repeat_with(next).find(|line| line["up"] == false).unwrap();
    assert_eq!(line["node"], id);
    nats.kill();
    assert_eq!(watching.error(), "socket-ipc: lost the NATS server; trying again");
    nats.restart();
    // Before that it may say why it could not connect.
    let again = |line: &String| line == "socket-ipc: connected to the domain jobs again";
    assert!(std::iter::repeat_with(|| watching.error()).any(|line| again(&line)));
    watching.signal(Signal::INT);
    watching.end().well();
}
