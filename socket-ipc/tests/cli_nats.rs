//! The command `socket-ipc` over NATS, as whole processes: `nodes`, and `listen`, `send` and `request` with `--nats`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod command;
#[path = "command/nats.rs"]
mod nats_server;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket_ipc::cluster::ClusterOptions;
use socket_ipc::{Client, ErrorReply, Topic};
use tokio::sync::Semaphore;

use command::{DEADLINE, End, Place, Running, command, on_a_terminal, run, run_with, skip};
use nats_server::{Nats, Node};

/// How long a cancel may take. After 10 s a server gives the request up by itself.
const TOLD: Duration = Duration::from_secs(6);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "text"]
struct Text(u64, String);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "weather"]
struct Weather(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "divide", reply = u64, error = DivideError)]
struct Divide(u64, u64);

#[derive(Serialize, Deserialize, Debug, thiserror::Error)]
#[error("{0} by zero\u{1b}[2J")]
struct DivideError(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = ())]
struct Wait;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count;

impl Node {
    /// Responds to `divide`, and to `wait` never. Returns what reports that `wait` began and was dropped.
    fn responds(&self) -> Receiver<&'static str> {
        let divide =
            |Divide(dividend, divisor), _| dividend.checked_div(divisor).ok_or(DivideError(dividend));
        self.server.respond::<Divide>(divide).unwrap();
        let (report, reports) = channel();
        let wait = move |Wait, _| {
            let report = report.clone();
            async move {
                report.send("began").unwrap();
                let _dropped = DropReporter(report);
                std::future::pending::<()>().await;
            }
        };
        self.server.respond_async::<Wait>(wait).unwrap();
        self.server.respond_stream::<Count>(|Count, _| futures_util::stream::iter([1, 2])).unwrap();
        let _runtime = self.runtime.enter();
        self.cluster.offer::<(Divide, Wait, Count)>().unwrap();
        reports
    }
}

struct DropReporter(Sender<&'static str>);

impl Drop for DropReporter {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// The command over a NATS server, with variables in its environment.
fn over<const N: usize>(nats: &Nats, variables: &[(&str, &str)], arguments: [&str; N]) -> End {
    let mut command = command(arguments);
    command.args(["--nats", &nats.url()]).envs(variables.iter().copied());
    Running::of(&mut command).end()
}

/// The lines of `nodes`, as JSON.
fn nodes(nats: &Nats) -> Vec<Value> {
    let output = run(["nodes", "--nats", &nats.url(), "jobs", "--timeout", "2.5"]).well();
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until what a program prints is what a test expects. A node that was told of something says it with its next beat.
fn until<T: std::fmt::Debug>(look: impl Fn() -> T, is_it: impl Fn(&T) -> bool) -> T {
    let start = Instant::now();
    loop {
        let seen = look();
        if is_it(&seen) {
            return seen;
        }
        assert!(start.elapsed() < DEADLINE, "{seen:?}");
    }
}

/// Gives the beats of a node that does not exist, until it is dropped.
struct Beats(tokio::runtime::Runtime);

impl Beats {
    fn give(nats: &Nats, beats: Vec<(&'static str, String)>) -> Self {
        let (url, runtime) = (nats.url(), tokio::runtime::Runtime::new().unwrap());
        runtime.spawn(async move {
            let plain = async_nats::connect(url).await.unwrap();
            let mut often = tokio::time::interval(Duration::from_millis(100));
            loop {
                often.tick().await;
                for (subject, payload) in &beats {
                    plain.publish(*subject, payload.clone().into()).await.unwrap();
                }
            }
        });
        Self(runtime)
    }

    fn end(self) {
        self.0.shutdown_background();
    }
}

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
    assert_eq!(watching.error(), "socket-ipc: connected to the domain jobs again");
    watching.signal(Signal::INT);
    watching.end().well();
}

#[test]
fn nats_missing_error_says_why_and_retry_waits_for_it() {
    let Some(mut nats) = Nats::start("") else { return };
    nats.kill();
    let url = nats.url();
    for arguments in [&["nodes", "jobs"][..], &["request", "jobs", "divide"], &["send", "jobs", "note"]] {
        let mut command = command(arguments);
        let text = Running::of(command.args(["--nats", &url])).end().failed(3);
        let expected = format!("no connection to the domain `jobs` at {url}: ");
        assert!(text.starts_with(&expected) && text.contains("refused"), "{text}");
    }
    let waiting = Running::start(["listen", "--nats", &url, "jobs"]);
    let retrying = Running::start(["request", "--nats", &url, "jobs", "nobody", "--retry"]);
    for running in [&waiting, &retrying] {
        let text = running.error();
        assert!(text.contains("no connection to the domain") && text.ends_with("; trying again"), "{text}");
    }
    nats.restart();
    assert_eq!(waiting.error(), "socket-ipc: connected to the domain jobs");
    assert_eq!(retrying.error(), "socket-ipc: no node of the domain `jobs` offers `nobody`");
    assert_eq!(retrying.end().status, Some(4));
}

#[test]
fn credentials_come_from_options_and_environment_never_from_the_url() {
    let Some(nats) = Nats::start("authorization { user: desk, password: secret }") else { return };
    let options = ClusterOptions::new(nats.url(), "jobs").user_and_password("desk", "secret");
    let _node = Node::with(&nats, options, "host-a");
    let wrong = |variables: &[(&str, &str)], status, expected: &str| {
        let text = over(&nats, variables, ["nodes", "jobs"]).failed(status);
        assert!(text.contains(expected) && !text.contains("secret"), "{text}");
    };
    wrong(&[], 3, "the NATS server refuses these credentials (authorization violation)");
    wrong(&[("NATS_USER", "desk"), ("NATS_PASSWORD", "wrong")], 3, "authorization violation");
    // One that waits for a NATS server does not wait for this one to let it in.
    let text = over(&nats, &[], ["listen", "jobs"]).failed(3);
    assert!(text.contains("authorization violation"), "{text}");
    wrong(&[("NATS_USER", "desk")], 2, "NATS_USER needs the password in the environment, as NATS_PASSWORD");
    wrong(&[("NATS_USER", "desk"), ("NATS_TOKEN", "secret")], 2, "NATS_USER and NATS_TOKEN are both set");
    wrong(
        &[("NATS_CREDS", "/nowhere/my.creds")],
        1,
        "the credentials in /nowhere/my.creds: it does not exist",
    );
    wrong(&[("NATS_NKEY", "/nowhere/my.nkey")], 1, "cannot read the seed of an NKey in /nowhere/my.nkey: ");
    wrong(&[("NATS_CERT", "/nowhere")], 2, "NATS_CERT is set without NATS_KEY");
    wrong(
        &[("NATS_CA", "/nowhere/ca.pem")],
        1,
        "the root certificates in /nowhere/ca.pem: it does not exist",
    );
    let in_url = nats.url().replace("nats://", "nats://desk:secret@");
    for arguments in
        [&["nodes", "jobs"][..], &["listen", "jobs"], &["send", "jobs", "t"], &["request", "jobs", "t"]]
    {
        let text = Running::of(command(arguments).args(["--nats", &in_url])).end().failed(2);
        assert!(text.contains("NATS_USER and NATS_PASSWORD") && text.contains("--creds"), "{text}");
        assert!(!text.contains("secret") && text.contains("127.0.0.1"), "{text}");
    }
    let right = [("NATS_USER", "desk"), ("NATS_PASSWORD", "secret")];
    over(&nats, &right, ["nodes", "jobs", "--timeout", "2.5"]).well();
    // An option goes before the environment.
    let both = [("NATS_TOKEN", "wrong"), ("NATS_PASSWORD", "secret")];
    over(&nats, &both, ["nodes", "jobs", "--user", "desk", "--timeout", "2.5"]).well();
    for (arguments, expected) in [
        (&["nodes", "jobs", "--user", "a", "--creds", "b"][..], "cannot be used with"),
        (&["nodes", "jobs", "--tls-cert", "a"], "missing --tls-key <FILE>"),
        (&["listen", "jobs", "--wire", "node-0.4"], "--wire is for sockets"),
    ] {
        let text = Running::of(command(arguments).args(["--nats", &nats.url()])).end().failed(2);
        assert!(text.contains(expected), "{text}");
    }
    let text = run(["listen", "a.sock", "--user", "a"]).failed(2);
    assert!(text.contains("--nats <URL>"), "{text}");
}

#[test]
fn nkey_and_token_let_the_command_in() {
    // The pair of keys in the documentation of NATS.
    let public = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let Some(nats) = Nats::start(&format!("authorization {{ users = [ {{ nkey: {public} }} ] }}")) else {
        return;
    };
    let file = nats.place.file("seed");
    std::fs::write(&file, format!("{seed}\n")).unwrap();
    let file = file.to_str().unwrap();
    // It is let in, and nobody is there.
    over(&nats, &[], ["nodes", "jobs", "--nkey", file]).failed(5);
    over(&nats, &[("NATS_NKEY", file)], ["nodes", "jobs"]).failed(5);
    let nats = Nats::start("authorization { token: secret }").unwrap();
    over(&nats, &[("NATS_TOKEN", "secret")], ["nodes", "jobs"]).failed(5);
    over(&nats, &[("NATS_TOKEN", "wrong")], ["nodes", "jobs"]).failed(3);
}

#[test]
fn tls_options_name_the_root_and_the_client_certificate() {
    let place = Place::new();
    let file = |name: &str| place.file(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).output();
        output.map(|output| assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)))
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let (root, root_key, own, own_key, request) =
        (file("root.pem"), file("root.key"), file("own.pem"), file("own.key"), file("own.csr"));
    let made = openssl(
        &[&["req", "-x509", "-subj", "/CN=root", "-keyout", &root_key, "-out", &root][..], &key].concat(),
    );
    if made.is_err() {
        return skip("the command over TLS", "openssl is not here");
    }
    openssl(&[&["req", "-subj", "/CN=own", "-keyout", &own_key, "-out", &request][..], &key[..5]].concat())
        .unwrap();
    std::fs::write(file("own.ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let extension = file("own.ext");
    let sign =
        ["x509", "-req", "-in", &request, "-CA", &root, "-CAkey", &root_key, "-CAcreateserial", "-days", "2"];
    openssl(&[&sign[..], &["-extfile", &extension, "-out", &own]].concat()).unwrap();
    let config =
        format!("tls {{ cert_file: \"{own}\", key_file: \"{own_key}\", ca_file: \"{root}\", verify: true }}");
    let Some(nats) = Nats::start(&config) else { return };
    let certificate = ["--tls-cert", &own, "--tls-key", &own_key];
    let with = |more: &[&str]| {
        let mut command = command(["nodes", "jobs", "--nats", &nats.url().replace("nats", "tls")]);
        Running::of(command.args(more)).end()
    };
    let text = with(&certificate).failed(3);
    assert!(text.contains("was issued by none of the roots of this system"), "{text}");
    let text = with(&["--tls-ca", &root]).failed(3);
    assert!(text.contains("demands a client certificate, and none was given"), "{text}");
    // It is let in, and nobody is there.
    with(&[&certificate[..], &["--tls-ca", &root]].concat()).failed(5);
    let variables = [("NATS_CA", &*root), ("NATS_CERT", &own), ("NATS_KEY", &own_key)];
    over(&nats, &variables, ["nodes", "jobs"]).failed(5);
}

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
    assert_eq!(listener.error(), "socket-ipc: connected to the domain jobs again");
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
    assert_eq!(text, "`divide` was rejected (failed): 42 by zero\\u001b[2J");
    let text = request("divide", "true").failed(4);
    assert!(text.starts_with("the peer can't decode the request of `divide`: "), "{text}");
    let start = Instant::now();
    assert_eq!(request("missing", "1").failed(4), "no node of the domain `jobs` offers `missing`");
    // It is not offered, though the server has a responder.
    assert_eq!(request("refuse", "1").failed(4), "no node of the domain `jobs` offers `refuse`");
    assert!(start.elapsed() < Duration::from_secs(5), "at once: {:?}", start.elapsed());
    let text = request("count", "null").failed(4);
    assert!(text.starts_with("`count` was rejected (stream): "), "{text}");
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
    let requesting = Running::start(["request", "--nats", &nats.url(), "jobs", "wait", "--timeout", "60"]);
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
    let requesting = Running::start(["request", "--nats", &nats.url(), "jobs", "wait", "--timeout", "60"]);
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

#[test]
fn permissions_of_the_chapter_are_enough_and_a_missing_one_is_named() {
    let chapter = include_str!("../src/guide/command.md");
    let (_, users) = chapter.split_once("```text\nauthorization { users = [\n").unwrap();
    let users = users.split_once("] }\n```").unwrap().0;
    let node = "{ user: node, password: secret }";
    let Some(nats) = Nats::start(&format!("authorization {{ users = [ {users}\n{node} ] }}")) else { return };
    let options = ClusterOptions::new(nats.url(), "jobs").user_and_password("node", "secret").name("host-a");
    let node = Node::with(&nats, options, "host-a");
    let reports = node.responds();
    node.server.on::<News>(|_, _| {});
    let _runtime = node.runtime.enter();
    node.cluster.offer::<News>().unwrap();
    let as_user = [("NATS_USER", "command"), ("NATS_PASSWORD", "…")];
    let divide = || over(&nats, &as_user, ["request", "jobs", "divide", "[42,6]"]);
    until(divide, |end| end.status == Some(0));
    until(|| over(&nats, &as_user, ["send", "jobs", "news", "1"]), |end| end.status == Some(0));
    over(&nats, &as_user, ["nodes", "jobs", "--timeout", "2.5"]).well();
    over(&nats, &as_user, ["request", "jobs", "wait", "--timeout", "0.5"]).failed(5);
    for expected in ["began", "dropped"] {
        assert_eq!(reports.recv_timeout(TOLD).unwrap(), expected);
    }
    let mut listening = command(["listen", "jobs", "--nats", &nats.url()]);
    let listening = Running::of(listening.envs(as_user));
    assert_eq!(listening.error(), "socket-ipc: connected to the domain jobs");
    let received = || {
        node.cluster.broadcast(&News(5)).unwrap();
        listening.line_within(Duration::from_millis(50))
    };
    std::iter::repeat_with(received).flatten().next().unwrap();
    drop(listening);

    let restricted = |publish: &str, subscribe: &str| {
        let config = format!(
            "authorization {{ users = [ {{ user: command, password: \"…\", permissions: {{ publish: [{publish}], subscribe: \
             [{subscribe}] }} }} ] }}"
        );
        Nats::start(&config).unwrap()
    };
    let nats = restricted("\"jobs.i.>\"", "\"jobs.i.command.>\"");
    for (arguments, subject) in [
        (&["nodes", "jobs"][..], "jobs.b.*.*"),
        (&["listen", "jobs"], "jobs.b.>"),
        (&["request", "jobs", "divide"], "jobs.q.divide"),
        (&["send", "jobs", "news"], "jobs.q.news"),
    ] {
        let mut command = command(arguments);
        let end = Running::of(command.args(["--nats", &nats.url()]).envs(as_user)).end();
        assert_eq!(end.status, Some(4), "{}", end.errors);
        assert!(end.errors.contains("does not allow it") && end.errors.contains(subject), "{}", end.errors);
    }
}
