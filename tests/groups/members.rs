//! Which clients are members of a group.

use std::sync::{Arc, Mutex};

use socket_ipc::{GroupError, Server, limits};
use support::Events;

use super::{Number, Scene, assert_nothing_before, line};

support::both_flavours! {
    async fn join_and_leave_say_whether_the_client_is_and_was_a_member() {
        let mut scene = Scene::new().await;
        let room = scene.server.group("room 5");
        let (_first, first) = scene.client().await;
        let (_second, second) = scene.client().await;
        assert!(room.is_empty() && !room.contains(first) && !room.leave(first));
        assert_eq!((room.join(second), room.join(first), room.join(first)), (Ok(true), Ok(true), Ok(true)));
        assert_eq!((room.members(), room.len()), (vec![first, second], 2));
        assert!(room.contains(first) && room.contains(second) && !room.is_empty());
        assert_eq!(scene.counts(), (1, 2));
        assert!(room.leave(first) && !room.leave(first));
        assert_eq!((room.members(), room.len(), room.contains(first)), (vec![second], 1, false));
        assert!(room.leave(second) && room.is_empty());
        assert_eq!(scene.counts(), (0, 0));
    }

    async fn group_handles_of_one_name_are_one_group() {
        let mut scene = Scene::new().await;
        let (_peer, id) = scene.client().await;
        let handle = scene.server.handle();
        let [one, two] = [handle.group("room 5"), scene.server.group(String::from("room 5")).clone()];
        assert_eq!(one.join(id), Ok(true));
        assert!(two.contains(id) && two.name() == "room 5");
        assert!(!scene.server.group("room 50").contains(id) && !scene.server.group("").contains(id));
        assert_eq!(scene.server.group("").join(id), Ok(true), "an empty name is a name");
        assert!(format!("{one:?}").contains("room 5"));
    }

    async fn client_disconnects_leaves_all_its_groups() {
        let mut scene = Scene::new().await;
        let [(mut peer, id), (other, _)] = scene.members("room 1").await;
        for number in 2..=100 {
            assert_eq!(scene.server.group(format!("room {number}")).join(id), Ok(true));
        }
        assert_eq!(scene.counts(), (100, 101));
        drop(other);
        scene.gone.next().await;
        assert_eq!(scene.counts(), (100, 100));
        // Still written to, and no member from the call on.
        assert!(scene.server.disconnect(id));
        let room = scene.server.group("room 1");
        assert_eq!((room.contains(id), room.members(), room.len()), (false, vec![], 0));
        assert_eq!(room.broadcast(&Number(1)).unwrap(), 0);
        assert_eq!((room.join(id), room.leave(id)), (Ok(false), false));
        assert!(peer.closed().await.is_empty());
        drop(peer);
        scene.gone.next().await;
        assert_eq!(scene.counts(), (0, 0));
    }

    async fn join_of_an_id_that_is_not_connected_is_false() {
        let mut scene = Scene::new().await;
        let (peer, id) = scene.client().await;
        drop(peer);
        assert_eq!(scene.gone.next().await, id);
        assert_eq!(scene.server.group("room 5").join(id), Ok(false));
        let (_peer, id) = scene.client().await;
        assert_eq!(Server::new("never listens").group("room 5").join(id), Ok(false));
        assert_eq!(scene.counts(), (0, 0));
    }

    async fn client_joins_when_it_connects_and_has_left_when_its_end_is_reported() {
        let mut scene = Scene::new().await;
        let room = scene.server.group("everybody");
        let mut seen = Events::new();
        let (report, joining) = (seen.reporter(), room.clone());
        scene.server.on_connection(move |id| report((joining.join(id), joining.len())));
        let (_first, first) = scene.client().await;
        assert_eq!(seen.next().await, (Ok(true), 1));
        let mut left = Events::new();
        let (report, leaving) = (left.reporter(), room.clone());
        scene.server.on_connection_close(move |id, _| {
            report((leaving.members(), leaving.join(id), leaving.broadcast(&Number(1)).unwrap()));
        });
        let (second, _) = scene.client().await;
        assert_eq!(seen.next().await, (Ok(true), 2));
        drop(second);
        assert_eq!(left.next().await, (vec![first], Ok(false), 1));
    }

    async fn client_leaves_still_gets_what_was_broadcast_before() {
        let mut scene = Scene::new().await;
        let [(mut peer, id), (mut other, _)] = scene.members("room 5").await;
        let room = scene.server.group("room 5");
        assert_eq!(room.broadcast(&Number(1)).unwrap(), 2);
        assert!(room.leave(id));
        assert_eq!(room.broadcast(&Number(2)).unwrap(), 1);
        assert_eq!(peer.line().await, line(1));
        assert_eq!([other.line().await, other.line().await], [line(1), line(2)]);
        assert_nothing_before(&scene, 3, &mut [&mut peer, &mut other]).await;
    }

    async fn client_in_as_many_groups_as_allowed_joins_no_further_one() {
        let mut scene = Scene::new().await;
        let (_peer, id) = scene.client().await;
        let (_other, other) = scene.client().await;
        for number in 0..limits::MAX_GROUPS {
            assert_eq!(scene.server.group(format!("room {number}")).join(id), Ok(true));
        }
        let further = scene.server.group("one \"more\"\n");
        let error = further.join(id).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "client {id} can't join the group `one \\\"more\\\"\\n`: it is in 1024 groups, the limit; \
                 remove it from one first"
            )
        );
        assert!(matches!(
            error,
            GroupError::TooManyGroups { group, client_id, limit: limits::MAX_GROUPS }
                if group == further.name() && client_id == id
        ));
        assert!(further.is_empty());
        assert_eq!(scene.server.group("room 1").join(id), Ok(true), "it is in that one");
        assert_eq!(further.join(other), Ok(true), "the limit is each client's");
        assert!(scene.server.group("room 1").leave(id));
        assert_eq!(further.join(id), Ok(true));
    }

    async fn group_name_over_the_limit_is_an_error_and_that_of_no_group() {
        let mut scene = Scene::new().await;
        let (_peer, id) = scene.client().await;
        let most = "x".repeat(limits::GROUP_NAME_LEN);
        assert_eq!(scene.server.group(&most).join(id), Ok(true));
        let long = scene.server.group("x".repeat(limits::GROUP_NAME_LEN + 1));
        let error = long.join(id).unwrap_err();
        assert!(matches!(
            &error,
            GroupError::NameTooLong { group, client_id, size: 257, limit: limits::GROUP_NAME_LEN }
                if *group == most && *client_id == id
        ));
        assert!(error.to_string().ends_with("the name takes 257 bytes, over the limit of 256; shorten it"));
        assert!(!long.contains(id) && long.is_empty() && !long.leave(id));
        assert_eq!(long.broadcast(&Number(1)).unwrap(), 0);
        assert_eq!((long.name(), scene.counts()), (&*most, (1, 1)));
        let nobody = Server::new("never listens").group("x".repeat(300)).join(id);
        assert!(matches!(nobody, Err(GroupError::NameTooLong { .. })));
    }

    async fn stats_name_groups_only_where_describe_groups_is_set() {
        let mut scene = Scene::new().await;
        let [_one] = scene.members("room 5").await;
        assert_eq!((scene.counts(), scene.server.stats().largest_groups.len()), ((1, 1), 0));
        let mut scene = Scene::with(|options| options.describe().describe_groups()).await;
        let [(mut peer, id), _other] = scene.members("room 5").await;
        for number in 0..2 * limits::DESCRIBED_GROUPS {
            scene.server.group(format!("other {number:03}")).join(id).unwrap();
        }
        let stats = scene.server.stats();
        let largest: Vec<_> = stats.largest_groups.iter().map(|group| (&*group.name, group.members)).collect();
        assert_eq!(largest[..3], [("room 5", 2), ("other 000", 1), ("other 001", 1)]);
        assert_eq!((largest.len(), stats.groups), (limits::DESCRIBED_GROUPS, 201));
        peer.write("{\"topic\":\"socket-ipc.stats\",\"message\":null,\"id\":1}\n").await;
        let reply = peer.line().await;
        let counts = r#""groups":201,"group_members":202,"largest_groups":[{"name":"room 5","members":2},"#;
        assert!(reply.contains(counts), "{reply}");
    }

    async fn server_closed_groups_have_no_members() {
        let mut scene = Scene::new().await;
        let [(peer, id), other] = scene.members("room 5").await;
        let room = scene.server.group("room 5");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, closing) = (Arc::clone(&seen), room.clone());
        scene.server.on_connection_close(move |id, _| noted.lock().unwrap().push(closing.contains(id)));
        drop((peer, other));
        scene.server.close().await;
        assert_eq!(*seen.lock().unwrap(), [false, false]);
        assert!(room.is_empty());
        assert_eq!((room.join(id), scene.counts()), (Ok(false), (0, 0)));
        let closed = room.broadcast(&Number(1)).unwrap_err().to_string();
        assert!(closed.contains("is closed"), "{closed}");
        drop(scene.server);
        assert!(room.broadcast_latest(&Number(1)).is_err());
    }

    async fn server_dropped_with_members_leaves_none() {
        let mut scene = Scene::new().await;
        let [(mut peer, id)] = scene.members("room 5").await;
        let room = scene.server.group("room 5");
        drop(scene.server);
        assert!(peer.closed().await.is_empty());
        assert!(room.is_empty() && !room.contains(id));
        assert_eq!(room.join(id), Ok(false));
    }
}
