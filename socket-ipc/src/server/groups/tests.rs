use std::sync::Barrier;

use tokio::runtime::Handle;

use super::*;
use crate::connection::{CloseCommand, Link, Outbox, OutboxBudget, PendingRequests};
use crate::events::CloseCause;
use crate::limits::{DESCRIBED_GROUPS, GROUP_NAME_LEN};
use crate::metrics::Metrics;
use crate::metrics::stats::Stats;

fn client(number: u64) -> (ClientId, Arc<ConnectedClient>) {
    let outbox = Arc::new(Outbox::new(usize::MAX, OutboxBudget::new(usize::MAX), Metrics::new()));
    let link = Link { pending_requests: PendingRequests::new(1, None, Handle::current()), outbox };
    (ClientId::new(number), ConnectedClient::new(link, None))
}

fn room(number: usize) -> GroupName {
    GroupName::new(&format!("room {number}"))
}

impl Groups {
    /// How many groups and members there are, once both tables and the counter agree.
    fn sizes(&self) -> (usize, usize) {
        let by_name = read(&self.by_name);
        let members = by_name.values().map(|members| members.clients().len()).sum();
        assert!(by_name.iter().all(|(name, members)| members.is_of(name) && !members.is_empty()));
        assert_eq!(members as u64, self.memberships.load(Ordering::Relaxed));
        (by_name.len(), members)
    }
}

#[tokio::test]
async fn groups_without_members_take_no_memory() {
    let (groups, (id, client)) = (Groups::default(), client(1));
    for number in 0..50_000 {
        let name = room(number);
        assert_eq!(groups.join(&name, id, &client), Ok(true));
        assert_eq!(groups.sizes(), (1, 1));
        assert!(groups.leave(&name, id, &client) && !groups.leave(&name, id, &client));
    }
    let clients: Vec<_> = (2..52).map(self::client).collect();
    for (id, client) in &clients {
        (0..MAX_GROUPS).for_each(|number| {
            assert_eq!(groups.join(&room(id.get() as usize * MAX_GROUPS + number), *id, client), Ok(true));
        });
    }
    assert_eq!(groups.sizes(), (50 * MAX_GROUPS, 50 * MAX_GROUPS));
    clients.iter().for_each(|(id, client)| groups.leave_all(*id, client));
    assert_eq!(groups.sizes(), (0, 0));
    assert!(read(&groups.by_name).capacity() < 100, "{}", read(&groups.by_name).capacity());
    assert!(lock(&client.memberships).0.as_ref().unwrap().capacity() < 10);
}

#[tokio::test]
async fn client_that_was_in_many_groups_gives_back_its_list() {
    let (groups, (id, client)) = (Groups::default(), client(1));
    for number in 0..64 {
        assert_eq!(groups.join(&room(number), id, &client), Ok(true));
    }
    for number in 0..60 {
        assert!(groups.leave(&room(number), id, &client));
    }
    let capacity = lock(&client.memberships).0.as_ref().unwrap().capacity();
    assert!(capacity <= 20, "room for {capacity} groups, where it is in 4");
}

#[tokio::test]
async fn group_that_was_large_gives_back_its_table() {
    let groups = Groups::default();
    let clients: Vec<_> = (0..1_000).map(client).collect();
    for (id, client) in &clients {
        assert_eq!(groups.join(&room(1), *id, client), Ok(true));
    }
    for (id, client) in &clients[1..] {
        assert!(groups.leave(&room(1), *id, client));
    }
    let members = groups.members(&room(1));
    assert!(members.capacity() < 20, "{}", members.capacity());
    assert!(members.clients().get(clients[0].0).is_some());
}

#[tokio::test]
async fn groups_about_as_many_as_are_described_are_named_up_to_the_limit() {
    let (groups, (id, client)) = (Groups::default(), client(1));
    for number in 1..=DESCRIBED_GROUPS + 1 {
        assert_eq!(groups.join(&room(number), id, &client), Ok(true));
        let named = groups.add_to(Stats::default(), true).largest_groups;
        assert_eq!(named.len(), number.min(DESCRIBED_GROUPS));
    }
}

#[tokio::test]
async fn join_beside_the_end_of_the_connection_leaves_nothing() {
    let (groups, both) = (&Groups::default(), &Barrier::new(2));
    let mut joined = 0;
    for round in 0..2_000 {
        let (id, client) = &client(round);
        let is_member = std::thread::scope(|scope| {
            let joining = scope.spawn(move || {
                both.wait();
                groups.join(&room(1), *id, client) == Ok(true)
                    && groups.members(&room(1)).clients().get(*id).is_some()
            });
            both.wait();
            client.link.outbox.close(CloseCommand::Abort(CloseCause::Closed));
            groups.leave_all(*id, client);
            joining.join().unwrap()
        });
        joined += usize::from(is_member);
        assert_eq!(groups.sizes(), (0, 0));
        assert_eq!(groups.join(&room(1), *id, client), Ok(false));
    }
    println!("{joined} of 2000 joins came first");
}

#[tokio::test]
async fn last_member_leaves_beside_a_join_member_is_found() {
    const ROUNDS: usize = 20_000;
    let groups = &Groups::default();
    let clients: Vec<_> = (0..3).map(client).collect();
    std::thread::scope(|scope| {
        for (id, client) in &clients {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let name = room(round % 2);
                    assert_eq!(groups.join(&name, *id, client), Ok(true));
                    assert!(
                        groups.members(&name).clients().get(*id).is_some(),
                        "a member of the group of that name"
                    );
                    assert!(groups.leave(&name, *id, client));
                    assert!(groups.members(&name).clients().get(*id).is_none());
                }
            });
        }
    });
    assert_eq!(groups.sizes(), (0, 0));
}

#[test]
fn group_name_over_the_limit_is_cut_between_characters() {
    let long = format!("{}é", "x".repeat(GROUP_NAME_LEN - 1));
    let name = GroupName::new(&long);
    assert_eq!((name.as_str(), name.valid()), (&long[..GROUP_NAME_LEN - 1], None));
    let text = name.too_long(ClientId::new(1)).to_string();
    assert!(text.contains("takes 257 bytes, over the limit of 256"), "{text}");
    let most = "x".repeat(GROUP_NAME_LEN);
    assert_eq!(GroupName::new(&most).valid().map(|name| &**name), Some(&*most));
    assert!(GroupName::new("").valid().is_some());
}
