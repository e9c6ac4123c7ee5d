//! Very many streams: their order, their memory, and what is left of them. These tests have a process of their own,
//! because they measure its memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::{self, FuturesUnordered};
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, RequestError, Server, Topic, limits};
use support::{Place, soon, within};
use tokio::sync::Mutex;

/// The tests of this file measure the same memory.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const MIB: usize = 1024 * 1024;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "double", reply = u64)]
struct Double(u64);

/// Numbers from `from`.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count {
    from: u64,
    items: u64,
}

/// Numbers without end.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "endless", stream = u64)]
struct Endless;

/// Nothing, for ever.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "silent", stream = u64)]
struct Silent;

/// The memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// A server, a client of it, and how many endless streams have begun and were dropped.
async fn connected(place: &Place) -> (Server, Client, [Arc<AtomicUsize>; 2]) {
    let server = Server::new(place.socket());
    server.respond::<Double>(|Double(number), _| 2 * number).unwrap();
    server.respond_stream::<Count>(|Count { from, items }, _| stream::iter(from..from + items)).unwrap();
    let counts = [Arc::<AtomicUsize>::default(), Arc::default()];
    let [begun, dropped] = counts.clone();
    server
        .respond_stream::<Endless>(move |_, _| {
            begun.fetch_add(1, Ordering::SeqCst);
            let guard = Guard(Arc::clone(&dropped));
            stream::iter(0..).map(move |number| {
                let _ = &guard;
                number
            })
        })
        .unwrap();
    let [begun, dropped] = counts.clone();
    server
        .respond_stream::<Silent>(move |_, _| {
            begun.fetch_add(1, Ordering::SeqCst);
            let guard = Guard(Arc::clone(&dropped));
            stream::poll_fn(move |_| {
                let _ = &guard;
                std::task::Poll::<Option<u64>>::Pending
            })
        })
        .unwrap();
    server.listen().await.unwrap();
    let client = Client::new(place.socket());
    client.connect().await.unwrap();
    (server, client, counts)
}

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits until `ready`, and fails the test if that takes too long.
async fn until(what: &str, mut ready: impl FnMut() -> bool) {
    soon(what, async {
        while !ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

support::both_flavours! {
    async fn thousand_streams_beside_requests_keep_order_replies_and_memory() {
        const STREAMS: u64 = 1_000;
        const ITEMS: u64 = 1_000;
        const REQUESTS: u64 = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
        let _alone = ONE_AT_A_TIME.lock().await;
        let place = Place::new();
        let (server, client, _) = connected(&place).await;
        let mut unread = client.request_stream(&Endless);
        soon("the start", unread.started()).await.unwrap();
        let before = resident();
        let most = Arc::new(AtomicUsize::new(0));
        let streams = (0..STREAMS).map(|number| {
            let mut items = client.request_stream(&Count { from: number, items: ITEMS });
            async move {
                let mut expected = number;
                while let Some(item) = items.next().await {
                    assert_eq!(item.unwrap(), expected, "stream {number}");
                    expected += 1;
                }
                assert_eq!(expected, number + ITEMS);
            }
        });
        let mut streams: FuturesUnordered<_> = streams.collect();
        let watched = Arc::clone(&most);
        let requests = async {
            let request = |number| { let reply = client.request(&Double(number)); async move { (number, reply.await) } };
            let mut replies: FuturesUnordered<_> = (0..16).map(request).collect();
            for number in 16..16 + REQUESTS {
                let (number_of, reply) = replies.next().await.unwrap();
                assert_eq!(reply.unwrap(), 2 * number_of);
                if number < REQUESTS {
                    replies.push(request(number));
                }
                if number.is_multiple_of(1_000) {
                    watched.fetch_max(resident(), Ordering::SeqCst);
                }
                if replies.is_empty() { break; }
            }
        };
        let all = async { while streams.next().await.is_some() {} };
        within("all items and replies", Duration::from_secs(110), async { tokio::join!(all, requests) }).await;
        let grown = most.load(Ordering::SeqCst).saturating_sub(before);
        println!("the process grew by {} KiB", grown / 1024);
        assert!(grown < 32 * MIB, "the process grew by {grown} bytes");
        // The one that nobody has read goes on where it stopped.
        for number in 0..20_000 {
            assert_eq!(soon("an item", unread.next()).await.unwrap().unwrap(), number);
        }
        assert_eq!(server.stats().message_errors, 0);
    }

    async fn streams_dropped_or_timed_out_ten_thousand_times_leave_nothing() {
        const ROUNDS: usize = if cfg!(debug_assertions) { 2_000 } else { 10_000 };
        let _alone = ONE_AT_A_TIME.lock().await;
        let place = Place::new();
        let (_server, client, [begun, dropped]) = connected(&place).await;
        let round = async |round: usize| {
            if round % 20 == 9 {
                // Each item is awaited anew, until one does not come at once.
                let mut items = client.request_stream(&Endless).window(64).idle_timeout(Duration::ZERO);
                let error = loop {
                    match items.next().await.unwrap() {
                        Ok(_) => {}
                        Err(error) => break error,
                    }
                };
                assert!(matches!(error, RequestError::Timeout { .. }), "{error:?}");
                return;
            }
            if round % 20 == 19 {
                let mut items = client.request_stream(&Silent).idle_timeout(Duration::from_millis(1));
                let error = items.next().await.unwrap().unwrap_err();
                assert!(matches!(error, RequestError::Timeout { .. }), "{error:?}");
                return;
            }
            let mut items = client.request_stream(&Endless).window(1024);
            if round.is_multiple_of(2) {
                assert_eq!(items.next().await.unwrap().unwrap(), 0);
            } else {
                items.started().await.unwrap();
            }
            drop(items);
        };
        for number in 0..200 {
            soon("a round", round(number)).await;
        }
        // After it, as at the end, a task keeps the deadline of a request.
        soon("a round trip", client.request(&Double(1))).await.unwrap();
        let (before, tasks_before, descriptors_before) = (resident(), tasks(), descriptors());
        for number in 0..ROUNDS {
            soon("a round", round(number)).await;
        }
        // The cancels are acted on before the request.
        soon("a round trip", client.request(&Double(1))).await.unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), ROUNDS + 200);
        assert_eq!(dropped.load(Ordering::SeqCst), ROUNDS + 200);
        assert_eq!((tasks(), descriptors()), (tasks_before, descriptors_before));
        let grown = resident().saturating_sub(before);
        assert!(grown < 8 * MIB, "the process grew by {grown} bytes");
    }

    async fn streams_of_closing_servers_end_within_the_drain_and_leave_nothing() {
        const ROUNDS: usize = if cfg!(debug_assertions) { 50 } else { 1_000 };
        let _alone = ONE_AT_A_TIME.lock().await;
        let place = Place::new();
        let mut before = None;
        for round in 0..ROUNDS {
            if round == 10 {
                // What is made once is made by now.
                until("the end of the tasks", || tasks() <= 1).await;
                before = Some((resident(), descriptors()));
            }
            let (server, client, [begun, dropped]) = connected(&place).await;
            let mut streams: Vec<_> = (0..10).map(|_| client.request_stream(&Endless).window(4096)).collect();
            for items in &mut streams {
                soon("the start", items.started()).await.unwrap();
            }
            let closing = Instant::now();
            soon("the close", server.close()).await;
            assert_eq!(begun.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst));
            let taken = closing.elapsed();
            assert!(taken < limits::DRAIN, "the streams ended after {taken:?}");
            for mut items in streams {
                let last = soon("the end", async {
                    let mut last = None;
                    while let Some(item) = items.next().await { last = Some(item); }
                    last
                }).await;
                assert!(last.unwrap().is_err());
            }
            soon("the close of the client", client.close()).await;
        }
        until("the end of all tasks", || tasks() <= 1).await;
        let (resident_before, descriptors_before) = before.unwrap();
        assert_eq!(descriptors(), descriptors_before);
        let grown = resident().saturating_sub(resident_before);
        assert!(grown < 8 * MIB, "the process grew by {grown} bytes");
    }
}
