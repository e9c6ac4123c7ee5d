//! The least and the most that each limit can be set to.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientBuilder, Error, SendError, Server, ServerBuilder, Topic, limits};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "text"]
struct Text(String);

/// A text to a server and back, longer than a socket takes in one write.
async fn echo(what: &str, server: ServerBuilder, client: ClientBuilder) {
    let server = server.build();
    let reply = server.handle();
    server.on_async::<Text>(move |text, client_id| {
        let reply = reply.clone();
        async move { reply.send_async(&text, client_id).await.unwrap() }
    });
    server.listen().await.unwrap();
    let client = client.build();
    let mut echoes = client.subscribe::<Text>();
    soon(what, client.connect()).await.unwrap();
    let text = "x".repeat(1 << 20);
    client.send_async(&Text(text.clone())).await.unwrap();
    let Text(echo) = soon(what, echoes.next()).await.unwrap();
    assert!(echo == text, "{what}");
    soon(what, client.close()).await;
    soon(what, server.close()).await;
}

/// Sets an option of both sides, or of one, to each of the values.
macro_rules! echo_with {
    (both $($option:ident: $($value:expr),+;)+) => {$($({
        let place = Place::new();
        let (server, client) = (Server::builder(place.socket()), Client::builder(place.socket()));
        let what = concat!(stringify!($option), " of ", stringify!($value));
        echo(what, server.$option($value), client.$option($value)).await;
    })+)+};
    (server $($option:ident: $($value:expr),+;)+) => {$($({
        let place = Place::new();
        let server = Server::builder(place.socket()).$option($value);
        echo(concat!(stringify!($option), " of ", stringify!($value)), server, Client::builder(place.socket())).await;
    })+)+};
    (client $($option:ident: $($value:expr),+;)+) => {$($({
        let place = Place::new();
        let client = Client::builder(place.socket()).$option($value);
        echo(concat!(stringify!($option), " of ", stringify!($value)), Server::builder(place.socket()), client).await;
    })+)+};
}

support::both_flavours! {
    async fn the_least_and_the_most_of_a_limit_leave_a_well_behaved_pair_alone() {
        echo_with! { both
            max_message_len: usize::MAX;
            max_topic_len: usize::MAX;
            outbox_len: 0, 1, usize::MAX;
            write_stall: Duration::MAX;
            incomplete_timeout: Duration::MAX;
            drain: Duration::ZERO, Duration::MAX;
            raw_len: 0, 1, usize::MAX;
        }
        echo_with! { server
            max_clients: 1, usize::MAX;
            outbox_total_len: 0, 1, usize::MAX;
            accept_pause: Duration::ZERO, Duration::MAX;
        }
        echo_with! { client
            connect_timeout: Duration::MAX;
            retry_delay: Duration::ZERO, Duration::MAX;
            reconnect_delay: Duration::ZERO, Duration::MAX;
            give_up_after: 0, 1, u32::MAX;
        }
    }

    async fn a_limit_that_allows_nothing_refuses_all_and_says_so() {
        let place = Place::new();
        let mut errors = Events::new();
        let report = errors.reporter();
        let server = Server::builder(place.socket()).max_clients(0).build();
        server.on_error(move |error| report(matches!(error, Error::TooManyClients { limit: 0, .. })));
        server.listen().await.unwrap();
        RawPeer::connect(place.socket()).await.closed().await;
        assert!(errors.next().await);

        let server = Server::builder("none").max_message_len(0).build();
        let error = server.broadcast_raw("t", &1).unwrap_err();
        assert!(matches!(error, SendError::TooLarge { size: 25, limit: 0, .. }), "{error}");
        let server = Server::builder("none").max_topic_len(0).build();
        let error = server.broadcast_raw("t", &1).unwrap_err();
        assert!(matches!(error, SendError::TopicTooLong { size: 1, limit: 0, .. }), "{error}");
    }

    async fn a_message_over_the_limit_is_not_stored_for_its_report() {
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
