//! Unix domain sockets: the socket file, sockets that a service manager passed, and the process of the peer.

pub(crate) mod activation;
pub(crate) mod group;
pub(crate) mod peer;
pub(crate) mod socket_file;
