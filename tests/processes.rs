//! Whole processes: killed, stopped, starved, racing, and of another user.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Topic};
use support::process::{Peer, command, copy_program, numbers, processor_time, text};
use support::{DEADLINE, Events, Place, RawPeer};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "ping"]
struct Ping(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "pong"]
struct Pong(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "block"]
struct Block<'m> {
    number: u64,
    text: &'m str,
}

support::whole_processes! {
    server_killed_is_replaced_at_once_and_clients_reconnect,
    client_killed_mid_message_is_one_close_and_others_are_served,
    stopped_client_is_aborted_once_and_delays_others_by_one_write_stall,
    million_malformed_messages_cost_no_memory_and_others_are_served,
    stale_path_sixteen_processes_race_one_wins_and_all_reach_it,
    mode_600_umask_000_other_user_never_connects_in_500_starts,
    mode_666_user_not_allowed_gets_no_byte_in_and_none_out,
    socket_of_service_manager_is_served_and_its_file_is_left,
    server_out_of_descriptors_serves_its_clients_and_accepts_later,
}

fn start(flavour: &str, arguments: &[&str]) -> Peer {
    Peer::of(&mut command(env!("CARGO_BIN_EXE_peer"), flavour, arguments))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn server_killed_is_replaced_at_once_and_clients_reconnect(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let mut client = start(flavour, &["client", text(&path)]);
    client.line_with("connect");
    for round in 0..100 {
        client.tell(&format!("ping {round}"));
        assert_eq!(client.line_with("pong"), format!("pong {round}"));
        server.kill();
        let restarted = Instant::now();
        server = start(flavour, &["server", text(&path)]);
        server.line_with("listening");
        assert!(restarted.elapsed() < DEADLINE);
        assert_eq!(client.line(), "disconnect PeerClosed");
        assert_eq!(client.line(), "connect");
        assert_eq!(client.line(), "reconnect");
    }
    client.exits_well();
    server.exits_well();
    assert!(!path.exists(), "the last server removed its file");
}

fn client_killed_mid_message_is_one_close_and_others_are_served(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let mut witness = start(flavour, &["client", text(&path)]);
    witness.line_with("connect");
    assert_eq!(server.line(), "connection 1");
    for round in 2..30 {
        let script = "import socket,sys,time; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
                      s.sendall(b'{\"topic\":\"ping\",\"mess'); print('sent', flush=True); time.sleep(100)";
        let mut half = Peer::of(Command::new("python3").args(["-c", script, text(&path)]));
        assert_eq!(half.line(), "sent");
        assert_eq!(server.line(), format!("connection {round}"));
        half.kill();
        assert_eq!(server.line(), format!("close {round} PeerClosed"));
    }
    witness.tell("ping 7");
    assert_eq!(witness.line(), "pong 7");
}

fn stopped_client_is_aborted_once_and_delays_others_by_one_write_stall(flavour: &str) {
    const CLIENTS: usize = 50;
    const LEN: usize = 64 * 1024;
    // 1 GiB in all.
    const BLOCKS: u64 = (1 << 30) / (LEN * CLIENTS) as u64 + 1;
    let place = Place::new();
    let path = place.socket();
    let mut server =
        start(flavour, &["flood", text(&path), &CLIENTS.to_string(), &BLOCKS.to_string(), &LEN.to_string()]);
    server.line_with("listening");
    let stopped = start(flavour, &["client", text(&path)]);
    stopped.line_with("connect");
    stopped.signal(Signal::STOP);

    runtime().block_on(async {
        let mut finished = Events::new();
        let mut clients = Vec::new();
        for number in 1..CLIENTS {
            let client = Client::new(&path);
            let report = finished.reporter();
            let (next, longest, last) = (
                std::sync::atomic::AtomicU64::new(0),
                std::sync::Mutex::new(Duration::ZERO),
                std::sync::Mutex::new(Instant::now()),
            );
            client.on::<Block>(move |block| {
                let expected = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                assert_eq!((block.number, block.text.len()), (expected, LEN), "in order, without a gap");
                let pause = std::mem::replace(&mut *last.lock().unwrap(), Instant::now()).elapsed();
                let mut longest = longest.lock().unwrap();
                if block.number > 0 {
                    *longest = pause.max(*longest);
                }
                if block.number == BLOCKS - 1 {
                    report((number, *longest));
                }
            });
            client.on_error(|error| panic!("{error}"));
            client.connect().await.unwrap();
            clients.push(client);
        }
        assert_eq!(server.line(), "complete");
        server.tell("go");
        for _ in 1..CLIENTS {
            // The write stall, and then the time in which this unoptimised process decodes a gigabyte.
            let (number, longest) = finished.next_within(5 * DEADLINE).await;
            // A write stall is 10 s; a busy machine may add to it, but less than another 10 s.
            assert!(longest < Duration::from_secs(19), "client {number} waited {longest:?} for a block");
        }
    });
    // One report, of the stopped client, with what it was not sent; then the end of the flood.
    let close = server.line();
    assert!(close.starts_with("close 1 SlowClient "), "{close}");
    let [_, messages, bytes] = numbers(&close)[..] else { panic!("{close}") };
    assert!(messages > 0 && bytes > 0, "{close}");
    let sent = server.line();
    let [baseline, peak] = numbers(&sent)[..] else { panic!("{sent}") };
    println!("resident: {baseline} KiB, at most {peak} KiB during {BLOCKS} broadcasts of {LEN} bytes");
    assert!(peak - baseline < 64 * 1024, "{sent}");
}

fn million_malformed_messages_cost_no_memory_and_others_are_served(flavour: &str) {
    const MESSAGES: u64 = 1_000_000;
    let place = Place::new();
    let path = place.socket();
    let server = start(flavour, &["server", text(&path)]);
    let baseline = numbers(&server.line_with("listening"))[0];
    runtime().block_on(async {
        let client = Client::new(&path);
        let mut replies = client.subscribe::<Pong>();
        client.connect().await.unwrap();
        let mut attacker = RawPeer::connect(&path).await;
        let attack = tokio::spawn(async move {
            let lines = b"{\"topic\":\"ping\",\"message\":nonsense}\n".repeat(1_000);
            for _ in 0..MESSAGES / 1_000 {
                attacker.write(&lines).await;
            }
            attacker
        });
        let (mut replied, mut slowest) = (0, Duration::ZERO);
        while !attack.is_finished() {
            let sent_at = Instant::now();
            client.send(&Ping(replied)).unwrap();
            let Pong(number) = support::soon("a reply under attack", replies.next()).await.unwrap();
            assert_eq!(number, replied);
            slowest = slowest.max(sent_at.elapsed());
            replied += 1;
        }
        println!("{replied} round trips under attack, the slowest {slowest:?}");
        assert!(replied > 10, "the attack delayed the other client");
        attack.await.unwrap();
    });
    let mut largest = 0;
    for round in 1..=MESSAGES / 100_000 {
        let line = server.line_with("message errors");
        let [errors, resident] = numbers(&line)[..] else { panic!("{line}") };
        assert_eq!(errors, round * 100_000);
        largest = largest.max(resident);
    }
    println!("resident: {baseline} KiB before, at most {largest} KiB");
    assert!(largest < baseline + 16 * 1024);
    // Both clients are gone: no error may follow the last one.
    server.exits_well_without("message errors");
}

fn stale_path_sixteen_processes_race_one_wins_and_all_reach_it(flavour: &str) {
    const RACERS: usize = 16;
    let place = Place::new();
    let path = place.socket();
    let mut racers: Vec<_> = (0..RACERS).map(|_| start(flavour, &["racer", text(&path)])).collect();
    let mut all = |line: &str| -> Vec<String> {
        racers.iter_mut().for_each(|racer| racer.tell(line));
        racers.iter().map(Peer::line).collect()
    };
    for round in 0..200 {
        // A dropped listener of std leaves its file, as a killed server does.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let results = all("race");
        let winners: Vec<_> = results.iter().filter_map(|line| line.strip_prefix("won ")).collect();
        assert_eq!(winners.len(), 1, "round {round}: {results:?}");
        let reached = format!("reached {}", winners[0]);
        assert!(all("reach").iter().all(|line| *line == reached), "round {round}");
        all("stop");
        assert!(!path.exists());
    }
}

/// Another user tries to connect during 500 starts of a server with this mode. Returns how often the kernel denied it,
/// the connections, and the bytes received.
fn intrude(flavour: &str, mode: &str) -> Option<[u64; 3]> {
    if !rustix::process::geteuid().is_root() {
        support::skip("becoming another user", "only the superuser can");
        return None;
    }
    let place = Place::new();
    let path = place.socket();
    std::fs::set_permissions(place.directory(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // The other user may have no access to the directory of the build.
    let copy = place.directory().join("peer");
    copy_program(env!("CARGO_BIN_EXE_peer"), &copy);
    let mut intruders: Vec<_> = (0..2)
        .map(|_| Peer::of(Command::new(&copy).args(["intruder", text(&path)]).uid(65534).gid(65534)))
        .collect();
    for intruder in &intruders {
        assert_eq!(intruder.line(), "trying");
    }
    let server = start(flavour, &["starts", text(&path), "500", mode]);
    let done = server.line_within(6 * DEADLINE);
    assert!(done.starts_with("done"), "a connection was let in or a message dispatched: {done}");
    let mut sum = [0; 3];
    for intruder in &mut intruders {
        intruder.tell("enough");
        let line = intruder.line();
        println!("mode {mode}: {line}; {done}");
        let counts = numbers(&line);
        sum = [sum[0] + counts[0], sum[1] + counts[2], sum[2] + counts[3]];
    }
    Some(sum)
}

fn mode_600_umask_000_other_user_never_connects_in_500_starts(flavour: &str) {
    if let Some([denied, connected, received]) = intrude(flavour, "600") {
        assert!(denied > 100, "the intruders hardly tried: {denied} denials");
        assert_eq!((connected, received), (0, 0));
    }
}

fn mode_666_user_not_allowed_gets_no_byte_in_and_none_out(flavour: &str) {
    if let Some([_, connected, received]) = intrude(flavour, "666") {
        assert!(connected > 10, "the intruders hardly connected: {connected} times");
        assert_eq!(received, 0);
    }
}

fn socket_of_service_manager_is_served_and_its_file_is_left(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    // As systemd does: it binds, listens, leaves the socket as descriptor 3, and sets the environment.
    let script = "import os,socket,sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); \
                  os.dup2(s.fileno(), 3); os.set_inheritable(3, True); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); \
                  os.execv(sys.argv[2], [sys.argv[2], 'activated'])";
    let peer = env!("CARGO_BIN_EXE_peer");
    let server = Peer::of(
        Command::new("python3").args(["-c", script, text(&path), peer]).env("PEER_FLAVOUR", flavour),
    );
    server.line_with("listening");
    let mut client = start(flavour, &["client", text(&path)]);
    client.line_with("connect");
    client.tell("ping 5");
    assert_eq!(client.line(), "pong 5");
    client.exits_well();
    server.exits_well();
    assert!(path.exists(), "the file belongs to the program that bound it");
}

fn server_out_of_descriptors_serves_its_clients_and_accepts_later(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let mut limited = Command::new("prlimit");
    // The server lets in 12 clients: a quarter of the 16 descriptors is left to other files. The server itself needs
    // more than that quarter, so the descriptors run out before.
    limited.args(["--nofile=16", env!("CARGO_BIN_EXE_peer"), "server", text(&path)]);
    let server = Peer::of(limited.env("PEER_FLAVOUR", flavour));
    server.line_with("listening");
    let process = Pid::from_child(&server.child);
    runtime().block_on(async {
        let client = Client::new(&path);
        let mut replies = client.subscribe::<Pong>();
        client.connect().await.unwrap();
        let mut crowd = Vec::new();
        for _ in 0..40 {
            crowd.push(RawPeer::connect(&path).await);
        }
        server.line_with("error ");
        let before = processor_time(process);
        let began = Instant::now();
        for number in 0..200 {
            client.send(&Ping(number)).unwrap();
            let Pong(reply) = support::soon("a reply without descriptors", replies.next()).await.unwrap();
            assert_eq!(reply, number);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let share = (processor_time(process) - before).as_secs_f64() / began.elapsed().as_secs_f64();
        println!("{:.1} % of a core while no connection can be accepted", 100.0 * share);
        assert!(share < 0.2, "it spins");
        drop(crowd);
        let mut late = RawPeer::connect(&path).await;
        late.write(b"{\"topic\":\"ping\",\"message\":5}\n").await;
        assert_eq!(late.line().await, r#"{"topic":"pong","message":5}"#);
    });
}
