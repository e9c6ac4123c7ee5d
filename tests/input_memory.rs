//! Floods: memory stays flat, and the other clients are served. These tests have a process of their own, because they
//! measure its memory.

mod attack;

use std::time::Instant;

use attack::{Attack, Endpoint, Event, Limits, received};
use socket_ipc::{MessageErrorKind, Server, limits};
use support::{Events, Place, RawPeer, soon};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

/// The tests of this file measure the same memory.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const MIB: usize = 1024 * 1024;

/// The memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

support::both_flavours! {
    async fn line_without_delimiter_takes_no_memory_beyond_the_limit() {
        let _alone = ONE_AT_A_TIME.lock().await;
        let chunk = vec![b'x'; MIB];
        for mut attack in Attack::both(Limits::default()).await {
            attack.lives().await;
            let before = resident();
            let mut most = 0;
            for _ in 0..64 {
                attack.peer.write(&chunk).await;
                most = most.max(resident().saturating_sub(before));
            }
            attack.peer.write("\n").await;
            let Event::Error(kind, raw, len) = attack.events.next().await else { panic!() };
            assert_eq!(kind, MessageErrorKind::TooLong { limit: limits::MESSAGE_LEN });
            assert_eq!((raw.len(), len), (limits::RAW_LEN, 64 * MIB as u64));
            attack.lives().await;
            assert!(most < 2 * limits::MESSAGE_LEN, "the process grew by {most} bytes");
        }
    }

    async fn message_error_flood_is_reported_whole_and_others_get_replies() {
        const LINES: usize = 100_000;
        let _alone = ONE_AT_A_TIME.lock().await;
        let mut attack = Attack::on_server(Limits::default()).await;
        let Endpoint::Server(server) = &attack.endpoint else { panic!() };
        let reply = server.handle();
        server.on_topic("ping", move |_, client_id| reply.send_raw("pong", &(), client_id).unwrap());
        let mut bystander = attack.bystander.take().unwrap();
        let before = resident();
        let (mut most, mut errors) = (0, 0);
        let mut trips = Vec::new();
        let mut peer = attack.peer;
        let flood = tokio::spawn(async move {
            let lines = "{\"topic\":1}\n".repeat(1_000);
            for _ in 0..LINES / 1_000 {
                peer.stream.write_all(lines.as_bytes()).await.unwrap();
            }
            peer
        });
        let pings = async {
            while errors < LINES {
                let start = Instant::now();
                bystander.write("{\"topic\":\"ping\"}\n").await;
                bystander.line().await;
                trips.push(start.elapsed());
                let new = attack.events.rest();
                assert!(new.iter().all(|event| matches!(event, Event::Error(_, raw, 11) if raw == b"{\"topic\":1}")));
                errors += new.len();
                most = most.max(resident().saturating_sub(before));
            }
        };
        soon("the end of the flood", pings).await;
        let mut peer = flood.await.unwrap();
        peer.write("{\"topic\":\"good\",\"message\":1}\n").await;
        assert_eq!(attack.events.next().await, received("good", "1"));
        assert_eq!(errors, LINES);
        // The work of a turn is bounded: the other client gets a turn every few hundred lines, however slow the
        // machine.
        trips.sort_unstable();
        println!("{} round trips, 99 % of them within {:?}", trips.len(), trips[trips.len() * 99 / 100]);
        assert!(trips.len() > 20, "{} round trips during {LINES} lines", trips.len());
        // The events that the test has not read yet count, too.
        assert!(most < 32 * MIB, "the process grew by {most} bytes");
    }

    async fn message_error_over_limit_keeps_only_raw_len() {
        let _alone = ONE_AT_A_TIME.lock().await;
        let place = Place::new();
        let mut kept = Events::new();
        let report = kept.reporter();
        let server = Server::builder(place.socket()).max_message_len(1000).raw_len(usize::MAX).build();
        server.on_message_error(move |error, _| report((error.raw().len(), error.len())));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(vec![b'x'; 1 << 24]).await;
        peer.write("\n").await;
        assert_eq!(kept.next().await, (limits::RAW_LEN, 1 << 24));
    }
}
