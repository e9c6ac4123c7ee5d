//! How a client in each language is made of the server's description, and started.

use std::path::Path;

use socket_ipc::description::Integers;
use support::foreign::skip;
use support::python::Mypy;
use support::typescript::TypeScript;
use tokio::process::Command;

use crate::servers::{NODE, SUITE, Servers};

/// The client in Rust has the types themselves.
pub(crate) fn rust() -> Command {
    let mut command = Command::new(SUITE);
    command.arg("client");
    command
}

/// The clients in TypeScript: programs on generated files.
pub(crate) struct TypescriptClients {
    pub(crate) suite: Command,
    pub(crate) bigints: Command,
    pub(crate) node: Command,
    /// A client at servers of its own, which send any bytes.
    pub(crate) any_server: Command,
}

/// Compiles them, all at once. `None` if they can't be compiled here; the skip is reported.
pub(crate) async fn typescript(servers: &Servers) -> Option<TypescriptClients> {
    let installed = TypeScript::install(env!("CARGO_TARGET_TMPDIR")).await;
    let typescript = installed.map_err(|why| skip("the suite of clients in TypeScript", &why)).ok()?;
    let directory = servers.place.directory();
    let described = servers.describe("").await;
    let node = servers.describe(NODE).await;
    for (file, text) in [
        ("topics.ts", described.typescript_client(Integers::Number)),
        ("bigint_topics.ts", described.typescript_client(Integers::Bigint)),
        ("node_topics.ts", node.typescript_client(Integers::Number)),
    ] {
        std::fs::write(directory.join(file), text).unwrap();
    }
    let programs = ["suite.ts", "bigints.ts", "node.ts", "any_server.ts"];
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/clients");
    for program in programs {
        std::fs::copy(sources.join(program), directory.join(program)).unwrap();
    }
    assert_eq!(typescript.compile(directory, &programs).await, Ok(()));
    let [suite, bigints, node, any_server] = programs.map(|program| {
        let mut command = Command::new("node");
        command.arg(directory.join(program).with_extension("js"));
        command
    });
    Some(TypescriptClients { suite, bigints, node, any_server })
}

/// The clients in Python: programs beside generated files.
pub(crate) struct PythonClients {
    pub(crate) suite: Command,
    pub(crate) node: Command,
}

/// `None` if there is no Python here; the skip is reported.
pub(crate) async fn python(servers: &Servers) -> Option<PythonClients> {
    if let Err(why) = Command::new("python3").arg("--version").output().await {
        skip("the suite of clients in Python", &format!("python3 can't be run: {why}"));
        return None;
    }
    let directory = servers.place.directory();
    let (described, node) = (servers.describe("").await, servers.describe(NODE).await);
    std::fs::write(directory.join("suite_client.py"), described.python_client()).unwrap();
    std::fs::write(directory.join("node_client.py"), node.python_client()).unwrap();
    let programs = ["suite.py", "node.py"];
    let [suite, node] = programs.map(|program| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/clients").join(program);
        std::fs::copy(source, directory.join(program)).unwrap();
        let mut command = Command::new("python3");
        command.args(["-W", "error"]).arg(directory.join(program));
        command
    });
    match Mypy::install(env!("CARGO_TARGET_TMPDIR")).await {
        Ok(mypy) => assert_eq!(mypy.check(directory, &programs).await, [""; 0]),
        Err(why) => skip("the type checker of the suite in Python", &why),
    }
    Some(PythonClients { suite, node })
}
