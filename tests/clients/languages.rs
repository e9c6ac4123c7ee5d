//! How a client in each language is made of the server's description, and started.

use std::path::{Path, PathBuf};

use socket_ipc::description::Integers;
use support::foreign::{is_here, skip};
use support::python::Mypy;
use support::typescript::TypeScript;
use tokio::process::Command;

use crate::servers::{NODE_WIRES, SUITE, Servers};

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
    /// One for each wire of the Node library.
    pub(crate) node: [Command; NODE_WIRES.len()],
    /// A client at servers of its own, which send any bytes.
    pub(crate) any_server: Command,
}

/// Compiles them, all at once. `None` if they can't be compiled here; the skip is reported.
pub(crate) async fn typescript(servers: &Servers) -> Option<TypescriptClients> {
    let installed = TypeScript::install(env!("CARGO_TARGET_TMPDIR")).await;
    let typescript = installed.map_err(|why| skip("the suite of clients in TypeScript", &why)).ok()?;
    let directory = servers.place.directory();
    let described = servers.describe("").await;
    let mut files = vec![
        ("topics.ts".to_owned(), described.typescript_client(Integers::Number)),
        ("bigint_topics.ts".to_owned(), described.typescript_client(Integers::Bigint)),
    ];
    let mut programs = ["suite.ts", "bigints.ts", "any_server.ts"].map(str::to_owned).to_vec();
    for wire in NODE_WIRES {
        std::fs::create_dir(directory.join(wire)).unwrap();
        let node = servers.describe(&format!(".{wire}")).await;
        files.push((format!("{wire}/node_topics.ts"), node.typescript_client(Integers::Number)));
        programs.push(format!("{wire}/node.ts"));
    }
    for (file, text) in files {
        std::fs::write(directory.join(file), text).unwrap();
    }
    for program in &programs {
        std::fs::copy(source(program), directory.join(program)).unwrap();
    }
    let programs: Vec<&str> = programs.iter().map(String::as_str).collect();
    assert_eq!(typescript.compile(directory, &programs).await, Ok(()));
    let started = |program: &str| {
        let mut command = Command::new("node");
        command.arg(directory.join(program).with_extension("js"));
        command
    };
    let [suite, bigints, any_server] = ["suite.ts", "bigints.ts", "any_server.ts"].map(started);
    let node = NODE_WIRES.map(|wire| started(&format!("{wire}/node.ts")));
    Some(TypescriptClients { suite, bigints, node, any_server })
}

/// The clients in Python: programs beside generated files.
pub(crate) struct PythonClients {
    pub(crate) suite: Command,
    /// One for each wire of the Node library.
    pub(crate) node: [Command; NODE_WIRES.len()],
}

/// `None` if there is no Python here; the skip is reported.
pub(crate) async fn python(servers: &Servers) -> Option<PythonClients> {
    is_here("python3").await.map_err(|why| skip("the suite of clients in Python", &why)).ok()?;
    let directory = servers.place.directory();
    std::fs::write(directory.join("suite_client.py"), servers.describe("").await.python_client()).unwrap();
    std::fs::copy(source("suite.py"), directory.join("suite.py")).unwrap();
    for wire in NODE_WIRES {
        let beside = directory.join(wire);
        std::fs::create_dir(&beside).unwrap();
        let node = servers.describe(&format!(".{wire}")).await;
        std::fs::write(beside.join("node_client.py"), node.python_client()).unwrap();
        std::fs::copy(source("node.py"), beside.join("node.py")).unwrap();
    }
    match Mypy::install(env!("CARGO_TARGET_TMPDIR")).await {
        Ok(mypy) => {
            assert_eq!(mypy.check(directory, &["suite.py"]).await, [""; 0]);
            // The others differ in their constants.
            assert_eq!(mypy.check(&directory.join(NODE_WIRES[0]), &["node.py"]).await, [""; 0]);
        }
        Err(why) => skip("the type checker of the suite in Python", &why),
    }
    let started = |program: &str| {
        let mut command = Command::new("python3");
        command.args(["-W", "error"]).arg(directory.join(program));
        command
    };
    let node = NODE_WIRES.map(|wire| started(&format!("{wire}/node.py")));
    Some(PythonClients { suite: started("suite.py"), node })
}

/// The source of a program in another language.
fn source(program: &str) -> PathBuf {
    let name = Path::new(program).file_name().unwrap();
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/clients").join(name)
}
