//! What a program has around its handlers: what decides who may do what, what it keeps for each client, how it connects
//! and ends, and its tests in memory.

mod authorize;
mod connecting;
mod errors;
mod in_memory_client;
mod listen_until;
mod per_client;

use socket_ipc::{ClientId, ServerHandle};
use support::soon;

/// Waits until a server has accepted this many clients, and returns them.
async fn accepted<const N: usize, P>(server: &ServerHandle<P>) -> [ClientId; N] {
    let accepted = async {
        loop {
            match server.clients().try_into() {
                Ok(clients) => return clients,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    soon("the clients", accepted).await
}
