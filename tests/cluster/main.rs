//! Servers that are joined over a real NATS server.

mod basics;
mod batches;
mod domain;
mod failures;
mod foreign;
mod join;
mod leaving;
mod nodes;
mod origin;
mod protocol;
mod remote;
mod requests;
mod trust;
mod trust_requests;
