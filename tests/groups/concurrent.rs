//! Joins, leaves, broadcasts and ends of connections at the same time.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use support::RawPeer;

use super::{Number, Scene};

/// One membership of a client that joins and leaves again and again.
#[derive(Clone, Copy, Debug)]
struct Membership {
    /// The broadcasts that began after the join had returned and ended before the leave was called. It gets all of them.
    surely: (u64, u64),
    /// The broadcasts that ended after the join was called and began before the leave had returned. It gets no others.
    perhaps: (u64, u64),
}

/// The numbers that a peer was sent, once its connection has ended.
async fn numbers(mut peer: RawPeer) -> Vec<u64> {
    let received = String::from_utf8(peer.closed().await).unwrap();
    let number = |line: &str| line.rsplit(':').next()?.trim_end_matches('}').parse().ok();
    received.lines().map(|line| number(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

support::both_flavours! {
    async fn broadcast_beside_joins_and_leaves_reaches_exactly_the_members() {
        const COUNT: u64 = 20_000;
        let mut scene = Scene::new().await;
        let [(stays, _)] = scene.members("room 5").await;
        let (outside, _) = scene.client().await;
        let mut togglers = Vec::new();
        for _ in 0..2 {
            togglers.push(scene.client().await);
        }
        let (begun, ended, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        // All of them are members before the first broadcast.
        let joined = Barrier::new(togglers.len() + 1);
        let room = scene.server.group("room 5");
        let reading = tokio::spawn(async move { (numbers(stays).await, numbers(outside).await) });
        let readers: Vec<_> = togglers.into_iter().map(|(peer, id)| (tokio::spawn(numbers(peer)), id)).collect();
        let ids: Vec<_> = readers.iter().map(|(_, id)| *id).collect();
        let memberships = tokio::task::spawn_blocking(move || {
            thread::scope(|scope| {
                let toggling: Vec<_> = ids
                    .iter()
                    .map(|id| {
                        let (room, begun, ended, over, joined) = (&room, &begun, &ended, &over, &joined);
                        scope.spawn(move || {
                            let mut memberships = Vec::new();
                            while !over.load(SeqCst) {
                                let from_perhaps = ended.load(SeqCst);
                                assert_eq!(room.join(*id), Ok(true));
                                let from_surely = begun.load(SeqCst);
                                if memberships.is_empty() {
                                    joined.wait();
                                    // The first one lasts for a broadcast at least.
                                    while ended.load(SeqCst) <= from_surely {
                                        thread::yield_now();
                                    }
                                }
                                thread::yield_now();
                                let to_surely = ended.load(SeqCst);
                                assert!(room.leave(*id));
                                let to_perhaps = begun.load(SeqCst);
                                memberships.push(Membership {
                                    surely: (from_surely, to_surely),
                                    perhaps: (from_perhaps, to_perhaps),
                                });
                            }
                            memberships
                        })
                    })
                    .collect();
                joined.wait();
                for number in 0..COUNT {
                    begun.store(number + 1, SeqCst);
                    assert!((1..=3).contains(&room.broadcast(&Number(number)).unwrap()));
                    ended.store(number + 1, SeqCst);
                }
                over.store(true, SeqCst);
                toggling.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            })
        });
        let memberships = memberships.await.unwrap();
        for id in scene.server.clients() {
            scene.server.disconnect(id);
        }
        let (stayed, outside) = reading.await.unwrap();
        assert!(stayed.into_iter().eq(0..COUNT) && outside.is_empty());
        for ((reader, _), memberships) in readers.into_iter().zip(memberships) {
            let received = reader.await.unwrap();
            assert!(received.is_sorted_by(|one, next| one < next), "each once, in order");
            let holds = |number: &u64| received.binary_search(number).is_ok();
            let sure = memberships.iter().filter(|Membership { surely: (from, to), .. }| from < to).count();
            assert!(sure > 0 && !received.is_empty(), "{sure} memberships with broadcasts");
            for membership in &memberships {
                let (from, to) = membership.surely;
                assert!((from..to).all(|number| holds(&number)), "{membership:?}");
            }
            let allowed = |number: u64| {
                memberships.iter().any(|Membership { perhaps: (from, to), .. }| (*from..*to).contains(&number))
            };
            assert!(received.iter().all(|number| allowed(*number)));
            println!("{} memberships, {sure} of them with broadcasts; {} messages", memberships.len(), received.len());
        }
    }

    async fn joins_beside_the_ends_of_connections_leave_nothing() {
        let mut scene = Scene::new().await;
        let room = scene.server.group("room 5");
        for round in 0..200 {
            let (peer, id) = scene.client().await;
            let joining = room.clone();
            let thread = thread::spawn(move || while joining.join(id) == Ok(true) && joining.leave(id) {});
            // By either end.
            if round % 2 == 0 {
                scene.server.disconnect(id);
            }
            drop(peer);
            assert_eq!(scene.gone.next().await, id);
            thread.join().unwrap();
            assert_eq!((room.join(id), scene.counts()), (Ok(false), (0, 0)));
        }
    }
}
