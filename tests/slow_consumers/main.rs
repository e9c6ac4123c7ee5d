//! Peers that read slowly, or not at all.

mod inbox_budget;
mod outbox_total;
mod slow_but_reading;
mod slow_readers;
