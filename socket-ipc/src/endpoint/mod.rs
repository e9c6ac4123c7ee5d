//! What a server and a client have in common: all but how a connection comes about.
//!
//! Both are a [`Core`] and what only one of them has: a server its socket and its clients, a client its connector and
//! its connection. Nothing here knows which of the two it belongs to; [`Endpoint`] says what differs.

pub(crate) mod attempt;
pub(crate) mod closing;
pub(crate) mod events;
pub(crate) mod lifecycle;
pub(crate) mod listeners;
pub(crate) mod options;
pub(crate) mod origin;
mod peer_id;
pub(crate) mod reply_error;
pub(crate) mod reply_sender;
pub(crate) mod requests;
pub(crate) mod send;
mod state;
pub(crate) mod streams;
mod unready;

pub(crate) use peer_id::PeerId;
pub(crate) use state::{Core, Endpoint, build};
