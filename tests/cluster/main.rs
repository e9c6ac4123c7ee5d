//! Servers that are joined over a real NATS server.

mod basics;
mod batches;
mod credentials;
mod domain;
mod failures;
mod foreign;
mod group_counts;
mod groups;
mod join;
mod leaving;
mod many;
mod nodes;
mod origin;
mod permissions;
mod protocol;
mod remote;
mod requests;
mod stream_topics;
mod streams;
mod streams_foreign;
mod streams_forward;
mod streams_trust;
mod tls;
mod trust;
mod trust_groups;
mod trust_requests;
