//! The Python of a description: it runs and satisfies the type checker for any description, and rejects mistakes.

use std::path::Path;
use std::process::Output;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket_ipc::{Description, Protocol, Topic, Wire};
use support::foreign::{is_here, skip};
use support::python::Mypy;
use support::{DEADLINE, Place, soon, within};
use tokio::process::Command;

use crate::chat::{Follow, Hello, Submit};
use crate::shapes::{every_shape, hostile};

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "ping"]
struct Ping;

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
}

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "which", reply = u32, reply_topic = "number")]
struct Which(u32);

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "log", stream = String)]
struct Log {
    lines: u32,
}

#[derive(Protocol)]
#[protocol(to_server(Hello, Ping, Submit, Follow), to_client(Greeting, Which, Log))]
struct Chat;

/// One run for all files: the type checker takes seconds to begin.
#[test]
fn python_of_any_description_runs_and_only_mistakes_are_rejected() {
    support::run(tokio::runtime::Builder::new_current_thread(), async {
        let mypy = match Mypy::install(env!("CARGO_TARGET_TMPDIR")).await {
            Ok(mypy) => mypy,
            Err(why) => return skip("the type checker of Python", &why),
        };
        let (shapes, others, place) = (every_shape(), hostile(), Place::new());
        let mut node = Chat::schema();
        node.wire.delimiter = Wire::NODE_0_1.delimiter().to_owned();
        node.wire.message_key = Wire::NODE_0_1.message_key().to_owned();
        let files = [
            ("chat.py", Chat::schema().python_client()),
            ("chat_types.py", Chat::schema().python()),
            ("shapes.py", shapes.python_client()),
            ("shapes_types.py", shapes.python()),
            ("others.py", others.python_client()),
            ("others_types.py", others.python()),
            ("none.py", Description::new().python_client()),
            ("none_types.py", Description::new().python()),
            ("node.py", node.python_client()),
            ("mistakes.py", include_str!("../foreign/python/mistakes.py").to_owned()),
        ];
        for (name, text) in &files {
            std::fs::write(place.directory().join(name), text).unwrap();
        }
        let names = files.each_ref().map(|(name, _)| *name);
        imports(place.directory(), &names).await;

        let errors = mypy.check(place.directory(), &names).await;
        let (mistakes, others): (Vec<_>, Vec<_>) =
            errors.iter().partition(|error| error.starts_with("mistakes.py:"));
        assert!(others.is_empty(), "{others:#?}");
        for (line, number) in include_str!("../foreign/python/mistakes.py").lines().zip(1..).skip(1) {
            let is_error = mistakes.iter().any(|error| error.starts_with(&format!("mistakes.py:{number}:")));
            assert_eq!(is_error, line.ends_with("# mistake"), "line {number}: {line}\n{mistakes:#?}");
        }
    });
}

#[test]
fn python_client_at_any_server_reports_each_mistake_and_goes_on() {
    support::run(tokio::runtime::Builder::new_current_thread(), async {
        if let Err(why) = is_here("python3").await {
            return skip("the Python client at any server", &why);
        }
        let place = Place::new();
        std::fs::write(place.directory().join("chat.py"), Chat::schema().python_client()).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/python/any_server.py");
        let copied = place.directory().join("any_server.py");
        std::fs::copy(program, &copied).unwrap();
        let mut python = Command::new("python3");
        python.arg(&copied).arg(place.socket());
        let output = within("the end of the program", 3 * DEADLINE, python.output()).await.unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success() && stderr.is_empty(), "{stdout}{stderr}");
        assert_eq!(stdout.lines().count(), 15, "{stdout}");
    });
}

/// Runs the files, with warnings as errors: an escape that Python does not know is one.
async fn imports(directory: &Path, names: &[&str]) {
    let modules: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".py")).collect();
    let mut python = Command::new("python3");
    python.args(["-W", "error", "-c", &format!("import {}", modules.join(", "))]).current_dir(directory);
    let Output { status, stdout, stderr } = soon("the import", python.output()).await.unwrap();
    let text = String::from_utf8_lossy(&stderr);
    assert!(status.success() && stdout.is_empty() && stderr.is_empty(), "{status}: {text}");
}
