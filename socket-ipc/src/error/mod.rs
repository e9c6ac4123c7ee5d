//! Error types: one for each operation that can fail. Each names the path, topic or client it is about.

pub(crate) mod error_reply;

mod connect;
mod fault;
mod group;
mod listen;
mod message;
mod register;
mod request;
mod send;
mod type_name;

pub use connect::ConnectError;
pub use fault::Error;
pub use group::GroupError;
pub use listen::ListenError;
pub use message::{MessageError, MessageErrorKind};
pub use register::RegisterError;
pub use request::RequestError;
pub use send::{FlushError, SendError};
pub(crate) use type_name::{short_type_name, type_name};
