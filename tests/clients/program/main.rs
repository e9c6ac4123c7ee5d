//! The server of the suite, and its client in Rust: what programs in other languages do in `tests/foreign/clients`.
//!
//! ```text
//! suite serve SOCKET WIRE
//! suite client SOCKET
//! ```

mod client;
mod protocol;
mod server;

use std::path::Path;

use socket_ipc::Wire;

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", path, "json"] => server::serve(Path::new(path), Wire::JSON_LINES).await,
        ["serve", path, "node-0.4"] => server::serve(Path::new(path), Wire::NODE_0_4).await,
        ["serve", path, "node-0.2"] => server::serve(Path::new(path), Wire::NODE_0_2).await,
        ["serve", path, "node-0.1"] => server::serve(Path::new(path), Wire::NODE_0_1).await,
        ["client", path] => client::run(path).await,
        _ => Err(format!("unknown arguments: {arguments:?}").into()),
    }
}
