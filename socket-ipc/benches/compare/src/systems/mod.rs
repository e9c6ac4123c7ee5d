//! The systems that are compared, each with a server and a client as a program would write them.

mod bare_echo;
pub mod by_hand;
mod lines_codec;
mod raw;
mod socket_ipc;
#[cfg(feature = "tarpc")]
mod tarpc;
#[cfg(feature = "zeromq")]
mod zeromq;
#[cfg(feature = "zlink")]
mod zlink;

use std::path::Path;

use clap::ValueEnum;

use crate::work::Work;

/// A failure of any kind ends the process with its text.
pub type Done = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum System {
    SocketIpc,
    SocketIpcMultiThread,
    ByHand,
    ByHandMultiThread,
    BareEcho,
    BareEchoMultiThread,
    RawBytes,
    RawSerdeJson,
    LinesCodec,
    Zeromq,
    Zlink,
    Tarpc,
    NodeSocketIpc,
    NodeIpc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Endpoint {
    Server,
    Client,
}

impl System {
    pub fn name(self) -> &'static str {
        match self {
            Self::SocketIpc => "socket-ipc, current thread",
            Self::SocketIpcMultiThread => "socket-ipc, multi thread",
            Self::ByHand => "tokio by hand, current thread",
            Self::ByHandMultiThread => "tokio by hand, multi thread",
            Self::BareEcho => "tokio, bare echo, current thread",
            Self::BareEchoMultiThread => "tokio, bare echo, multi thread",
            Self::RawBytes => "raw blocking socket, bytes only",
            Self::RawSerdeJson => "raw blocking socket, serde_json",
            Self::LinesCodec => "tokio, LinesCodec and Value",
            Self::Zeromq => "ZeroMQ, serde_json",
            Self::Zlink => "zlink 0.8",
            Self::Tarpc => "tarpc 0.38, JSON",
            Self::NodeSocketIpc => "Node socket-ipc 0.4.0",
            Self::NodeIpc => "node-ipc 9.1",
        }
    }

    /// The same on the kind of runtime that `other` has.
    pub fn on_runtime_of(self, other: Self) -> Self {
        match (self, other) {
            (Self::ByHand, Self::SocketIpcMultiThread) => Self::ByHandMultiThread,
            (Self::BareEcho, Self::SocketIpcMultiThread) => Self::BareEchoMultiThread,
            _ => self,
        }
    }

    /// The program in `peers/` that runs it, for a system in another language.
    pub fn script(self) -> Option<&'static str> {
        match self {
            Self::NodeSocketIpc => Some("socket-ipc.js"),
            Self::NodeIpc => Some("node-ipc.js"),
            _ => None,
        }
    }

    /// Why it can't be run, or `None` if it can.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Zeromq if !cfg!(feature = "zeromq") => Some("built without the feature `zeromq`"),
            Self::Zlink if !cfg!(feature = "zlink") => Some("built without the feature `zlink`"),
            Self::Tarpc if !cfg!(feature = "tarpc") => Some("built without the feature `tarpc`"),
            _ => None,
        }
    }

    pub fn does(self, work: Work) -> bool {
        match self {
            Self::SocketIpc | Self::SocketIpcMultiThread => true,
            // The others have no groups.
            _ if work.is_broadcast() && work != Work::W3 => false,
            // One connection is enough to compare with.
            Self::ByHand | Self::ByHandMultiThread => !matches!(work, Work::W3 | Work::Idle),
            Self::BareEcho | Self::BareEchoMultiThread => work == Work::W2,
            // One thread that blocks serves one client at a time.
            Self::RawBytes | Self::RawSerdeJson => !matches!(work, Work::W5 | Work::Idle),
            // Only calls and replies: the system has no broadcasts.
            Self::Tarpc => !matches!(work, Work::W3 | Work::Idle),
            Self::Zlink => !matches!(work, Work::W3 | Work::Idle),
            Self::LinesCodec | Self::Zeromq | Self::NodeSocketIpc | Self::NodeIpc => work != Work::Idle,
        }
    }

    /// The share of a work that it does. Whenever bytes arrive, node-ipc searches all received bytes from the
    /// beginning, which takes minutes for as many texts as the other systems send.
    pub fn share(self, work: Work) -> f64 {
        if self == Self::NodeIpc && work.text_len().is_some() { 0.05 } else { 1.0 }
    }

    /// Plays one endpoint, in a process of its own.
    pub fn play(self, endpoint: Endpoint, work: Work, count: u64, path: &Path) -> Done {
        match self {
            Self::SocketIpc => block_on(false, socket_ipc::play(endpoint, work, count, path)),
            Self::SocketIpcMultiThread => block_on(true, socket_ipc::play(endpoint, work, count, path)),
            Self::ByHand => block_on(false, by_hand::play(endpoint, work, count, path)),
            Self::ByHandMultiThread => block_on(true, by_hand::play(endpoint, work, count, path)),
            Self::BareEcho => block_on(false, bare_echo::play(endpoint, count, path)),
            Self::BareEchoMultiThread => block_on(true, bare_echo::play(endpoint, count, path)),
            Self::RawBytes => raw::play(endpoint, work, count, path, false),
            Self::RawSerdeJson => raw::play(endpoint, work, count, path, true),
            Self::LinesCodec => block_on(true, lines_codec::play(endpoint, work, count, path)),
            #[cfg(feature = "zeromq")]
            Self::Zeromq => zeromq::play(endpoint, work, count, path),
            #[cfg(feature = "zlink")]
            Self::Zlink => block_on(true, zlink::play(endpoint, work, count, path)),
            #[cfg(feature = "tarpc")]
            Self::Tarpc => block_on(true, tarpc::play(endpoint, work, count, path)),
            _ => Err(format!("{} is not played by this program", self.name()).into()),
        }
    }
}

pub fn block_on(multi_thread: bool, playing: impl Future<Output = Done>) -> Done {
    use tokio::runtime::Builder;
    let mut builder = if multi_thread { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().build()?.block_on(playing)
}
