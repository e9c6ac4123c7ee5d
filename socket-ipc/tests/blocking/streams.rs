//! Streams as iterators that wait: their items, and each way in which they end.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use socket_ipc::{ErrorReply, Protocol, RequestError, SendError, ToServer, Topic, blocking};

use super::{ADD, DEADLINE, Events, Number, SHORT, Serving, Sum, connected, place, quick, serve, test};

/// Numbers from 0, and then an error where there is one.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64, error = CountError)]
struct Count {
    to: u64,
    then: Option<CountError>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum CountError {
    Tired,
}

/// As many numbers, and then silence.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "follow", stream = u64)]
struct Follow {
    numbers: u64,
}

/// Reports when it is dropped.
struct DropReporter<F: Fn(())>(F);

impl<F: Fn(())> Drop for DropReporter<F> {
    fn drop(&mut self) {
        (self.0)(());
    }
}

fn count_to(to: u64) -> Count {
    Count { to, then: None }
}

/// A server that responds to both, and reports each stream of `follow` that it drops.
fn serve_streams(path: &std::path::Path) -> (Serving, Events<()>) {
    let (serving, dropped) = (serve(path), Events::new());
    let report = dropped.reporter();
    serving
        .server
        .respond_stream::<Count>(|Count { to, then }, _| {
            stream::iter(0..to).map(Ok).chain(stream::iter(then.map(Err)))
        })
        .unwrap();
    serving
        .server
        .respond_stream::<Follow>(move |Follow { numbers }, _| {
            let guard = DropReporter(report.clone());
            stream::iter(0..numbers).chain(stream::pending()).inspect(move |_| _ = &guard)
        })
        .unwrap();
    (serving, dropped)
}

#[test]
fn request_stream_yields_all_items_and_ends() {
    test(|| {
        let (_directory, path) = place();
        let (serving, _) = serve_streams(&path);
        let client = connected(&serving, &path);
        // Many windows, and more than tokio's budget of a task.
        let items: Vec<u64> =
            client.request_stream(&count_to(10_000)).window(1000).map(|item| item.unwrap()).collect();
        assert_eq!(items, Vec::from_iter(0..10_000));
        let mut items = client.request_stream(&count_to(1));
        items.started().unwrap();
        items.started().unwrap();
        assert!(format!("{items:?}").contains("count"), "{items:?}");
        assert_eq!(items.next().unwrap().unwrap(), 0);
        assert!(items.next().is_none() && items.next().is_none());
        items.started().unwrap();
        let raw = client.request_stream_raw("count", &count_to(3));
        let texts: Vec<_> = raw.map(|item| item.unwrap().as_str().to_owned()).collect();
        assert_eq!(texts, ["0", "1", "2"]);
        assert_eq!(client.request(&ADD).unwrap(), Sum(5));
    });
}

#[test]
fn request_stream_fails_in_any_way_ends_with_its_own_error() {
    test(|| {
        let (_directory, path) = place();
        let (serving, dropped) = serve_streams(&path);
        let client = quick(&path).build_blocking();
        let error = client.request_stream(&count_to(1)).next().unwrap().unwrap_err();
        assert!(matches!(error, RequestError::Send(SendError::NotConnected { .. })), "{error}");
        client.connect().unwrap();
        serving.arrivals.next();

        let mut items = client.request_stream(&Count { to: 1, then: Some(CountError::Tired) });
        assert_eq!(items.next().unwrap().unwrap(), 0);
        let error = items.next().unwrap().unwrap_err();
        assert!(matches!(error, RequestError::Failed { error: CountError::Tired, .. }), "{error}");
        assert!(items.next().is_none());

        let mut items = client.request_stream_raw("missing", &1);
        let error = items.started().unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error}");
        assert!(items.next().is_none(), "it has ended");

        let error = client.request_stream_raw("add", &ADD).next().unwrap().unwrap_err();
        assert!(
            matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == ErrorReply::STREAM),
            "{error}"
        );

        let mut items = client.request_stream(&Follow { numbers: 1 });
        assert_eq!(items.next().unwrap().unwrap(), 0);
        drop(serving);
        let error = items.next().unwrap().unwrap_err();
        assert!(matches!(error, RequestError::ConnectionLost { .. }), "{error}");
        assert!(items.next().is_none());
        dropped.next();
    });
}

#[test]
fn request_stream_dropped_or_timed_out_cancels() {
    test(|| {
        let (_directory, path) = place();
        let (serving, dropped) = serve_streams(&path);
        let client = connected(&serving, &path);
        let mut items = client.request_stream(&Follow { numbers: 2 });
        assert_eq!(items.next().unwrap().unwrap(), 0);
        drop(items);
        dropped.next();

        for numbers in [0, 2] {
            let mut items = client.request_stream(&Follow { numbers }).idle_timeout(SHORT);
            assert_eq!(items.by_ref().take(numbers as usize).filter(Result::is_ok).count() as u64, numbers);
            let begin = Instant::now();
            let error = items.next().unwrap().unwrap_err();
            assert_eq!(error.to_string(), "no reply to `follow` within 50ms");
            assert!(begin.elapsed() >= SHORT);
            assert!(items.next().is_none());
            dropped.next();
        }

        // A stream that began in time may be silent for longer than the timeout.
        let mut silent = client.request_stream(&Follow { numbers: 0 }).timeout(SHORT);
        silent.started().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| silent.next());
            let begin = Instant::now();
            while begin.elapsed() < 4 * SHORT {
                assert_eq!(client.request(&ADD).unwrap(), Sum(5));
            }
            assert!(!waiting.is_finished());
            client.close();
            let error = waiting.join().unwrap().unwrap().unwrap_err();
            assert!(matches!(error, RequestError::ConnectionLost { .. }), "{error}");
        });
        dropped.next();
        assert!(matches!(
            client.request_stream(&count_to(1)).next(),
            Some(Err(RequestError::Send(SendError::Closed { .. })))
        ));
    });
}

#[test]
fn request_stream_client_thread_is_blocked_times_out() {
    test(|| {
        let (_directory, path) = place();
        let (serving, _) = serve_streams(&path);
        let client = connected(&serving, &path);
        let (free, stuck) = mpsc::channel::<()>();
        let (stuck, blocked) = (std::sync::Mutex::new(stuck), Events::new());
        let report = blocked.reporter();
        client.handle().on::<Number>(move |_| {
            report(());
            let _ = stuck.lock().unwrap().recv();
        });
        serving.server.broadcast(&Number(1)).unwrap();
        blocked.next();
        let mut items = client.request_stream(&count_to(1)).timeout(SHORT);
        let error = items.started().unwrap_err();
        assert!(matches!(error, RequestError::Timeout { timeout: SHORT, .. }), "{error}");
        assert!(items.next().is_none());
        drop(free);
    });
}

#[test]
fn request_stream_client_dropped_ends_waiting_iterator() {
    test(|| {
        let (_directory, path) = place();
        let (serving, dropped) = serve_streams(&path);
        let client = connected(&serving, &path);
        let mut items = client.request_stream(&Follow { numbers: 0 });
        items.started().unwrap();
        let waiting = thread::spawn(move || items.next());
        drop(client);
        let error = waiting.join().unwrap().unwrap().unwrap_err();
        assert!(matches!(error, RequestError::ConnectionLost { .. }), "{error}");
        dropped.next();
    });
}

#[test]
fn request_stream_inside_listener_panics_and_handle_responds() {
    test(|| {
        let (_directory, path) = place();
        let (serving, _) = serve_streams(&path);
        let client = connected(&serving, &path);
        let errors = Events::new();
        let report = errors.reporter();
        client.handle().on_error(move |error| report(error.to_string()));
        let items = std::sync::Mutex::new(client.request_stream(&count_to(1)));
        client.handle().on::<Number>(move |_| drop(items.lock().unwrap().next()));
        serving.server.broadcast(&Number(1)).unwrap();
        let error = errors.next();
        assert!(error.contains("must not wait for the client"), "{error}");

        // A client responds to streams by its handle, on its own thread.
        client
            .handle()
            .respond_stream::<Count>(|Count { to, .. }| stream::iter(0..to).map(Ok::<_, CountError>))
            .unwrap();
        let (server, client_id) = (&serving.server, serving.server.clients()[0]);
        let items = server.request_stream(&count_to(3), client_id).collect::<Vec<_>>();
        let items = serving.runtime.block_on(async { tokio::time::timeout(DEADLINE, items).await }).unwrap();
        assert_eq!(items.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2]);
    });
}

/// A protocol of one stream.
enum Counting {}

impl Protocol for Counting {
    const NAME: &'static str = "Counting";
}

impl ToServer<Count> for Counting {}

#[test]
fn request_stream_of_protocol_yields_items() {
    test(|| {
        let (_directory, path) = place();
        let _serving = serve_streams(&path);
        let client: blocking::Client<Counting> = Counting::client(&path).build_blocking();
        client.connect_within(Duration::from_secs(60)).unwrap();
        assert_eq!(client.request_stream(&count_to(5)).filter(Result::is_ok).count(), 5);
    });
}
