//! What can go wrong: one type for each thing that can fail, naming what it is about.

pub(crate) mod error_reply;

mod connect;
mod fault;
mod listen;
mod message;
mod request;
mod respond;
mod send;

pub use connect::ConnectError;
pub use fault::Error;
pub use listen::ListenError;
pub use message::{MessageError, MessageErrorKind};
pub use request::RequestError;
pub use respond::RegisterError;
pub use send::{FlushError, SendError};
