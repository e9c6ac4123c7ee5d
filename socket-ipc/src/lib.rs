//! socket-ipc
mod topic;
pub use socket_ipc_derive::Topic;
pub use topic::Topic;
