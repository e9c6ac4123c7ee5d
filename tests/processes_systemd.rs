//! Servers whose sockets are passed to them: by systemd, with the example units, and as systemd passes them.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::process::{Peer, example, once, replies, text};
use support::{DEADLINE, Place};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

support::whole_processes! {
    passed_socket_connected_returns_error_with_mistake_in_unit,
    passed_socket_only_bound_returns_error,
    passed_socket_of_wrong_kind_returns_error_with_mistake_in_unit,
    passed_sockets_with_names_are_each_served,
    passed_sockets_not_taken_are_named_in_a_warning,
}

/// Whether a program of systemd is installed. If not, the test is skipped, or fails under `CI`.
fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        support::skip("systemd", &format!("{program} is not here"));
    }
    found
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
    for (name, program) in [("hello", "hello_server"), ("notes", "daemon")] {
        let files = [format!("{name}.socket"), format!("{name}.service")];
        for unit in &files {
            let text = std::fs::read_to_string(units.join(unit)).unwrap();
            let text = text.replace(&format!("/usr/local/bin/{program}"), example(program).to_str().unwrap());
            std::fs::write(place.directory().join(unit), text).unwrap();
        }
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .args(&files)
            .current_dir(place.directory())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && !said.contains(&format!("{name}.")), "{said}");
    }
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
        .arg(example("hello_server"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _activating = Killed(activating);
    // systemd may not have made the socket yet.
    let mut client = once("a socket", || UnixStream::connect(place.socket()).ok());
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.write_all(b"{\"topic\":\"hello\",\"message\":{\"name\":\"systemd\"}}\n").unwrap();
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line).unwrap();
    assert_eq!(line, "{\"topic\":\"greeting\",\"message\":{\"text\":\"Hello, systemd!\"}}\n");
}

/// A process that Python passes sockets to as systemd does. `sockets` is a Python list of them, `names` is `FDNAMES`.
fn activated(flavour: &str, path: &Path, sockets: &str, names: &str, mode: &str) -> Command {
    let script = format!(
        "import os,socket,sys\n\
         U,T = socket.AF_UNIX,socket.AF_INET\n\
         def listening(path):\n    s = socket.socket(U); s.bind(path); s.listen(); return s\n\
         def tcp():\n    s = socket.socket(T); s.bind(('127.0.0.1',0)); s.listen(); return s\n\
         path = sys.argv[1]\n\
         sockets = [s.detach() for s in {sockets}]\n\
         high = [os.dup2(s, 50+i) for i,s in enumerate(sockets)]\n\
         for i,s in enumerate(high): os.dup2(s, 3+i, inheritable=True)\n\
         os.closerange(3+len(high), 100)\n\
         os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES='{names}')\n\
         os.execv(sys.argv[2], [sys.argv[2], sys.argv[3]])"
    );
    let mut command = Command::new("python3");
    command.args(["-c", &script, text(path), PEER, mode]);
    command.envs([("PEER_FLAVOUR", flavour), ("PEER_TRACE", "1")]).stderr(Stdio::piped());
    command
}

fn passed_socket_connected_returns_error_with_mistake_in_unit(flavour: &str) {
    if !is_here("systemd-socket-activate") {
        return;
    }
    let place = Place::new();
    let path = place.socket();
    let said = place.directory().join("said");
    // The program ends with each connection. Its standard error is kept.
    let script = format!("exec \"$@\" 2>>{}", said.display());
    let activating = Command::new("systemd-socket-activate")
        .args(["--accept", "-E", &format!("PEER_FLAVOUR={flavour}"), "-l", text(&path)])
        .args(["sh", "-c", &script, "sh", PEER, "activated"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _activating = Killed(activating);
    let _client = once("a socket", || UnixStream::connect(&path).ok());
    once("an error", || {
        let said = fs::read_to_string(&said).unwrap_or_default();
        (said.contains("`Accept=yes`") && said.contains("`Accept=no`")).then_some(())
    });
}

fn passed_socket_only_bound_returns_error(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let bound = "[(lambda s: (s.bind(path), s)[1])(socket.socket(U))]";
    let output = activated(flavour, &path, bound, "", "activated").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("bound, and does not listen"), "{said}");
}

fn passed_socket_of_wrong_kind_returns_error_with_mistake_in_unit(flavour: &str) {
    let bound = |kind: &str| format!("[(lambda s: (s.bind(path), s)[1])(socket.socket(U, socket.{kind}))]");
    for sockets in ["[tcp()]".to_owned(), bound("SOCK_DGRAM"), bound("SOCK_SEQPACKET")] {
        let place = Place::new();
        let mut start = activated(flavour, &place.socket(), &sockets, "", "activated");
        let output = start.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("`ListenStream=`"), "{sockets}: {said}");
    }
}

fn passed_sockets_with_names_are_each_served(flavour: &str) {
    let place = Place::new();
    // A TCP socket that comes first does not hide the others.
    let sockets = "[tcp(), listening(path), listening(path + '2')]";
    let server =
        Peer::of(&mut activated(flavour, &place.socket(), sockets, "web:main:admin", "activated all"));
    assert_eq!(server.line_with("listening"), "listening 2");
    for (path, name) in [("test.sock", "main"), ("test.sock2", "admin")] {
        let mut stream = UnixStream::connect(place.directory().join(path)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"{\"topic\":\"name\"}\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.contains(&format!("\"{name}\"")), "{line}");
    }
    server.exits_well();
}

fn passed_sockets_not_taken_are_named_in_a_warning(flavour: &str) {
    let place = Place::new();
    let sockets = "[tcp(), listening(path), listening(path + '2')]";
    let mut server =
        Peer::of(&mut activated(flavour, &place.socket(), sockets, "web:main:admin", "activated"));
    server.line_with("listening");
    assert!(replies(&place.socket()));
    server.end_input();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut server.child.stderr.take().unwrap(), &mut said).unwrap();
    for name in ["web", "admin"] {
        let named = |line: &&str| line.contains("WARN") && line.contains(&format!("\"{name}\""));
        assert_eq!(said.lines().filter(named).count(), 1, "{name}: {said}");
    }
    assert!(!said.lines().any(|line| line.contains("WARN") && line.contains("\"main\"")), "{said}");
}
