//! The command `socket-ipc` as whole processes: help, mistakes in arguments, missing servers, and the output on a
//! terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod command;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use command::{COMMANDS, Place, Running, command, on_a_terminal, run, run_with, skip};

/// A build without NATS stays small, and says what is missing.
#[test]
fn command_without_nats_has_few_crates() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "-p",
            "socket-ipc",
            "--features",
            "cli",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ])
        .args(["--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let crates: std::collections::BTreeSet<_> =
        text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(crates.contains("clap") && !crates.contains("async-nats"), "{crates:?}");
    assert!(crates.len() < 90, "{} crates: {crates:?}", crates.len());
    if cfg!(not(feature = "nats")) {
        for arguments in [&["nodes", "jobs"][..], &["listen", "jobs", "--nats", "nats://127.0.0.1"]] {
            let line = Running::of(&mut command(arguments)).end().failed(2);
            assert!(line.contains("build it with the features `cli` and `nats`"), "{line}");
        }
    }
}

#[test]
fn help_lists_every_command_and_each_has_an_example() {
    let help = run(["-h"]).well();
    for &name in COMMANDS {
        let lines: Vec<_> = help.lines().filter(|line| line.starts_with(&format!("  {name} "))).collect();
        assert_eq!(lines.len(), 1, "{name} in {help}");
        let own_help = run([name, "--help"]).well();
        assert!(own_help.contains("\nExample: "), "{own_help}");
        assert!(own_help.contains("socket-ipc "), "{own_help}");
    }
    for status in ["0  ", "1  ", "2  ", "3  ", "4  ", "5  "] {
        assert!(help.contains(&format!("\n  {status}")), "{help}");
    }
    assert!(run(["--version"]).well().starts_with("socket-ipc "));
}

#[test]
fn argument_mistake_prints_one_line_with_what_was_expected() {
    let wrong = |arguments: &[&str], expected: &str| {
        let line = Running::of(&mut command(arguments)).end().failed(2);
        assert!(line.contains(expected), "{arguments:?}: {line}");
    };
    let all = format!("expected one of {}; --help", COMMANDS.join(", "));
    wrong(&[], &all);
    wrong(&["lisen"], "found 'lisen', did you mean 'listen'?");
    wrong(&["topcs"], "found 'topcs', did you mean 'topics'?");
    wrong(&["xyz"], "found 'xyz'; --help");
    wrong(&["types", "a.sock", "--lang", "typscript"], "did you mean 'typescript'?");
    for name in ["listen", "serve", "status", "topics"] {
        wrong(&[name], "missing <PATH>; expected socket-ipc ");
        wrong(&[name, ""], "<PATH>: expected a value, found nothing");
    }
    for name in ["send", "request"] {
        wrong(&[name], "missing <PATH>, <TOPIC>; expected socket-ipc ");
        wrong(&[name, "a.sock"], "missing <TOPIC>; expected socket-ipc ");
        wrong(
            &[name, "a.sock", "t", "{\"a\":\n1,}"],
            "[JSON]: expected JSON: key must be a string at line 2 column 3, found '{\"a\": 1,}'",
        );
        wrong(&[name, "a.sock", "t", "hello"], "a string has quotes of its own, '\"hello\"'");
        wrong(&[name, "a.sock", "t", "1 2"], "trailing characters at line 1 column 3");
        wrong(
            &[name, "a.sock", "t", ""],
            "[JSON]: expected JSON: EOF while parsing a value at line 1 column 0",
        );
        wrong(&[name, "a.sock", "t", &"[".repeat(1000)], "[[[…'");
        wrong(&[name, "a.sock", "t", "1", "2"], "unexpected argument '2'; expected socket-ipc ");
        for seconds in ["soon", "-1", "0", "NaN", "1e300"] {
            wrong(
                &[name, "a.sock", "t", &format!("--timeout={seconds}")],
                "--timeout <SECONDS>: expected seconds, such as 10 or 0.5",
            );
        }
        wrong(
            &[name, "a.sock", "t", "--connect-timeout", "x"],
            "--connect-timeout <SECONDS>: expected seconds",
        );
        wrong(&[name, "a.sock", "t", "--timeout"], "--timeout <SECONDS>: expected a value");
        wrong(&[name, "a.sock", "t", "--retri"], "unexpected argument '--retri', did you mean '--retry'?");
        wrong(&[name, "a.sock", "t", "--retry", "--retry"], "cannot be used multiple times");
    }
    for arguments in [
        &["listen", "a.sock"][..],
        &["send", "a.sock", "t"],
        &["request", "a.sock", "t"],
        &["serve", "a.sock"],
        &["status", "a.sock"],
    ] {
        let arguments = [arguments, &["--wire", "node"]].concat();
        wrong(&arguments, "--wire <WIRE>: expected one of json, node-0.4, node-0.2, node-0.1, found 'node'");
    }
    wrong(&["send", "a.sock", "t", "--wait"], "--wait <TOPIC>: expected a value");
    wrong(&["request", "a.sock", "t", "--count", "0"], "--count <ITEMS>");
    wrong(&["listen", "a.sock", "--send", ""], "--send <TOPIC JSON>: expected `TOPIC JSON` or an envelope");
    wrong(&["listen", "a.sock", "--send", "hello {"], "or an envelope: EOF while parsing an object");
    wrong(&["listen", "a.sock", "--group", "g"], "over a socket the server decides who is in a group");
    wrong(&["serve", "a.sock", "--eccho"], "did you mean '--echo'?");
    wrong(&["completions"], "missing <SHELL>");
    wrong(
        &["completions", "dash"],
        "<SHELL>: expected one of bash, elvish, fish, powershell, zsh, found 'dash'",
    );
    // Longer than a socket's path may be.
    let long = format!("/tmp/{}", "x".repeat(200));
    for arguments in [
        &["listen", &long][..],
        &["send", &long, "t"],
        &["request", &long, "t"],
        &["serve", &long],
        &["status", &long],
    ] {
        wrong(arguments, &long);
    }
}

#[test]
fn server_missing_error_says_why_and_what_to_do() {
    let place = Place::new();
    let path = place.socket();
    let all = |expected: &str| {
        for end in [
            run(["send", &path, "t"]),
            run(["request", &path, "t"]),
            run(["status", &path]),
            run(["topics", &path]),
        ] {
            assert_eq!(end.failed(3), expected);
        }
    };
    all(&format!("no server: {path} does not exist; start it, or wait for it with --retry"));
    drop(UnixListener::bind(&path).unwrap());
    all(&format!(
        "no server: {path} is the socket of one that is gone; start it, or wait for it with --retry"
    ));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    all(&format!("no server: {path} is not a socket"));
}

#[test]
fn server_without_permission_error_names_user_and_path() {
    let place = Place::new();
    let path = place.socket();
    // The superuser may connect to everything, so another user tries, with a copy of the binary that it may read. `cp`
    // writes it: a file that this process writes may be open in a child that another test starts, and then cannot be run.
    let binary = place.file("socket-ipc");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_socket-ipc")).arg(&binary).status().unwrap();
    assert!(copied.success());
    std::fs::set_permissions(binary.parent().unwrap(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let mut other_user = Command::new(&binary);
    other_user.args(["status", &path]);
    let root = rustix::process::geteuid().is_root();
    if root {
        other_user.uid(65534).gid(65534);
    }
    let line = Running::of(&mut other_user).end().failed(3);
    let user = if root { 65534 } else { rustix::process::geteuid().as_raw() };
    assert_eq!(
        line,
        format!(
            "user {user} may not connect to {path}: its mode, or that of a directory above, is in the way"
        )
    );
}

#[test]
fn server_accepts_no_client_error_after_connect_timeout() {
    let place = Place::new();
    let path = place.socket();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_listener, waiting) = runtime.block_on(async {
        let socket = tokio::net::UnixSocket::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        // Until the backlog is full.
        while let Ok(stream) = tokio::net::UnixStream::connect(&path).await {
            waiting.push(stream);
        }
        (listener, waiting)
    });
    assert!(!waiting.is_empty());
    for name in ["send", "request", "status"] {
        let mut arguments = vec![name, path.as_str(), "--connect-timeout", "0.1"];
        if name != "status" {
            arguments.push("t");
        }
        let line = Running::of(&mut command(arguments)).end().failed(3);
        assert_eq!(
            line,
            format!("the server at {path} took no connection within 100ms: it is stopped, or too busy")
        );
    }
}

#[test]
fn completions_every_shell_has_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(["completions", shell]).well();
        for &name in COMMANDS {
            assert!(script.contains(name), "{name} for {shell}");
        }
    }
    let mut bash = Command::new("bash");
    let Ok(checked) =
        bash.arg("-n").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).status()
    else {
        return skip("completions", "bash is not here");
    };
    assert!(checked.success());
    let mut bash = Command::new("bash");
    let loads = r#"source <("$0" completions bash) && complete -p socket-ipc"#;
    let output = bash.args(["--norc", "-c", loads, env!("CARGO_BIN_EXE_socket-ipc")]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("-F _socket__ipc socket-ipc"), "{output:?}");
}

#[test]
fn terminal_output_is_coloured() {
    let place = Place::new();
    let path = place.socket();
    let _server = Running::serve(&path, ["--echo"]);
    let send = format!(r#"send {path} echo '{{"text":"a\u001b","n":[1.50,null]}}' --wait echo"#);
    let Some(coloured) = on_a_terminal("", &send) else { return };
    let painted = "{\u{1b}[34m\"text\"\u{1b}[0m:\u{1b}[32m\"a\\u001b\"\u{1b}[0m,\u{1b}[34m\"n\"\u{1b}[0m:[\u{1b}[33m1.50\u{1b}[0m,\u{1b}[35mnull\u{1b}[0m]}";
    assert_eq!(coloured.line(), painted);
    for words in ["NO_COLOR=1", "TERM=dumb"] {
        let plain = on_a_terminal(words, &send).unwrap();
        assert_eq!(plain.line(), r#"{"text":"a\u001b","n":[1.50,null]}"#);
    }
}

#[test]
fn terminal_listen_prints_time_topic_and_message() {
    let place = Place::new();
    let path = place.socket();
    let mut server = Running::serve(&path, []);
    let listen = format!("listen {path}");
    let Some(coloured) = on_a_terminal("", &listen) else { return };
    let plain = on_a_terminal("NO_COLOR=1 TZ=UTC", &listen).unwrap();
    for listener in [&coloured, &plain] {
        assert_eq!(listener.line(), format!("socket-ipc: connected to {path}"));
    }
    // The kernel connects them before the server accepts. The server accepts in order, so after `ready` it has accepted
    // all.
    run(["send", &path, "ready"]).well();
    assert_eq!(server.json()["topic"], "ready");
    // A topic that would clear the screen.
    server.tell(r#"{"topic":"\u001b[2J","message":["\u001b", "\u009b2J"]}"#);
    server.tell("news 1");
    assert!(plain.line().ends_with(r#" "\u001b[2J" ["\u001b", "\u009b2J"]"#));
    let line = plain.line();
    let (time, rest) = line.split_once(' ').unwrap();
    assert_eq!((time.len(), time.matches(':').count(), rest), ("12:00:00.000".len(), 2, "news 1"));
    assert!(coloured.line().contains(r#""\u001b[2J""#));
    let line = coloured.line();
    assert!(line.starts_with("\u{1b}[2m"), "{line:?}");
    assert!(line.ends_with("\u{1b}[1m\u{1b}[36mnews\u{1b}[0m \u{1b}[33m1\u{1b}[0m"), "{line:?}");
}

#[test]
fn status_live_server_prints_process_and_user() {
    let place = Place::new();
    let path = place.socket();
    let server = Running::serve(&path, []);
    let report: Value = serde_json::from_str(&run(["status", &path]).output).unwrap();
    assert_eq!(report["path"], path);
    assert_eq!(report["alive"], true);
    assert_eq!(report["process"], server.child.id());
    assert_eq!(report["program"], "socket-ipc");
    assert_eq!(report["user"], rustix::process::geteuid().as_raw());
    let name = Command::new("id").arg("-un").output().unwrap().stdout;
    assert_eq!(report["name"], json!(String::from_utf8(name).unwrap().trim()));
    let Some(terminal) = on_a_terminal("NO_COLOR=1", &format!("status {path}")) else { return };
    let line = std::iter::repeat_with(|| terminal.line()).find(|line| line.starts_with(&path)).unwrap();
    let process = server.child.id();
    assert!(line.starts_with(&format!("{path} is alive, process {process} (socket-ipc) of user ")), "{line}");
}

#[test]
fn status_hostile_names_are_escaped_on_the_terminal() {
    let place = Place::new();
    // A server chooses the name of its process, which is that of its file, and its path.
    let program = place.file("x\u{1b}]0;y\u{7}\u{200b}");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_socket-ipc"), &program).unwrap();
    let help = Command::new(&program).args(["send", "--help"]).output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("\nUsage: socket-ipc send "));
    let path = place.file("\u{1b}[2J\u{61c}.sock").into_os_string().into_string().unwrap();
    let server = Running::of(Command::new(&program).args(["serve", &path]));
    let listening = server.error();
    assert!(listening.ends_with("\\u001b[2J\\u061c.sock"), "{listening:?}");
    let Some(terminal) = on_a_terminal("NO_COLOR=1", &format!("status '{path}'")) else { return };
    let line = std::iter::repeat_with(|| terminal.line()).find(|line| line.contains(" is alive")).unwrap();
    assert!(line.contains(r"\u001b[2J\u061c.sock is alive, process "), "{line:?}");
    assert!(line.contains(r" (x\u001b]0;y\u0007\u200b) of user "), "{line:?}");
    assert!(!line.contains(['\u{1b}', '\u{7}', '\u{200b}', '\u{61c}']), "{line:?}");
    // As JSON the names are exact.
    let report: Value = serde_json::from_str(&run(["status", &path]).output).unwrap();
    assert_eq!((&report["path"], &report["program"]), (&json!(path), &json!("x\u{1b}]0;y\u{7}\u{200b}")));
}

/// All text for people is written in one place and has one type.
#[test]
fn command_sources_write_in_two_places_only() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/socket-ipc");
    let mut found = Vec::new();
    for source in std::fs::read_dir(sources).unwrap() {
        let source = source.unwrap().path();
        let name = source.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&source).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for way in ["stdout()", "stderr()", "print!", "println!", "eprint!", "eprintln!", "dbg!", ".print()"]
        {
            let times = code.clone().filter(|line| line.contains(way)).count();
            if times > 0 {
                found.push((name.clone(), way, times));
            }
        }
    }
    found.sort();
    // Three of them check whether standard output is a terminal or a pipe, and how large it is. clap prints the help, and indicatif
    // the progress, which is of numbers alone.
    let expected = [
        ("failure.rs", "stderr()", 1),
        ("output.rs", "stdout()", 3),
        ("progress.rs", "stderr()", 1),
        ("running.rs", "stdout()", 1),
        ("usage.rs", ".print()", 1),
    ];
    assert_eq!(found, expected.map(|(name, way, times)| (name.to_owned(), way, times)));
}

#[test]
fn help_reader_gone_prints_no_error() {
    let output = Command::new("sh")
        .args(["-c", r#""$0" --help | true; "$0" completions zsh | true"#, env!("CARGO_BIN_EXE_socket-ipc")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(run_with(["send", "/nowhere", "t", "-"], b"").failed(3).split(':').next(), Some("no server"));
}
