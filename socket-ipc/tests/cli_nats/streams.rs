//! Streams and groups of a domain.

use futures_util::stream;

use super::*;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "many", stream = String)]
struct Many(usize);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "fail", stream = u64, error = Failure)]
struct Fail;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "follow", stream = u64)]
struct Follow;

#[derive(Serialize, Deserialize, Debug, thiserror::Error)]
#[error("no more")]
struct Failure {
    max: u64,
}

impl Node {
    /// Responds with streams. Returns what reports that `follow` was dropped.
    fn streams(&self) -> Receiver<&'static str> {
        let text = "x".repeat(100);
        let many = move |Many(to), _| {
            let text = text.clone();
            stream::iter((0..to).map(move |number| format!("{number} {text}")))
        };
        self.server.respond_stream::<Many>(many).unwrap();
        let fail = |Fail, _| stream::iter([Ok(1), Ok(2), Err(Failure { max: 3 })]);
        self.server.respond_stream::<Fail>(fail).unwrap();
        let (report, reports) = channel();
        let follow = move |Follow, _| {
            let dropped = DropReporter(report.clone());
            stream::iter([7]).chain(stream::pending()).inspect(move |_| _ = &dropped)
        };
        self.server.respond_stream::<Follow>(follow).unwrap();
        let _runtime = self.runtime.enter();
        self.cluster.offer::<(Many, Fail, Follow)>().unwrap();
        reports
    }
}

#[test]
fn request_of_a_stream_prints_each_item_and_ends_as_on_one_machine() {
    let Some(nats) = Nats::start("") else { return };
    let node = Node::join(&nats, "host-a");
    let reports = node.streams();
    let request = |arguments: [&str; 5]| over(&nats, &[], arguments);
    until(|| request(["request", "jobs", "many", "0", "--count=1"]), |end| end.status == Some(0));
    // Many times what the window holds.
    let output = request(["request", "jobs", "many", "20000", "--count=100000"]).well();
    let numbers = output.lines().map(|line| line[1..].split(' ').next().unwrap().parse::<usize>().unwrap());
    assert!(numbers.eq(0..20_000_usize), "{} lines", output.lines().count());
    assert_eq!(request(["request", "jobs", "many", "20000", "--count=2"]).well().lines().count(), 2);
    let failed = request(["request", "jobs", "fail", "null", "--count=10"]);
    assert_eq!((failed.status, &*failed.output), (Some(4), "1\n2\n"));
    assert_eq!(failed.errors, "socket-ipc: `fail` was rejected (failed): no more; its data: {\"max\":3}\n");
    // A time-out that is further away than this machine counts is none.
    let patient = ["request", "jobs", "follow", "null", "--count=1", "--timeout=1e19"];
    assert_eq!(over(&nats, &[], patient).well(), "7\n");
    assert_eq!(reports.recv_timeout(TOLD).unwrap(), "dropped", "the node is told");
    let follow = || {
        let following = Running::start(["request", "--nats", &nats.url(), "jobs", "follow", "null"]);
        assert_eq!(following.line(), "7");
        following
    };
    let following = follow();
    following.signal(Signal::INT);
    assert_eq!(following.end().well(), "");
    assert_eq!(reports.recv_timeout(TOLD).unwrap(), "dropped", "the node is told");
    let following = follow();
    node.runtime.block_on(node.cluster.leave());
    let end = following.end();
    assert_eq!(end.status, Some(3), "{}", end.errors);
    assert_eq!(reports.recv_timeout(TOLD).unwrap(), "dropped");
}

#[test]
fn stream_whose_node_or_engine_is_gone_is_lost() {
    let Some(mut nats) = Nats::start("") else { return };
    // A program that begins streams by hand: it loses items, sends too many, or says nothing more.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (url, plain) = (nats.url(), runtime.handle().clone());
    let (report, subscribed) = channel();
    plain.spawn(async move {
        let plain = async_nats::connect(url).await.unwrap();
        let mut requests = plain.subscribe("jobs.q.>").await.unwrap();
        plain.flush().await.unwrap();
        report.send(()).unwrap();
        while let Some(request) = requests.next().await {
            let reply = request.reply.unwrap();
            let is_stream = request.headers.is_some_and(|headers| headers.get("Socket-Ipc-Kind").is_some());
            let publish = async |name: &str, value: &str, payload: &str| {
                let mut headers = async_nats::HeaderMap::new();
                headers.insert(name, value);
                plain.publish_with_headers(reply.clone(), headers, payload.to_owned().into()).await.unwrap();
            };
            match request.subject.as_str() {
                _ if !is_stream => {
                    publish("Socket-Ipc-Error", "true", r#"{"code":"stream","text":"it is one"}"#).await;
                }
                "jobs.q.gap" => {
                    publish("Socket-Ipc-Item", "1", "1\n2").await;
                    publish("Socket-Ipc-Item", "5", "5").await;
                }
                "jobs.q.flood" => {
                    let long = format!("\"{}\"\n", "x".repeat(100_000));
                    publish("Socket-Ipc-Item", "1", &long.repeat(5)).await;
                }
                _ => publish("Socket-Ipc-Item", "1", "1").await,
            }
        }
    });
    subscribed.recv_timeout(DEADLINE).unwrap();
    let end = over(&nats, &[], ["request", "jobs", "gap"]);
    assert_eq!((end.status, &*end.output), (Some(3), "1\n2\n"));
    assert_eq!(end.errors, "socket-ipc: lost 2 or more items of `gap` on their way\n");
    let end = over(&nats, &[], ["request", "jobs", "silent"]);
    assert_eq!((end.status, &*end.output), (Some(3), "1\n"));
    assert_eq!(end.errors, "socket-ipc: no reply to `silent`: its node gave no sign of life for 3s\n");
    let text = over(&nats, &[], ["request", "jobs", "flood"]).failed(1);
    assert_eq!(text, "an item of `flood`, of 100002 bytes, is beyond the window of 262144 bytes");
    let following = Running::start(["request", "--nats", &nats.url(), "jobs", "kill", "null"]);
    assert_eq!(following.line(), "1");
    nats.kill();
    let end = following.end();
    assert_eq!((end.status, &*end.errors), (Some(3), "socket-ipc: lost the NATS server\n"));
    runtime.shutdown_background();
}

#[test]
fn listen_group_prints_what_is_broadcast_to_it_alone() {
    let Some(nats) = Nats::start("") else { return };
    let node = Node::join(&nats, "host-a");
    let listener = Running::start(["listen", "--nats", &nats.url(), "jobs", "--group", "room 5"]);
    assert_eq!(listener.error(), "socket-ipc: connected to the domain jobs");
    let received = |number| {
        node.cluster.broadcast(&News(0)).unwrap();
        node.cluster.group("room 6").broadcast(&News(0)).unwrap();
        node.cluster.group("room 5").broadcast(&News(number)).unwrap();
        listener.line_within(Duration::from_millis(50))
    };
    (1..).find_map(received).unwrap();
    node.cluster.group("room 5").broadcast(&Weather(1000)).unwrap();
    let all: Vec<_> = std::iter::repeat_with(|| listener.json())
        .take(1000)
        .collect_until(|line| line["topic"] == "weather");
    assert!(all.iter().all(|line| line["message"] != 0), "{all:?}");
    assert_eq!(all.last().unwrap(), &json!({"node": node.id(), "topic": "weather", "message": 1000}));
    let end = over(&nats, &[], ["listen", "jobs", "--send", "enter 5"]);
    assert!(end.failed(2).starts_with("--send is for sockets"));
}

/// The items up to the first that is wanted.
trait CollectUntil: Iterator + Sized {
    fn collect_until(self, is_last: impl Fn(&Self::Item) -> bool) -> Vec<Self::Item> {
        let mut all = Vec::new();
        for item in self {
            let is_last = is_last(&item);
            all.push(item);
            if is_last {
                return all;
            }
        }
        panic!("it did not come");
    }
}

impl<I: Iterator> CollectUntil for I {}

#[test]
fn listen_group_says_what_did_not_arrive() {
    let Some(nats) = Nats::start("") else { return };
    let listener = Running::start(["listen", "--nats", &nats.url(), "jobs", "--group", "room"]);
    assert_eq!(listener.error(), "socket-ipc: connected to the domain jobs");
    let count = |count: u64| {
        ("jobs.g.host-a.0123456789abcdef.room.%", format!("{{\"since\":1,\"epoch\":1,\"count\":{count}}}"))
    };
    let line =
        ("jobs.g.host-a.0123456789abcdef.room.news", "{\"topic\":\"news\",\"message\":[1]}\n".to_owned());
    let garbage = ("jobs.g.host-a.0123456789abcdef.room.news", "garbage\n".to_owned());
    let beats = Beats::give(&nats, vec![count(0), line, garbage, count(7)]);
    let node = "host-a.0123456789abcdef";
    assert_eq!(listener.json(), json!({"node": node, "topic": "news", "message": [1]}));
    let missed = listener.error_with("socket-ipc: missed");
    assert_eq!(missed, format!("socket-ipc: missed 5 broadcasts of {node}"), "7 were sent, 2 arrived");
    beats.end();
}
