//! The socket file: whose it is, what stands in its way, and what watches it.

mod claim;
mod watch;
