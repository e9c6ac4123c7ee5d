//! The command `socket-ipc` as whole processes: what they say, what comes back, and with which peers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by them")]

#[path = "../command/mod.rs"]
mod command;
mod input;
mod peers;
mod suggestions;
mod talk;
mod terminal;

use std::sync::mpsc::Sender;

use socket_ipc::{Server, ServerBuilder};
use tokio::runtime::Runtime;

/// A server of this process, with its runtime.
struct Ours {
    runtime: Runtime,
    server: Server,
}

impl Ours {
    /// Listens once `attach` has given it its listeners.
    fn listen(path: &str, attach: impl FnOnce(&Server)) -> Self {
        Self::built(path, |builder| builder, attach)
    }

    fn built(
        path: &str,
        options: impl FnOnce(ServerBuilder) -> ServerBuilder,
        attach: impl FnOnce(&Server),
    ) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = options(Server::builder(path)).build();
        attach(&server);
        runtime.block_on(server.listen()).unwrap();
        Self { runtime, server }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.runtime.block_on(self.server.close());
    }
}

/// Reports when it is dropped.
struct DropReporter(Sender<()>);

impl Drop for DropReporter {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
