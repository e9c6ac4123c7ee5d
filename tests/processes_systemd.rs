//! A server whose socket systemd makes and passes: the example units, and the program that they start.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{DEADLINE, Place};

/// Whether a program of systemd is installed. If not, the test is skipped, or fails under `CI`.
fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        support::skip("systemd", &format!("{program} is not here"));
    }
    found
}

/// The greeting server, which cargo builds beside the tests.
fn hello_server() -> PathBuf {
    let status =
        Command::new(env!("CARGO")).args(["build", "-q", "--locked", "--example", "hello_server"]).status();
    assert!(status.expect("cargo can be run").success());
    let beside = std::env::current_exe().unwrap();
    beside.ancestors().nth(2).unwrap().join("examples/hello_server")
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "whole processes"]
fn example_units_pass_systemd_analyze_verify() {
    if !is_here("systemd-analyze") {
        return;
    }
    let place = Place::new();
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd");
    for unit in ["hello.socket", "hello.service"] {
        let text = std::fs::read_to_string(units.join(unit)).unwrap();
        let text = text.replace("/usr/local/bin/hello_server", hello_server().to_str().unwrap());
        std::fs::write(place.directory().join(unit), text).unwrap();
    }
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "hello.socket", "hello.service"])
        .current_dir(place.directory())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !said.contains("hello."), "{said}");
}

#[test]
#[ignore = "whole processes"]
fn socket_activation_first_client_starts_server_and_gets_reply() {
    if !is_here("systemd-socket-activate") {
        return;
    }
    let place = Place::new();
    let activating = Command::new("systemd-socket-activate")
        .arg("-l")
        .arg(place.socket())
        .arg(hello_server())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _activating = Killed(activating);
    let started = Instant::now();
    let mut client = loop {
        match UnixStream::connect(place.socket()) {
            Ok(client) => break client,
            // systemd has not made the socket yet.
            Err(error) => assert!(started.elapsed() < DEADLINE, "{error}"),
        }
        std::thread::yield_now();
    };
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(b"{\"topic\":\"hello\",\"message\":{\"name\":\"systemd\"}}\n").unwrap();
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line).unwrap();
    assert_eq!(line, "{\"topic\":\"greeting\",\"message\":{\"text\":\"Hello, systemd!\"}}\n");
}
