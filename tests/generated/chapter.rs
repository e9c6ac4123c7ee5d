//! The chapter on languages: its server, and its client in Rust, TypeScript, Python and a shell, as they stand there.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use socket_ipc::description::Integers;
use socket_ipc::{Client, Description};
use support::foreign::{announce, is_here, skip};
use support::preparation::prepared;
use support::process::example;
use support::typescript::TypeScript;
use support::{Place, soon};
use tokio::process::Command;

/// The blocks in a language of the section on one server and its clients.
fn blocks(language: &str) -> Vec<String> {
    let chapter = include_str!("../../socket-ipc/src/guide/languages.md");
    let (_, section) = chapter.split_once("\n# One server, and a client in each language\n").unwrap();
    let (section, _) = section.split_once("\n# ").unwrap();
    let start = format!("\n```{language}\n");
    let blocks = section.split(&start).skip(1);
    blocks.map(|block| block.split_once("\n```").unwrap().0.to_owned() + "\n").collect()
}

fn block(language: &str, number: usize) -> String {
    blocks(language).into_iter().nth(number).unwrap_or_else(|| panic!("no block {number} of {language}"))
}

#[test]
fn chapter_rust_is_that_of_the_example() {
    let of_chapter = blocks("rust,ignore");
    assert_eq!(of_chapter.len(), 2);
    for block in of_chapter {
        assert!(include_str!("../../examples/bakery.rs").contains(&block), "{block}");
    }
}

#[test]
fn chapter_clients_all_print_the_same() {
    support::run(tokio::runtime::Builder::new_current_thread(), async {
        let bakery =
            prepared("building", async { tokio::task::spawn_blocking(|| example("bakery")).await.unwrap() });
        let (bakery, place) = (bakery.await, Place::new());
        let mut server = Command::new(&bakery);
        let _server = server.arg("serve").arg(place.socket()).kill_on_drop(true).spawn().unwrap();
        let client = Client::new(place.socket());
        soon("a connection", client.connect()).await.unwrap();
        let description = soon("the description", client.describe_server()).await.unwrap();

        let printed = block("text", 0);
        for language in ["Rust", "TypeScript", "Python", "a shell"] {
            let program = match language {
                "Rust" => Ok(rust(&bakery, &place)),
                "TypeScript" => typescript(&description, &place).await,
                "Python" => python(&description, &place).await,
                _ => shell(&place).await,
            };
            let mut program = match program {
                Ok(program) => program,
                Err(why) => {
                    skip(&format!("the chapter's client in {language}"), &why);
                    continue;
                }
            };
            let output = soon(language, program.stderr(Stdio::inherit()).output()).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), printed, "{language}: {}", output.status);
            announce(&format!("the chapter's client in {language} prints what it should"));
        }
    });
}

/// Writes a program of the chapter with the path of this test's socket.
fn put(place: &Place, name: &str, text: &str) -> PathBuf {
    let file = place.directory().join(name);
    let socket = place.socket().display().to_string();
    std::fs::write(&file, text.replace("/tmp/bakery.sock", &socket)).unwrap();
    file
}

fn rust(bakery: &Path, place: &Place) -> Command {
    let mut command = Command::new(bakery);
    command.arg("order").arg(place.socket());
    command
}

async fn typescript(description: &Description, place: &Place) -> Result<Command, String> {
    let typescript = TypeScript::install(env!("CARGO_TARGET_TMPDIR")).await?;
    put(place, "bakery.ts", &description.typescript_client(Integers::Number));
    put(place, "order.ts", &block("ts", 0));
    let compiled = typescript.compile(place.directory(), &["order.ts"]).await;
    assert_eq!(compiled, Ok(()));
    let mut command = Command::new("node");
    command.arg(place.directory().join("order.js"));
    Ok(command)
}

async fn python(description: &Description, place: &Place) -> Result<Command, String> {
    is_here("python3").await?;
    put(place, "bakery.py", &description.python_client());
    let mut command = Command::new("python3");
    command.args(["-W", "error"]).arg(put(place, "order.py", &block("python", 0)));
    Ok(command)
}

async fn shell(place: &Place) -> Result<Command, String> {
    for program in ["socat", "jq"] {
        is_here(program).await?;
    }
    let mut command = Command::new("sh");
    command.arg(put(place, "order.sh", &block("sh", 1)));
    Ok(command)
}
