//! Connecting by one attempt, and within a deadline.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ConnectError, Server, Topic, blocking};
use support::{Events, Place, soon};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "double", reply = u64)]
struct Double(u64);

const SOON: Duration = Duration::from_millis(100);

fn server(place: &Place) -> Server {
    let server = Server::new(place.socket());
    server.respond::<Double>(|Double(number), _client_id| 2 * number).unwrap();
    server
}

#[track_caller]
fn assert_not_found(error: &ConnectError) {
    assert!(
        matches!(error, ConnectError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound),
        "{error:?}"
    );
}

support::both_flavours! {
    async fn connect_once_fails_returns_its_error_and_may_be_called_again() {
        let place = Place::new();
        let mut failures = Events::new();
        // One failure more than this, and a patient client gives up.
        let client = Client::builder(place.socket()).give_up_after(1).build();
        let report = failures.reporter();
        client.on_connect_error(move |error| report(error.to_string()));
        for _ in 0..3 {
            let error = soon("an error", client.connect_once()).await.unwrap_err();
            assert_not_found(&error);
            assert_eq!(failures.next().await, error.to_string());
        }
        let server = server(&place);
        server.listen().await.unwrap();
        soon("a connection", client.connect_once()).await.unwrap();
        assert_eq!(soon("a reply", client.request(&Double(4))).await.unwrap(), 8);
        let error = client.connect_once().await.unwrap_err();
        assert!(matches!(error, ConnectError::AlreadyConnecting { .. }), "{error}");
    }

    async fn connect_once_connected_client_reconnects() {
        let place = Place::new();
        let client = Client::builder(place.socket()).reconnect_delay(SOON).retry_delay(SOON).build();
        let first = server(&place);
        first.listen().await.unwrap();
        soon("a connection", client.connect_once()).await.unwrap();
        let mut again = Events::new();
        let report = again.reporter();
        client.on_reconnect(move || report(()));
        first.close().await;
        let second = server(&place);
        second.listen().await.unwrap();
        again.next().await;
        assert_eq!(soon("a reply", client.request(&Double(4))).await.unwrap(), 8);
    }

    async fn connect_within_no_server_returns_last_error_and_may_be_called_again() {
        let place = Place::new();
        let client = Client::builder(place.socket()).retry_delay(Duration::from_millis(10)).build();
        let error = soon("the deadline", client.connect_within(SOON)).await.unwrap_err();
        let text = error.to_string();
        let ConnectError::DeadlineExceeded { path, timeout, cause: Some(cause) } = error else { panic!("{text}") };
        assert_eq!((path, timeout), (place.socket(), SOON));
        assert_not_found(&cause);
        assert!(text.contains("no connection within 100ms (No such file or directory"), "{text}");
        let server = server(&place);
        server.listen().await.unwrap();
        soon("a connection", client.connect_within(Duration::from_secs(10))).await.unwrap();
        assert_eq!(soon("a reply", client.request(&Double(4))).await.unwrap(), 8);
    }

    async fn connect_within_server_comes_in_time_connects() {
        let place = Place::new();
        let client = Client::builder(place.socket()).retry_delay(Duration::from_millis(10)).build();
        let server = server(&place);
        let mut failures = Events::new();
        let report = failures.reporter();
        client.on_connect_error(move |_| report(()));
        let (connected, ()) = tokio::join!(client.connect_within(Duration::from_secs(20)), async {
            failures.next().await;
            server.listen().await.unwrap();
        });
        connected.unwrap();
    }

    async fn connect_within_does_not_give_up_before_its_time() {
        let place = Place::new();
        let retry = Duration::from_millis(1);
        let client = Client::builder(place.socket()).retry_delay(retry).give_up_after(2).build();
        let mut failures = Events::new();
        let report = failures.reporter();
        client.on_connect_error(move |_| report(()));
        let error = soon("an error", client.connect_within(SOON)).await.unwrap_err();
        assert!(matches!(error, ConnectError::DeadlineExceeded { .. }), "{error}");
        failures.take(3).await;
        let server = server(&place);
        server.listen().await.unwrap();
        soon("a connection", client.connect_within(Duration::from_secs(10))).await.unwrap();
    }

    async fn connect_once_client_closed_meanwhile_says_so() {
        let client = Client::builder("in memory")
            .connector(std::future::pending::<std::io::Result<tokio::io::DuplexStream>>)
            .build();
        let closing = client.handle();
        let (connected, ()) = tokio::join!(client.connect_once(), async move { closing.close().await });
        assert!(matches!(connected, Err(ConnectError::Closed { .. })), "{connected:?}");
    }
}

#[test]
fn blocking_connect_once_fails_returns_error_and_may_be_called_again() {
    let place = Place::new();
    let client = blocking::Client::new(place.socket());
    assert_not_found(&client.connect_once().unwrap_err());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = server(&place);
    runtime.block_on(server.listen()).unwrap();
    client.connect_once().unwrap();
    assert_eq!(client.request(&Double(4)).unwrap(), 8);
    client.close();
}
