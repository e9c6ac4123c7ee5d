//! What others do to the socket file: forked children, links in its place, mounts, namespaces.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

mod locks;
mod namespaces;
mod replaced;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use support::Place;
use support::process::{Peer, command, copy_program, once, ping, replies, text};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

/// A user that is neither this one nor the superuser.
const OTHER_USER: u32 = 65_534;

fn start(flavour: &str, arguments: &[&str]) -> Peer {
    Peer::of(&mut command(PEER, flavour, arguments))
}

fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        support::skip(what, "only the superuser can");
    }
    root
}

fn is_here(program: &str, what: &str) -> bool {
    let here = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !here {
        support::skip(what, &format!("{program} is not here"));
    }
    here
}

fn names_in(directory: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

/// A server with mode 0660 under umask 022, under strace.
fn under_strace(flavour: &str, fault: &str, log: &Path, path: &Path) -> Command {
    let mut command = Command::new("strace");
    let (call, _) = fault.split_once(':').unwrap();
    command.args(["-f", "-qq", "-e", &format!("trace={call}"), "-e", &format!("inject={fault}"), "-o"]);
    command.arg(log).args([PEER, "server", text(path)]);
    command.envs([("PEER_FLAVOUR", flavour), ("PEER_MODE", "660"), ("PEER_UMASK", "022")]);
    command
}
