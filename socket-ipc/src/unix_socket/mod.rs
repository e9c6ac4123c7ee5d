//! Unix domain sockets: the socket file, sockets that were passed, and who is at the other end.

pub(crate) mod activation;
pub(crate) mod group;
pub(crate) mod peer;
pub(crate) mod socket_file;
