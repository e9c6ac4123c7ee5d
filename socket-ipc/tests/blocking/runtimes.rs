//! A blocking client inside of runtimes, where its calls block a thread of the runtime.

use std::path::{Path, PathBuf};
use std::time::Instant;

use socket_ipc::{Client, ClientHandle, RequestError, Server, blocking};
use tokio::runtime::{Builder, Runtime};

use super::{ADD, Add, DEADLINE, Number, SHORT, Sum, Wait, place, quick, serve_echo, test};

/// Every call that waits, on the calling thread.
fn everything(path: &Path) {
    let client = quick(path).build_blocking();
    let mut messages = client.subscribe::<Number>();
    client.connect_within(DEADLINE).unwrap();
    // More than tokio's budget of a task.
    for number in 0..500 {
        client.send(&Number(number)).unwrap();
        assert_eq!(client.request_within(&ADD, DEADLINE).unwrap(), Sum(5));
        assert_eq!(messages.next(), Some(Number(number)));
    }
    client.flush().unwrap();
    assert!(messages.next_within(SHORT).is_err());
    assert!(matches!(client.request_within(&Wait, SHORT), Err(RequestError::Timeout { .. })));
    client.close();
    assert_eq!(messages.next(), None);
    drop(client);
    // A client that is dropped without a close.
    let client = blocking::Client::new(path);
    client.connect().unwrap();
    assert_eq!(client.request_within(&ADD, DEADLINE).unwrap(), Sum(5));
}

fn both_flavours(run: impl Fn(Runtime, PathBuf)) {
    let (_directory, path) = place();
    let _serving = serve_echo(&path);
    run(Builder::new_current_thread().enable_all().build().unwrap(), path.clone());
    run(Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(), path);
}

#[test]
fn client_inside_block_on_works() {
    test(|| {
        both_flavours(|runtime, path| runtime.block_on(async { everything(&path) }));
        // In a runtime without sockets and time.
        let (_directory, path) = place();
        let _serving = serve_echo(&path);
        Builder::new_current_thread().build().unwrap().block_on(async { everything(&path) });
    });
}

#[test]
fn client_inside_a_task_works() {
    test(|| {
        both_flavours(|runtime, path| {
            runtime.block_on(runtime.spawn(async move { everything(&path) })).unwrap();
        });
    });
}

#[test]
fn client_inside_spawn_blocking_works() {
    test(|| {
        both_flavours(|runtime, path| {
            runtime.block_on(runtime.spawn_blocking(move || everything(&path))).unwrap();
        });
    });
}

#[test]
fn client_inside_spawn_blocking_reaches_server_of_the_runtime() {
    test(|| {
        for mut flavour in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = flavour.worker_threads(1).enable_all().build().unwrap();
            let (_directory, path) = place();
            runtime.block_on(async {
                let server = Server::new(&path);
                server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
                server.listen().await.unwrap();
                let requesting = tokio::task::spawn_blocking(move || {
                    let client = blocking::Client::new(&path);
                    client.connect().unwrap();
                    client.request_within(&ADD, DEADLINE).unwrap()
                });
                assert_eq!(requesting.await.unwrap(), Sum(5));
            });
        }
    });
}

#[test]
fn client_on_thread_of_its_server_times_out_and_does_not_hang() {
    test(|| {
        let (_directory, path) = place();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::new(&path);
            server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
            server.listen().await.unwrap();
            let client = Client::builder(&path).request_timeout(SHORT).build_blocking();
            let mut sums = client.subscribe::<Sum>();
            // The kernel connects it; the server has not accepted it yet.
            client.connect().unwrap();
            let started = Instant::now();
            let error = client.request(&ADD).unwrap_err();
            assert!(matches!(error, RequestError::Timeout { timeout: SHORT, .. }), "{error}");
            assert!(started.elapsed() >= SHORT);
            assert!(sums.next_within(SHORT).is_err());
            assert_eq!(server.clients(), []);
            // Once the server runs on the thread again, requests get replies.
            let handle: ClientHandle = client.handle();
            assert_eq!(handle.request(&ADD).timeout(DEADLINE).await.unwrap(), Sum(5));
            assert_eq!(handle.stats().late_replies, 1);
            client.send_raw("farewell", &"so long").unwrap();
            client.flush().unwrap();
            client.close();
        });
    });
}
