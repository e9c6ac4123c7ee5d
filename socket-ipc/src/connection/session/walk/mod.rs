//! A walk through every order of the events of a connection, and the invariants that hold after each order.
//!
//! The walk drives the session's own `poll` with a stream, listeners and a clock that it controls. Like a runtime, it
//! polls the session only after a wake-up. After each order of events
//!
//! * a poll without a wake-up changes nothing: otherwise a wake-up was lost;
//! * once the peer has closed its socket and the running listener has returned, the connection ends;
//! * once the connection has ended, nothing is left queued, held, pending or counted.

mod event;
pub(in crate::connection) mod fake;
mod inbox;
mod scene;
mod steps;
mod world;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;

use self::event::EVENTS;
use self::event::Event::{self, *};
use self::fake::{Fake, Stream};
use self::world::World;
use super::Session;
use crate::connection::item_queue::{Arrival, End};
use crate::connection::{Limits, Link, Outbox, OutboxBudget, PendingRequests};
use crate::metrics::Metrics;
use crate::sync::lock;

/// Goes through these events in this order, and checks the invariants at the end.
async fn walk(events: &[Event], max_requests: usize, forgets: bool) -> Result<(), String> {
    let mut world = World::new(max_requests, forgets);
    world.poll();
    for event in events {
        world.happens(*event).await;
        world.run().await?;
    }
    world.poll_unwoken()?;
    world.outlive_the_peer().await?;
    world.leaves_nothing()?;
    // The same events, with a session that is dropped after them, as when its runtime ends.
    let mut world = World::new(max_requests, forgets);
    world.poll();
    for event in events {
        world.happens(*event).await;
        world.run().await?;
    }
    world.session = Box::pin(std::future::pending());
    world.leaves_nothing().map_err(|left| format!("after a drop, {left}"))
}

/// Walks through every order of `depth` events, for these limits of requests.
fn every_order(depth: usize, max_requests: &[usize]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let orders = EVENTS.len().pow(u32::try_from(depth).unwrap());
    runtime.block_on(async {
        for number in 0..orders {
            let events: Vec<_> = (0..depth)
                .scan(number, |rest, _| {
                    let event = EVENTS[*rest % EVENTS.len()];
                    *rest /= EVENTS.len();
                    Some(event)
                })
                .collect();
            for limit in max_requests {
                if let Err(fault) = walk(&events, *limit, false).await {
                    panic!("{events:?} with {limit} requests: {fault}");
                }
            }
        }
    });
}

#[test]
fn session_every_order_of_three_events_loses_no_wake_up_and_ends() {
    every_order(3, &[1, 2]);
}

#[test]
#[ignore = "takes minutes without optimisation"]
fn every_property_of_session_five_events_holds() {
    every_order(5, &[1]);
}

/// Orders in which a peer that was gone went unnoticed once. They are longer than the orders of the other tests.
#[tokio::test(start_paused = true)]
async fn session_peer_gone_behind_full_responders_ends() {
    let orders: [&[Event]; 6] = [
        &[RequestArrives, Leave],
        &[RequestArrives, RequestArrives, Finish, Leave],
        &[RequestArrives, RequestArrives, RequestArrives, RequestArrives, RequestArrives, Leave],
        &[
            RequestArrives,
            RequestArrives,
            RequestArrives,
            RequestArrives,
            RequestArrives,
            Finish,
            Second,
            Leave,
        ],
        &[Wait, RequestArrives, RequestArrives, RequestArrives, RequestArrives, Half, Leave],
        &[
            Block,
            RequestArrives,
            Send,
            Send,
            ResponderReady,
            RequestArrives,
            RequestArrives,
            RequestArrives,
            Leave,
        ],
    ];
    for events in orders {
        for limit in 1..=2 {
            walk(events, limit, false).await.unwrap_or_else(|fault| panic!("{events:?}: {fault}"));
        }
    }
}

/// The walk drives what it names: each of these events reaches the code that it is about.
#[tokio::test(start_paused = true)]
async fn walk_events_reach_listeners_responders_and_streams() {
    let mut world = World::new(2, false);
    world.poll();
    for (event, seen) in [(Wait, "a listener"), (ListenerReady, "the next message")] {
        world.happens(event).await;
        world.run().await.unwrap_or_else(|fault| panic!("{seen}: {fault}"));
    }
    for event in [RequestArrives, StreamArrives] {
        world.happens(event).await;
        world.run().await.unwrap();
    }
    let endpoint = &world.endpoint;
    assert_eq!(endpoint.listening.entered(), 1, "the listener was called");
    assert_eq!(endpoint.responding.inside(), 1, "the responder is running");
    assert_eq!(endpoint.streaming.inside(), 1, "the stream is running");
    world.happens(CancelArrives).await;
    world.run().await.unwrap();
    assert_eq!(world.endpoint.streaming.inside(), 0, "the stream was cancelled");
    for event in [RequestStream, Item, Item] {
        world.happens(event).await;
        world.run().await.unwrap();
    }
    assert!(matches!(world.read(0), Poll::Ready(Arrival::Lines(_))), "an item has arrived");
    let Poll::Ready(Arrival::End { end, .. }) = world.read(0) else { panic!("no end") };
    assert!(matches!(end, End::BeyondWindow { .. }), "the window was for one");
}

#[tokio::test(start_paused = true)]
async fn walk_stream_without_wake_ups_fails() {
    assert!(walk(&[Note], 1, true).await.unwrap_err().contains("a wake-up was lost"));
}

/// A session counts what it runs until that ends: `held_back`, the inbox budget and the probes go by it.
#[tokio::test(start_paused = true)]
async fn session_counts_responders_and_the_listener_until_they_end() {
    const REQUEST: &str = "{\"topic\":\"request\",\"message\":null,\"id\":1}\n";
    const STREAM: &str = "{\"topic\":\"stream\",\"message\":null,\"window\":64,\"id\":2}\n";
    const CANCEL: &str = "{\"topic\":\"socket-ipc.cancel\",\"message\":2,\"re\":0}\n";
    const WAIT: &str = "{\"topic\":\"wait\",\"message\":null}\n";
    /// The bytes of a running responder: its own, and those of its request.
    fn running(request: &str) -> usize {
        1024 + request.trim_end().len()
    }
    let limits = Limits { max_requests: 2, ..Limits::default() };
    let outbox = Arc::new(Outbox::new(usize::MAX, OutboxBudget::new(usize::MAX), Metrics::new()));
    let link = Link {
        pending_requests: PendingRequests::new(1, None, Handle::current()),
        outbox: Arc::clone(&outbox),
    };
    let (stream, endpoint) = (Stream::default(), Fake::new(limits, &outbox));
    let mut session = Session::new(stream.clone(), Arc::clone(&endpoint), (), link);
    let mut after = |text: &str| {
        lock(&stream.0).arriving.extend(text.bytes());
        assert!(session.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let dispatcher = &session.dispatcher;
        assert_eq!(dispatcher.is_idle(), !dispatcher.has_responders() && !dispatcher.holds_a_message());
        assert_eq!(dispatcher.has_responders(), dispatcher.responders_len() > 0);
        (dispatcher.responders_len(), dispatcher.holds_a_message(), dispatcher.held_back(&session.context))
    };
    assert_eq!(after(""), (0, false, None));
    assert_eq!(after(REQUEST), (running(REQUEST), false, None));
    assert_eq!(after(REQUEST), (2 * running(REQUEST), false, Some(0)), "as many as allowed");
    endpoint.responding.open(false);
    assert_eq!(after(""), (running(REQUEST), false, None));
    endpoint.responding.open(false);
    assert_eq!(after(""), (0, false, None));
    assert_eq!(after(STREAM), (running(STREAM), false, None));
    let both = running(STREAM) + running(REQUEST);
    assert_eq!(after(REQUEST), (both, false, None), "nothing waits for the place of a stream");
    assert_eq!(after(CANCEL), (running(REQUEST), false, None));
    assert_eq!(after(WAIT), (running(REQUEST), true, Some(WAIT.len())));
    endpoint.listening.open(false);
    endpoint.responding.open(false);
    assert_eq!(after(""), (0, false, None));
}
