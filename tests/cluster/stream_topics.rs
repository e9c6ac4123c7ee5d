//! Topics of streams, and nodes that respond to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Topic};
use support::{Events, soon};

use crate::nodes::{Node, OnDrop};

/// Numbers from 0, and then, with a failure, this error.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "count", stream = u64, error = Failure)]
pub struct Count {
    pub to: u64,
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Failure {
    Odd { number: u64 },
}

/// Texts of this length, without end.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "texts", stream = String)]
pub struct Texts {
    pub len: usize,
}

/// This many numbers, and then nothing more.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "follow", stream = u64)]
pub struct Follow {
    pub numbers: u64,
}

pub fn count(to: u64) -> Count {
    Count { to, failure: None }
}

fn counting(Count { to, failure }: Count) -> BoxStream<'static, Result<u64, Failure>> {
    stream::iter(0..to).map(Ok).chain(stream::iter(failure.map(Err))).boxed()
}

/// What the responders of a node or a client report.
pub struct Streams {
    /// `began` and `dropped`, of `Follow`.
    pub follows: Events<&'static str>,
    /// How many texts were made.
    pub texts: Arc<AtomicU64>,
}

impl Streams {
    fn responders()
    -> (Self, impl Fn(Follow) -> BoxStream<'static, u64>, impl Fn(Texts) -> BoxStream<'static, String>) {
        let (follows, texts) = (Events::new(), Arc::new(AtomicU64::new(0)));
        let (report, made) = (follows.reporter(), Arc::clone(&texts));
        let follow = move |Follow { numbers }| {
            report("began");
            let report = report.clone();
            let dropped = OnDrop(move || report("dropped"));
            stream::iter(0..numbers)
                .chain(stream::pending())
                .map(move |number| {
                    let _ = &dropped;
                    number
                })
                .boxed()
        };
        let texts_of = move |Texts { len }| {
            let made = Arc::clone(&made);
            stream::repeat_with(move || {
                made.fetch_add(1, Ordering::AcqRel);
                "x".repeat(len)
            })
            .boxed()
        };
        (Self { follows, texts }, follow, texts_of)
    }

    /// A server that responds to all of them, and offers them.
    pub fn of(node: &Node) -> Self {
        let (streams, follow, texts) = Self::responders();
        node.server.respond_stream::<Count>(|count, _| counting(count)).unwrap();
        node.server.respond_stream::<Follow>(move |request, _| follow(request)).unwrap();
        node.server.respond_stream::<Texts>(move |request, _| texts(request)).unwrap();
        node.cluster.offer::<(Count, Follow, Texts)>().unwrap();
        streams
    }

    /// A client that responds to all of them.
    pub fn of_client(client: &Client) -> Self {
        let (streams, follow, texts) = Self::responders();
        client.respond_stream::<Count>(counting).unwrap();
        client.respond_stream::<Follow>(follow).unwrap();
        client.respond_stream::<Texts>(texts).unwrap();
        streams
    }

    /// Waits until no more texts are made, and returns how many there are.
    pub async fn texts_at_rest(&self) -> u64 {
        let mut before = u64::MAX;
        soon("the end of the window", async {
            loop {
                tokio::time::sleep(Duration::from_millis(300)).await;
                let now = self.texts.load(Ordering::Acquire);
                if now == std::mem::replace(&mut before, now) && now > 0 {
                    return now;
                }
            }
        })
        .await
    }
}

/// The next item.
pub async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    soon("an item", stream.next()).await
}

/// All items, and the error that a stream ends with.
pub async fn all<I, E, S: Stream<Item = Result<I, E>> + Unpin>(mut stream: S) -> (Vec<I>, Option<E>) {
    let mut items = Vec::new();
    loop {
        match next(&mut stream).await {
            Some(Ok(item)) => items.push(item),
            Some(Err(error)) => {
                assert!(next(&mut stream).await.is_none(), "an error is the last item");
                return (items, Some(error));
            }
            None => return (items, None),
        }
    }
}

/// The error of a stream without items.
pub async fn failed<I: std::fmt::Debug, E, S: Stream<Item = Result<I, E>> + Unpin>(stream: S) -> E {
    let (items, error) = all(stream).await;
    assert!(items.is_empty(), "{items:?}");
    error.expect("an error")
}

/// Whether nothing comes for a moment.
pub async fn is_silent<S: Stream + Unpin>(stream: &mut S) -> bool {
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.next().now_or_never().is_none()
}
