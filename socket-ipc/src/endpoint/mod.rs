//! What a server and a client have in common.

pub(crate) mod options;
