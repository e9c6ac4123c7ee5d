//! Clients that join groups by strings of their own.

use serde::{Deserialize, Serialize};
use socket_ipc::{GroupError, Server, Topic, limits};
use support::soon;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{Number, Scene, line};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "join", reply = bool)]
struct Join(String);

/// Lets clients join the groups that they name.
fn let_join(server: &Server) {
    let rooms = server.handle();
    server.respond::<Join>(move |Join(name), id| rooms.group(name).join(id)).unwrap();
}

fn request(name: &str, number: usize) -> String {
    let name = serde_json::to_string(name).unwrap();
    format!("{{\"topic\":\"join\",\"message\":{name},\"id\":{number}}}\n")
}

support::both_flavours! {
    async fn client_tries_many_groups_is_in_1024_and_gets_errors() {
        const TRIED: usize = 10_000;
        let mut scene = Scene::new().await;
        let_join(&scene.server);
        let [(mut other, other_id)] = scene.members("room 2000").await;
        let (mut peer, id) = scene.client().await;
        let (read_half, mut write_half) = peer.stream.split();
        let requests: String = (0..TRIED).map(|number| request(&format!("room {number}"), number)).collect();
        let writing = write_half.write_all(requests.as_bytes());
        let reading = async {
            let mut lines = BufReader::new(read_half).lines();
            for number in 0..TRIED {
                let reply = soon("a reply", lines.next_line()).await.unwrap().unwrap();
                if number < limits::MAX_GROUPS {
                    assert_eq!(reply, format!(r#"{{"topic":"join","message":true,"re":{number}}}"#));
                } else {
                    assert!(reply.contains("it is in 1024 groups, the limit"), "{reply}");
                }
            }
        };
        let (written, ()) = tokio::join!(writing, reading);
        written.unwrap();
        assert_eq!(scene.counts(), (1_025, 1_025));
        assert_eq!(scene.server.group("room 2000").members(), [other_id]);
        scene.server.group("room 2000").broadcast(&Number(1)).unwrap();
        assert_eq!(other.line().await, line(1), "it is served as before");
        drop(peer);
        assert_eq!(scene.gone.next().await, id);
        assert_eq!(scene.counts(), (1, 1));
    }

    async fn client_names_groups_of_4_mib_gets_short_errors() {
        let mut scene = Scene::new().await;
        let_join(&scene.server);
        let (mut peer, _) = scene.client().await;
        let name = "x".repeat(limits::MESSAGE_LEN - 100);
        for number in 0..10 {
            peer.write(request(&name, number)).await;
            let reply = peer.line().await;
            assert!(reply.contains("bytes, over the limit of 256") && reply.len() < 1_000, "{reply:.2000}");
        }
        assert_eq!(scene.counts(), (0, 0));
    }

    async fn client_names_groups_by_any_characters_joins_those_groups() {
        let mut scene = Scene::with(|options| options.describe_groups()).await;
        let_join(&scene.server);
        let (mut peer, id) = scene.client().await;
        let names = ["", " ", "\0", "\n", "\u{202e}", "room\u{0}5", "\"}", "😀", "../../etc", "{}", "ROOM", "room"];
        for (number, name) in names.into_iter().enumerate() {
            peer.write(request(name, number)).await;
            assert_eq!(peer.line().await, format!(r#"{{"topic":"join","message":true,"re":{number}}}"#));
            assert!(scene.server.group(name).contains(id));
        }
        let mut described: Vec<_> =
            scene.server.stats().largest_groups.into_iter().map(|group| group.name).collect();
        let mut names = names.map(str::to_owned);
        described.sort();
        names.sort();
        assert_eq!(described, names);
    }

    /// Clients may choose the names of groups, so no table of theirs may be made slow by choosing them.
    async fn million_groups_tried_are_refused_or_gone() {
        const TRIED: usize = if cfg!(debug_assertions) { 50_000 } else { 1_000_000 };
        let mut scene = Scene::new().await;
        let (_peer, id) = scene.client().await;
        let mut refused = 0;
        for number in 0..TRIED {
            match scene.server.group(format!("room {number}")).join(id) {
                Ok(is_member) => assert!(is_member && number < limits::MAX_GROUPS),
                Err(GroupError::TooManyGroups { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((refused, scene.counts()), (TRIED - limits::MAX_GROUPS, (1_024, 1_024)));
        for number in 0..limits::MAX_GROUPS {
            assert!(scene.server.group(format!("room {number}")).leave(id));
        }
        for number in 0..TRIED {
            let room = scene.server.group(format!("room {number}"));
            assert!(room.join(id).unwrap() && room.leave(id));
        }
        assert_eq!(scene.counts(), (0, 0));
    }
}
