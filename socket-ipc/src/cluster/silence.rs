//! Checks several times a second which nodes have been silent for too long.

use std::time::Duration;

use async_nats::connection::State;
use tokio::time::{Instant, MissedTickBehavior};

use super::events::ClusterEvent;
use super::shared::Shared;
use crate::sync::lock;

/// How often it checks.
const INTERVAL: Duration = Duration::from_millis(200);

/// After a longer pause than this between two checks, this process itself stood still: no other node counts as silent.
const STOOD_STILL: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: &Shared) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        // An event of the NATS client may be lost, its state is not.
        let is_connected = shared.nats.connection_state() == State::Connected;
        shared.link.set(is_connected, &shared.pending, &shared.hub);
        shared.link.forget_slow();
        let now = Instant::now();
        let stood_still = now.duration_since(std::mem::replace(&mut last, now)) > STOOD_STILL;
        if stood_still || !is_connected {
            lock(&shared.members).excuse_all(now);
            shared.pending.excuse_all();
            continue;
        }
        shared.pending.fail_silent(shared.silence);
        let silent = lock(&shared.members).take_silent(now, shared.silence);
        for node in silent {
            shared.node_gone(&node);
            shared.hub.report(ClusterEvent::NodeDown(node));
        }
    }
}
