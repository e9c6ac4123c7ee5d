//! Servers that serve until a signal.

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, CloseCause, ListenError, Server, Topic};
use support::{Events, Place, soon};
use tokio::sync::oneshot;

use crate::accepted;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "double", reply = u64)]
struct Double(u64);

fn server(place: &Place) -> Server {
    let server = Server::new(place.socket());
    server.respond::<Double>(|Double(number), _client_id| 2 * number).unwrap();
    server
}

support::both_flavours! {
    async fn listen_until_signal_drains_and_returns_when_closed() {
        let place = Place::new();
        let server = server(&place);
        let mut closed = Events::new();
        let report = closed.reporter();
        server.on_close(move || report(()));
        let client = Client::new(place.socket());
        let mut ended = Events::new();
        let report = ended.reporter();
        client.on_disconnect(move |reason| report(reason.cause.clone()));
        let (signal, signalled) = oneshot::channel::<()>();
        let (served, ()) = tokio::join!(server.listen_until(signalled), async {
            client.connect().await.unwrap();
            assert_eq!(soon("a reply", client.request(&Double(4))).await.unwrap(), 8);
            let [client_id] = accepted(&server).await;
            // Queued as the signal comes.
            server.send_raw("last", &"words", client_id).unwrap();
            signal.send(()).unwrap();
        });
        served.unwrap();
        closed.next().await;
        assert!(matches!(ended.next().await, CloseCause::PeerClosed));
        assert!(!place.socket().exists());
        let again = server.listen_until(std::future::pending::<()>()).await;
        assert!(matches!(again, Err(ListenError::Closed { .. })), "{again:?}");
    }

    async fn listen_until_server_closed_by_a_handle_returns() {
        let place = Place::new();
        let server = server(&place);
        let closing = server.handle();
        server.on_listening(move || drop(closing.close()));
        soon("the end", server.listen_until(std::future::pending::<()>())).await.unwrap();
        assert!(!place.socket().exists());
    }

    async fn listen_until_cannot_listen_returns_the_error() {
        let place = Place::new();
        let first = server(&place);
        first.listen().await.unwrap();
        let error = server(&place).listen_until(std::future::pending::<()>()).await.unwrap_err();
        assert!(matches!(error, ListenError::AddrInUse { .. }), "{error}");
    }

    async fn listen_until_signal_before_it_listens_closes_at_once() {
        let place = Place::new();
        soon("the end", server(&place).listen_until(async {})).await.unwrap();
        assert!(!place.socket().exists());
    }
}
