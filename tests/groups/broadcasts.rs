//! What the members of a group are sent.

use std::time::Duration;

use serde::{Serialize, Serializer};
use socket_ipc::{SendError, Topic, limits};
use support::{RawPeer, soon};

use super::{Number, Scene, assert_nothing_before, line};

/// A message that takes 64 KiB and more.
#[derive(Topic, Serialize)]
#[topic = "block"]
struct Block {
    number: u64,
    filling: String,
}

impl Block {
    fn new(number: u64) -> Self {
        Self { number, filling: "x".repeat(64 * 1024) }
    }
}

/// A message that counts how often it is encoded.
struct Counting<'c>(&'c std::cell::Cell<u32>);

impl Topic for Counting<'_> {
    const NAME: &'static str = "counting";
    type Message<'m> = Counting<'m>;
}

impl Serialize for Counting<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.set(self.0.get() + 1);
        serializer.serialize_u32(self.0.get())
    }
}

/// Reads blocks up to this number.
async fn read_blocks(peer: &mut RawPeer, last: u64) {
    for number in 0..=last {
        let block = soon("a block", peer.line()).await;
        let begin = format!(r#"{{"topic":"block","message":{{"number":{number},"filling":"x"#);
        assert!(block.starts_with(&begin), "{block:.60} instead of {number}");
    }
}

support::both_flavours! {
    async fn broadcast_in_every_form_reaches_the_members_only() {
        let mut scene = Scene::new().await;
        let [(mut first, id), (mut second, _)] = scene.members("room 5").await;
        let (mut outside, outside_id) = scene.client().await;
        let room = scene.server.group("room 5");
        assert_eq!(room.broadcast(&Number(1)).unwrap(), 2);
        assert_eq!(room.broadcast_except(&Number(2), id).unwrap(), 1);
        assert_eq!(room.broadcast_except(&Number(3), outside_id).unwrap(), 2);
        assert_eq!(room.broadcast_async(&Number(4)).await.unwrap(), 2);
        let delivery = room.broadcast_latest(&Number(5)).unwrap();
        assert_eq!((delivery.queued, delivery.deferred, delivery.replaced), (2, 0, 0));
        assert_eq!(room.broadcast_raw("number", &6).unwrap(), 2);
        assert_eq!(room.broadcast_raw_async("number", &7).await.unwrap(), 2);
        assert_eq!(room.broadcast_latest_raw("number", &8).unwrap().queued, 2);
        assert_eq!(room.broadcast_raw("", &9).unwrap(), 2);
        for number in [1, 3, 4, 5, 6, 7, 8] {
            assert_eq!(first.line().await, line(number));
        }
        for number in 1..=8 {
            assert_eq!(second.line().await, line(number));
        }
        for peer in [&mut first, &mut second] {
            assert_eq!(peer.line().await, r#"{"topic":"none","message":9}"#);
        }
        assert_nothing_before(&scene, 10, &mut [&mut first, &mut second, &mut outside]).await;
    }

    async fn broadcast_to_a_group_is_counted_by_member() {
        let mut scene = Scene::new().await;
        let _members: [_; 3] = scene.members("room 5").await;
        let _outside = scene.client().await;
        scene.server.group("room 5").broadcast(&Number(1)).unwrap();
        scene.server.group("room 5").broadcast_latest(&Number(1)).unwrap();
        scene.server.group("room 6").broadcast(&Number(1)).unwrap();
        let stats = scene.server.stats();
        assert_eq!((stats.sent.messages, stats.topics[0].topic.as_str()), (6, "number"));
    }

    async fn broadcast_to_a_group_without_members_reaches_none() {
        let mut scene = Scene::new().await;
        let (mut peer, _) = scene.client().await;
        let room = scene.server.group("room 5");
        assert_eq!(room.broadcast(&Number(1)).unwrap(), 0);
        assert_eq!(room.broadcast_async(&Number(1)).await.unwrap(), 0);
        assert_eq!(room.broadcast_latest(&Number(1)).unwrap(), Default::default());
        assert_nothing_before(&scene, 2, &mut [&mut peer]).await;
    }

    async fn broadcast_to_a_group_fails_as_the_servers_own() {
        let mut scene = Scene::with(|options| options.max_message_len(1_000)).await;
        let [(mut peer, _)] = scene.members("room 5").await;
        let room = scene.server.group("room 5");
        let errors = [
            room.broadcast(&Block::new(1)).unwrap_err(),
            room.broadcast_async(&Block::new(1)).await.unwrap_err(),
            room.broadcast_latest(&Block::new(1)).unwrap_err(),
        ];
        assert!(errors.iter().all(|error| matches!(error, SendError::TooLarge { .. })), "{errors:?}");
        let error = room.broadcast_raw(&"x".repeat(limits::TOPIC_LEN + 1), &1).unwrap_err();
        assert!(matches!(error, SendError::TopicTooLong { .. }), "{error}");
        assert_nothing_before(&scene, 1, &mut [&mut peer]).await;
    }

    async fn two_groups_broadcast_in_turn_members_of_both_get_all_in_order() {
        const COUNT: u64 = 3_000;
        let mut scene = Scene::new().await;
        let [(mut both, id)] = scene.members("even").await;
        let [(mut even, _)] = scene.members("even").await;
        let [(mut odd, _)] = scene.members("odd").await;
        let rooms = ["even", "odd"].map(|name| scene.server.group(name));
        rooms[1].join(id).unwrap();
        let sending = async {
            for number in 0..COUNT {
                let room = &rooms[(number % 2) as usize];
                assert_eq!(room.broadcast_async(&Number(number)).await.unwrap(), 2);
            }
        };
        let reading = async {
            for number in 0..COUNT {
                assert_eq!(both.line().await, line(number));
                let one = if number % 2 == 0 { &mut even } else { &mut odd };
                assert_eq!(one.line().await, line(number));
            }
        };
        tokio::join!(sending, reading);
        assert_nothing_before(&scene, COUNT, &mut [&mut both, &mut even, &mut odd]).await;
    }

    async fn broadcast_full_outbox_ends_slow_member_and_no_other_client() {
        let mut scene = Scene::with(|options| options.outbox_len(512 * 1024)).await;
        let [(_slow, slow), (mut fast, fast_id)] = scene.members("room 5").await;
        let (_outside, outside) = scene.client().await;
        for number in 0..10_000 {
            assert!(scene.server.send(&Block::new(number), outside).is_ok() || number > 5);
            let reached = scene.server.group("room 5").broadcast(&Block::new(number)).unwrap();
            let block = soon("a block", fast.line()).await;
            assert!(block.contains(&format!("{{\"number\":{number},")));
            if reached == 1 {
                break;
            }
        }
        assert_eq!(scene.gone.next().await, slow);
        assert_eq!(scene.server.group("room 5").members(), [fast_id]);
        assert_eq!(scene.server.clients(), [fast_id, outside], "that one's outbox is full, too");
    }

    async fn broadcast_async_waits_for_members_and_for_no_other_client() {
        const COUNT: u64 = 100;
        let mut scene = Scene::with(|options| options.write_stall(Duration::from_secs(3_600))).await;
        let [(mut fast, _)] = scene.members("fast").await;
        let [(mut slow, _)] = scene.members("slow").await;
        let server = scene.server.handle();
        let paced = async |name: &str| {
            for number in 0..COUNT {
                server.group(name).broadcast_async(&Block::new(number)).await.unwrap();
            }
        };
        let mut slow_group = std::pin::pin!(paced("slow"));
        tokio::select! {
            () = &mut slow_group => panic!("no socket holds as much"),
            () = async { tokio::join!(paced("fast"), read_blocks(&mut fast, COUNT - 1)); } => {}
        }
        assert!(futures::poll!(&mut slow_group).is_pending(), "nothing was read");
        tokio::join!(slow_group, read_blocks(&mut slow, COUNT - 1));
    }

    async fn broadcast_async_reaches_the_members_once_it_has_waited() {
        let mut scene = Scene::with(|options| options.write_stall(Duration::from_secs(3_600))).await;
        let [(mut slow, _), (mut leaver, leaver_id)] = scene.members("room 5").await;
        let (mut joiner, joiner_id) = scene.client().await;
        let room = scene.server.group("room 5");
        let mut blocks = 0;
        let mut waiting = Box::pin(room.broadcast_async(&Number(0)));
        // Until it waits for the one that does not read.
        while futures::poll!(&mut waiting).is_ready() {
            assert_eq!(room.broadcast_except(&Block::new(blocks), leaver_id).unwrap(), 1);
            blocks += 1;
            waiting = Box::pin(room.broadcast_async(&Number(0)));
        }
        assert!(room.leave(leaver_id));
        assert_eq!(room.join(joiner_id), Ok(true));
        let (mut last, mut numbers) = (String::new(), 0);
        let reading = async {
            while numbers < blocks + 1 {
                last = slow.line().await;
                numbers += u64::from(*last == line(0));
            }
        };
        let (reached, ()) = tokio::join!(waiting, reading);
        assert_eq!(reached.unwrap(), 2);
        assert_eq!((joiner.line().await, last), (line(0), line(0)));
        for _ in 0..blocks {
            assert_eq!(leaver.line().await, line(0));
        }
        assert_nothing_before(&scene, 2, &mut [&mut leaver, &mut joiner, &mut slow]).await;
    }
}

#[tokio::test]
async fn broadcast_to_a_group_is_encoded_once() {
    let mut scene = Scene::new().await;
    let members: [_; 5] = scene.members("room 5").await;
    let count = std::cell::Cell::new(0);
    let room = scene.server.group("room 5");
    assert_eq!(room.broadcast(&Counting(&count)).unwrap(), 5);
    assert_eq!(room.broadcast_latest(&Counting(&count)).unwrap().queued, 5);
    for (mut peer, _) in members {
        assert_eq!(peer.line().await, r#"{"topic":"counting","message":1}"#);
        assert_eq!(peer.line().await, r#"{"topic":"counting","message":2}"#);
    }
}
