//! Very many groups: every broadcast reaches exactly the members at its moment, and nothing is left of them. These tests
//! have a process of their own, because they measure its memory.
//!
//! `SOCKET_IPC_GROUPS=1 cargo test --release --test groups_many` runs them in full, part of `.ci/long`.

mod beside;
mod model;

use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};
use support::soon;
use tokio::io::{AsyncBufReadExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::Mutex;

use self::model::Model;

/// The tests of this file measure the same memory.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const MIB: usize = 1024 * 1024;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "number"]
struct Number(u64);

/// How much is done.
#[derive(Clone, Copy)]
struct Size {
    groups: usize,
    clients: usize,
    steps: usize,
}

impl Size {
    /// How many members a group has, on average.
    const MEMBERS: usize = 10;

    fn of_this_run() -> Self {
        if std::env::var_os("SOCKET_IPC_GROUPS").is_some() {
            Self { groups: 10_000, clients: 1_000, steps: 1_000_000 }
        } else {
            Self { groups: 500, clients: 50, steps: 20_000 }
        }
    }
}

/// The memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Gives all numbers up to the end of the connection to `take`.
async fn read(stream: DuplexStream, mut take: impl FnMut(u64)) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let number = line.strip_prefix(r#"{"topic":"number","message":"#).unwrap().strip_suffix('}').unwrap();
        take(number.parse().unwrap());
    }
}

support::both_flavours! {
    async fn broadcast_reaches_exactly_the_members_at_its_moment() {
        let _alone = ONE_AT_A_TIME.lock().await;
        let size = Size::of_this_run();
        let mut model = Model::new(size);
        let mut left = Vec::new();
        // Everybody leaves after each round. What the first one has left, the second one uses again.
        for _ in 0..2 {
            let memory = model.round(size).await;
            left.push(resident());
            println!("{} broadcasts, MiB: {memory:?}, {} once all have left", model.number, left[left.len() - 1] / MIB);
            let (before, after) = (memory[3], memory[9]);
            assert!(after <= before + before / 4 + 4, "the memory grows: {memory:?} MiB");
        }
        let grown = left[1].saturating_sub(left[0]);
        assert!(grown < 4 * MIB, "{grown} bytes more once all have left for the second time");
    }

    async fn million_groups_come_and_go_memory_stays() {
        let _alone = ONE_AT_A_TIME.lock().await;
        let Size { steps, .. } = Size::of_this_run();
        let server = Server::new("in memory");
        let (ours, theirs) = duplex(1024);
        let id = server.serve_connection(ours).unwrap().unwrap();
        let reader = tokio::spawn(async move {
            let mut count = 0;
            read(theirs, |_| count += 1).await;
            count
        });
        let come_and_go = async |from: usize| {
            for number in from..from + steps {
                let room = server.group(format!("room {number}, and a name that is rather long"));
                assert_eq!(room.join(id), Ok(true));
                assert_eq!(room.broadcast(&Number(1)).unwrap(), 1);
                assert!(room.leave(id));
                if number % 64 == 0 {
                    assert_eq!(server.stats().groups, 0);
                    tokio::task::yield_now().await;
                }
            }
        };
        come_and_go(0).await;
        let before = resident();
        come_and_go(steps).await;
        let grown = resident().saturating_sub(before);
        println!("{steps} groups, then as many others: {grown} bytes more");
        assert!(grown < 4 * MIB, "{grown} bytes for {steps} groups");
        server.disconnect(id);
        assert_eq!(soon("the end", reader).await.unwrap(), 2 * steps);
    }
}
