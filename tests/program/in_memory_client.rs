//! Clients that are joined to their server in memory.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{CloseCause, ConnectError, Protocol, Server, Topic, Wire};
use support::{Events, soon, within};

use crate::accepted;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "double", reply = u64)]
struct Double(u64);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "news"]
struct News(String);

#[derive(Protocol)]
#[protocol(to_server(Double), to_client(News))]
struct Numbers;

fn doubles<P: socket_ipc::ToServer<Double>>(server: &socket_ipc::ServerHandle<P>) {
    server.respond::<Double>(|Double(number), _client_id| 2 * number).unwrap();
}

support::both_flavours! {
    async fn in_memory_client_has_protocol_and_wire_of_its_server() {
        let server = Numbers::server("in memory").wire(Wire::NODE_0_4).build();
        doubles(&server);
        // `Client<Numbers>`: the type is that of the server's protocol.
        let client: socket_ipc::Client<Numbers> = server.in_memory_client().build();
        let mut news = client.subscribe::<News>();
        client.connect().await.unwrap();
        assert_eq!(soon("a reply", client.request(&Double(4))).await.unwrap(), 8);
        assert_eq!(server.broadcast(&News("today".to_owned())).unwrap(), 1);
        assert_eq!(soon("the news", news.next()).await, Some(News("today".to_owned())));
        client.close().await;
        server.close().await;
    }

    async fn in_memory_client_is_this_process_to_its_server() {
        let this = rustix::process::geteuid().as_raw();
        let other = this.wrapping_add(1);
        for (server, is_let_in) in [
            (Server::builder("in memory").same_user_only().build(), true),
            (Server::builder("in memory").allow_users([other, this]).build(), true),
            (Server::builder("in memory").allow_users([other]).build(), false),
            (Server::builder("in memory").allow_groups([rustix::process::getegid().as_raw()]).build(), true),
            (Server::builder("in memory").allow_groups([u32::MAX - 1]).build(), false),
        ] {
            doubles(&server);
            let client = server.in_memory_client().expect_server_user(this).build();
            let connected = soon("an attempt", client.connect_once()).await;
            assert_eq!(connected.is_ok(), is_let_in, "{connected:?}");
            if is_let_in {
                assert_eq!(soon("a reply", client.request(&Double(4))).await.unwrap(), 8);
                let [client_id] = accepted(&server).await;
                let peer = server.peer(client_id).unwrap();
                assert_eq!((peer.uid, peer.pid), (this, i32::try_from(std::process::id()).ok()));
            }
        }
        let server = Server::new("in memory");
        let client = server.in_memory_client().expect_server_user(other).build();
        let error = client.connect_once().await.unwrap_err();
        assert!(matches!(error, ConnectError::WrongUser { found: Some(found), .. } if found == this), "{error}");
    }

    async fn in_memory_client_disconnected_connects_again() {
        let server = Server::new("in memory");
        doubles(&server);
        let client = server.in_memory_client().reconnect_delay(Duration::from_millis(1)).build();
        let mut again = Events::new();
        let report = again.reporter();
        client.on_reconnect(move || report(()));
        client.connect().await.unwrap();
        let [first] = accepted(&server).await;
        assert!(server.disconnect(first));
        again.next().await;
        assert_eq!(soon("a reply", client.request(&Double(4))).await.unwrap(), 8);
        assert_ne!(server.clients(), [first]);
    }

    async fn in_memory_client_server_closed_or_full_is_an_error_of_the_attempt() {
        let server = Server::builder("in memory").max_clients(1).build();
        let (first, second) = (server.in_memory_client().build(), server.in_memory_client().build());
        first.connect().await.unwrap();
        let error = second.connect_once().await.unwrap_err().to_string();
        assert!(error.starts_with("cannot connect to in memory: ") && error.contains("max_clients"), "{error}");
        server.close().await;
        let error = second.connect_once().await.unwrap_err().to_string();
        assert_eq!(error, "cannot connect to in memory: the server is closed");
    }

    // The builder keeps the server no longer than its owner does.
    async fn in_memory_client_server_dropped_ends_its_connection() {
        let server = Server::new("in memory");
        let client = server.in_memory_client().build();
        let mut ended = Events::new();
        let report = ended.reporter();
        client.on_disconnect(move |reason| report(reason.cause.clone()));
        client.connect().await.unwrap();
        drop(server);
        let cause = ended.next().await;
        assert!(matches!(cause, CloseCause::PeerClosed | CloseCause::Io { .. }), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_memory_client_paused_time_passes_at_once() {
    let server = Server::new("in memory");
    server
        .respond_async::<Double>(|Double(number), _client_id| async move {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            2 * number
        })
        .unwrap();
    let client = server.in_memory_client().request_timeout(Duration::from_secs(7_200)).build();
    client.connect().await.unwrap();
    let began = tokio::time::Instant::now();
    let reply = within("a reply", Duration::from_secs(10_000), client.request(&Double(4))).await;
    assert_eq!(reply.unwrap(), 8);
    assert!(began.elapsed() >= Duration::from_secs(3_600));
}
