//! Servers that are joined over a real NATS server.

mod basics;
mod failures;
mod foreign;
mod join;
mod leaving;
mod nodes;
mod remote;
mod requests;
mod trust;
