//! Methods whose replies are streams.

use std::sync::Arc;

use futures::Stream;
use futures::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use socket_ipc::{ClientContext, Context, Protocol, RequestError, Topic, handlers};
use support::{Events, soon};

use super::connected;

/// The words of the desk, from this one on.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "words", stream = String, error = NoSuchWord)]
struct Words {
    from: usize,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct NoSuchWord {
    last: usize,
}

/// Never ends.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "follow", stream = u64)]
struct Follow;

/// Begins late.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "late", stream = String)]
struct Late;

#[derive(Protocol)]
#[protocol(to_server(Words, Follow, Late), to_client(Words))]
struct Library;

struct Desk<R> {
    words: Vec<String>,
    report: R,
}

#[handlers(server = Library)]
impl<R: Fn(&'static str) + Clone + Send + Sync + 'static> Desk<R> {
    /// Borrows the words from `self`, across awaits.
    fn words(&self, Words { from }: Words) -> impl Stream<Item = Result<String, NoSuchWord>> {
        let (words, last) = (self.words.get(from..), self.words.len() - 1);
        let no_such_word = words.is_none().then_some(Err(NoSuchWord { last }));
        let words = stream::iter(words.unwrap_or_default()).then(async |word| {
            tokio::task::yield_now().await;
            Ok(word.clone())
        });
        words.chain(stream::iter(no_such_word))
    }

    fn follow(&self, _: Follow, context: Context<'_, Library>) -> impl Stream<Item = u64> {
        (self.report)("begun");
        let (report, context) = (self.report.clone(), context.into_owned());
        tokio::spawn(async move {
            context.cancelled().await;
            report("cancelled");
        });
        stream::iter(0..2).chain(stream::pending())
    }
}

#[handlers(server = Library)]
impl<R: Fn(&'static str) + Clone + Send + Sync + 'static> Desk<R> {
    /// Waits before its stream begins. The stream outlives the method, so it does not borrow.
    async fn late(&self, _: Late, context: Context<'_, Library>) -> impl Stream<Item = String> + use<R> {
        tokio::task::yield_now().await;
        stream::iter([format!("late for {}", context.client_id()), self.words.join(" ")])
    }
}

struct Shelf;

#[handlers(client = Library)]
impl Shelf {
    fn words(&self, words: Words, context: ClientContext<'_, Library>) -> impl Stream<Item = String> + use<> {
        assert!(context.client().is_connected());
        stream::iter(words.from..3).map(|number| number.to_string())
    }
}

fn desk(events: &Events<&'static str>) -> Desk<impl Fn(&'static str) + Clone + Send + Sync + 'static> {
    Desk { words: ["a", "b", "c"].map(str::to_owned).into(), report: events.reporter() }
}

async fn all<E: std::fmt::Debug>(items: impl Stream<Item = Result<String, E>>) -> Vec<String> {
    soon("the whole stream", items.map(Result::unwrap).collect()).await
}

support::both_flavours! {
    async fn stream_that_borrows_its_struct_yields_items_and_errors() {
        let events = Events::new();
        let desk = Arc::new(desk(&events));
        let (_place, server, client) = connected::<Library>(|server, client| {
            server.attach(Arc::clone(&desk)).unwrap();
            client.attach(Shelf).unwrap();
        }).await;
        assert_eq!(all(client.request_stream(&Words { from: 1 })).await, ["b", "c"]);
        assert_eq!(all(client.request_stream(&Late)).await, ["late for 1", "a b c"]);
        let mut none = client.request_stream(&Words { from: 9 });
        let Some(Err(RequestError::Failed { error, .. })) = soon("the error", none.next()).await else {
            panic!("no error of the stream");
        };
        assert_eq!(error, NoSuchWord { last: 2 });
        let id = server.clients()[0];
        assert_eq!(all(server.request_stream(&Words { from: 1 }, id)).await, ["1", "2"]);
    }

    async fn stream_dropped_by_requester_is_cancelled_and_releases_the_struct() {
        let mut events = Events::new();
        let desk = Arc::new(desk(&events));
        let mut token = None;
        let (_place, server, client) = connected::<Library>(|server, _| {
            token = Some(server.attach(Arc::clone(&desk)).unwrap());
        }).await;
        let mut numbers = client.request_stream(&Follow);
        assert_eq!(soon("an item", numbers.next()).await.unwrap().unwrap(), 0);
        assert_eq!(events.next().await, "begun");
        assert!(server.off(token.unwrap()));
        assert_eq!(soon("an item", numbers.next()).await.unwrap().unwrap(), 1);
        drop(numbers);
        assert_eq!(events.next().await, "cancelled");
        // The stream was the last to hold it.
        soon("the drop of the stream", async {
            while Arc::strong_count(&desk) > 1 {
                tokio::task::yield_now().await;
            }
        }).await;
    }
}
