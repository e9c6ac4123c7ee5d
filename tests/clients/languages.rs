//! How a client in each language is made of the server's description, and started.

use std::path::{Path, PathBuf};

use socket_ipc::description::Integers;
use support::foreign::skip;
use support::typescript::TypeScript;
use tokio::process::Command;

use crate::servers::{SUITE, Servers};

/// The client in Rust has the types themselves.
pub(crate) fn rust() -> Command {
    let mut command = Command::new(SUITE);
    command.arg("client");
    command
}

/// A client in TypeScript: `program` on the generated file. `None` if it can't be compiled here; the skip is reported.
pub(crate) async fn typescript(program: &str, integers: Integers, servers: &Servers) -> Option<Command> {
    let test = format!("the suite of clients in {program}");
    let installed = TypeScript::install(env!("CARGO_TARGET_TMPDIR")).await;
    let typescript = installed.map_err(|why| skip(&test, &why)).ok()?;
    let directory = servers.place.directory();
    let generated = servers.describe().await.typescript_client(integers);
    std::fs::write(directory.join("topics.ts"), &generated).unwrap();
    std::fs::copy(source(program), directory.join(program)).unwrap();
    if let Err(lines) = typescript.compile(directory, &[program]).await {
        panic!("{}\n{generated}", lines.join("\n"));
    }
    let mut command = Command::new("node");
    command.arg(directory.join(program).with_extension("js"));
    Some(command)
}

fn source(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/clients").join(program)
}
