//! What others do to the socket file: forked children, links in its place, mounts, namespaces.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

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

support::whole_processes! {
    server_copy_in_forked_child_leaves_file_lock_and_connections,
    socket_file_replaced_by_link_before_chmod_is_not_followed,
    socket_file_replaced_by_live_server_before_chmod_is_left_alone,
    socket_file_replaced_during_chmod_changes_no_other_file,
    mode_cannot_be_set_returns_error_that_names_the_umask,
    lock_held_without_socket_file_error_names_the_process,
    lock_of_other_user_without_file_locks_is_not_reclaimed,
    lock_held_outside_pid_namespace_is_not_called_left_over,
    socket_file_cannot_be_probed_after_bind_returns_error,
    server_on_overlay_reclaims_socket_of_image_and_removes_its_own,
    socket_file_under_mounted_volume_is_noticed_and_bound_again,
    peer_in_other_namespaces_has_no_process_and_no_user,
    allow_groups_only_members_are_let_in,
}

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

fn server_copy_in_forked_child_leaves_file_lock_and_connections(flavour: &str) {
    for way in ["drop", "close", "twice"] {
        let place = Place::new();
        let path = place.socket();
        let mut server = start(flavour, &["server", text(&path)]);
        server.line_with("listening");
        let mut early = UnixStream::connect(&path).unwrap();
        assert!(ping(&mut early).contains("pong"));
        let before = fs::symlink_metadata(&path).unwrap().ino();
        server.tell(&format!("fork {way}"));
        server.line_with("the child has ended");
        assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before, "{way}: the file is gone");
        let second = command(PEER, flavour, &["server", text(&path)]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(second.stderr).unwrap();
        assert!(!second.status.success() && said.contains("holds its lock"), "{way}: {said}");
        assert!(ping(&mut early).contains("pong"), "{way}: the connection is dead");
        assert!(replies(&path), "{way}: no client is let in any more");
        server.exits_well();
        assert_eq!(names_in(place.directory()), [""; 0], "{way}");
    }
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

/// The process that strace stopped.
fn stopped(log: &Path) -> Pid {
    once("a stop", || {
        let said = fs::read_to_string(log).unwrap_or_default();
        let line = said.lines().find(|line| line.contains("--- stopped by SIGSTOP ---"))?;
        Pid::from_raw(line.split_whitespace().next()?.parse().ok()?)
    })
}

/// Starts a server, stops it once it has bound the socket, runs `attack`, and lets it go on.
fn overtaken_after_bind(flavour: &str, place: &Place, attack: impl FnOnce(&Path)) -> Output {
    let (path, log) = (place.socket(), place.directory().join("log"));
    let server = under_strace(flavour, "bind:signal=SIGSTOP:when=1", &log, &path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let process = stopped(&log);
    attack(&path);
    kill_process(process, Signal::CONT).unwrap();
    server.wait_with_output().unwrap()
}

fn socket_file_replaced_by_link_before_chmod_is_not_followed(flavour: &str) {
    if !is_here("strace", "stopping at a system call") {
        return;
    }
    let (place, elsewhere) = (Place::new(), Place::new());
    let secret = elsewhere.directory().join("secret");
    fs::write(&secret, "precious").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let output = overtaken_after_bind(flavour, &place, |path| {
        fs::remove_file(path).unwrap();
        symlink(&secret, path).unwrap();
    });
    assert_eq!(mode_of(&secret), 0o600, "the link was followed");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("another program has just bound it"), "{said}");
    assert_eq!(fs::read_link(place.socket()).unwrap(), secret, "the link is not ours to remove");
    assert_eq!(fs::read(&secret).unwrap(), b"precious");
    assert_eq!(names_in(place.directory()), ["log", "test.sock"], "it left its lock");
}

fn socket_file_replaced_by_live_server_before_chmod_is_left_alone(flavour: &str) {
    if !is_here("strace", "stopping at a system call") {
        return;
    }
    let (place, elsewhere) = (Place::new(), Place::new());
    let live = start(flavour, &["server", text(&elsewhere.socket())]);
    live.line_with("listening");
    let output = overtaken_after_bind(flavour, &place, |path| {
        fs::rename(elsewhere.socket(), path).unwrap();
    });
    assert_eq!(mode_of(&place.socket()), 0o600, "the other server's socket has another mode");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("another program has just bound it"), "{said}");
    assert!(replies(&place.socket()), "the other server was displaced");
}

fn socket_file_replaced_during_chmod_changes_no_other_file(flavour: &str) {
    if !is_here("strace", "stopping at a system call") {
        return;
    }
    let (place, elsewhere) = (Place::new(), Place::new());
    let (path, log) = (place.socket(), place.directory().join("log"));
    let secret = elsewhere.directory().join("secret");
    fs::write(&secret, "precious").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    // Delayed, so that there is time while the server holds the file open.
    let server = Peer::of(&mut under_strace(flavour, "chmod:delay_enter=3000000", &log, &path));
    let holds_it = |process: &str| {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?;
        let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets.any(|target| target == path).then_some(())
    };
    once("a hold on the socket file", || {
        let id = server.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().find_map(holds_it)
    });
    let beside = place.directory().join("beside");
    symlink(&secret, &beside).unwrap();
    fs::rename(&path, place.directory().join("moved")).unwrap();
    fs::rename(&beside, &path).unwrap();
    server.line_with("listening");
    assert_eq!(mode_of(&secret), 0o600, "the link was followed");
    assert_eq!(mode_of(&place.directory().join("moved")), 0o660, "the socket has another mode");
    // The server notices, and displaces nothing.
    assert!(server.line_with("error ").contains("a symbolic link"));
    assert_eq!(fs::read_link(&path).unwrap(), secret);
}

fn mode_cannot_be_set_returns_error_that_names_the_umask(flavour: &str) {
    if !is_here("strace", "stopping at a system call") {
        return;
    }
    let place = Place::new();
    let (path, log) = (place.socket(), place.directory().join("log"));
    let output =
        under_strace(flavour, "chmod:error=ENOENT", &log, &path).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("umask") && said.contains("0640"), "{said}");
    assert_eq!(names_in(place.directory()), ["log"], "it left something");
}

fn lock_held_without_socket_file_error_names_the_process(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let server = Peer::of(command(PEER, flavour, &["server", text(&path)]).env("PEER_WATCH", "100000000"));
    server.line_with("listening");
    fs::remove_file(&path).unwrap();
    let second = command(PEER, flavour, &["server", text(&path)]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success());
    assert!(said.contains(&format!("process {} (peer)", server.child.id())), "{said}");
    assert!(said.contains("its socket file is gone"), "{said}");
}

fn lock_of_other_user_without_file_locks_is_not_reclaimed(flavour: &str) {
    if !is_root("becoming another user") || !is_here("strace", "stopping at a system call") {
        return;
    }
    let place = Place::new();
    let (path, log) = (place.socket(), place.directory().join("log"));
    let lock = place.directory().join("test.sock.lock");
    fs::write(&lock, "").unwrap();
    std::os::unix::fs::chown(&lock, Some(OTHER_USER), None).unwrap();
    let mut start = under_strace(flavour, "flock:error=EOPNOTSUPP", &log, &path);
    let output = start.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("whether a process holds it can't be told"), "{said}");
    assert_eq!(fs::symlink_metadata(&lock).unwrap().uid(), OTHER_USER);
}

fn lock_held_outside_pid_namespace_is_not_called_left_over(flavour: &str) {
    if !is_root("making namespaces") {
        return;
    }
    let place = Place::new();
    let (path, copy) = (place.socket(), place.directory().join("peer"));
    fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o777)).unwrap();
    copy_program(PEER, &copy);
    let server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let mut inside = Command::new("unshare");
    inside.args([
        "--pid",
        "--fork",
        "--mount-proc",
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ]);
    inside.arg(&copy).args(["server", text(&path)]).env("PEER_FLAVOUR", flavour);
    let output = inside.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("no process is seen to hold it"), "{said}");
    assert!(said.contains("in a container") && !said.contains("has left it"), "{said}");
    assert!(replies(&path));
}

fn socket_file_cannot_be_probed_after_bind_returns_error(flavour: &str) {
    if !is_here("strace", "stopping at a system call") {
        return;
    }
    let place = Place::new();
    let (path, log) = (place.socket(), place.directory().join("log"));
    // The second socket probes whether a server listens on the path of the first.
    let mut start = under_strace(flavour, "socket:error=EMFILE:when=2", &log, &path);
    let output = start.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("could not look at the socket file"), "{said}");
}

/// A shell in a mount namespace of its own, which runs `first` and then becomes a server.
fn in_a_mount_namespace(flavour: &str, first: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", &format!("{first}; exec \"$@\""), "sh", PEER]).args(arguments);
    command.env("PEER_FLAVOUR", flavour);
    command
}

/// A path as another process sees it.
fn seen_by(process: &Child, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{}/root", process.id())).join(path.strip_prefix("/").unwrap())
}

fn server_on_overlay_reclaims_socket_of_image_and_removes_its_own(flavour: &str) {
    if !is_root("mounting an overlay") {
        return;
    }
    let place = Place::new();
    let at = |name: &str| place.directory().join(name);
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(at(name)).unwrap();
    }
    // The image was made while a server ran.
    drop(UnixListener::bind(at("lower/test.sock")).unwrap());
    fs::write(at("lower/test.sock.lock"), "").unwrap();
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(at);
    let mount = format!(
        "mount -t overlay overlay -o lowerdir={},upperdir={},workdir={} {}",
        lower.display(),
        upper.display(),
        work.display(),
        merged.display()
    );
    let path = at("merged/test.sock");
    let server = Peer::of(in_a_mount_namespace(flavour, &mount, &["server", text(&path)]).envs([
        ("PEER_MODE", "660"),
        ("PEER_UMASK", "022"),
        ("PEER_WATCH", "1"),
    ]));
    server.line_with("listening");
    let seen = seen_by(&server.child, &path);
    assert_eq!(mode_of(&seen), 0o660);
    assert!(replies(&seen));
    fs::set_permissions(&seen, fs::Permissions::from_mode(0o666)).unwrap();
    fs::hard_link(&seen, seen.with_file_name("beside")).unwrap();
    assert!(replies(&seen));
    // The server did not take its file for gone.
    server.exits_well_without("error");
    let left = fs::symlink_metadata(at("upper/test.sock")).unwrap();
    assert!(left.file_type().is_char_device(), "what hides the file of the image, and no socket");
    assert!(fs::symlink_metadata(at("lower/test.sock")).unwrap().file_type().is_socket());
}

fn socket_file_under_mounted_volume_is_noticed_and_bound_again(flavour: &str) {
    if !is_root("mounting a volume") {
        return;
    }
    let place = Place::new();
    let directory = place.directory().join("run");
    fs::create_dir(&directory).unwrap();
    let path = directory.join("test.sock");
    let mut server =
        Peer::of(in_a_mount_namespace(flavour, "true", &["server", text(&path)]).env("PEER_WATCH", "20"));
    server.line_with("listening");
    let process = server.child.id().to_string();
    let inside = |arguments: &[&str]| {
        let status = Command::new("nsenter").args(["-t", &process, "-m"]).args(arguments).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    };
    inside(&["mount", "-t", "tmpfs", "volume", text(&directory)]);
    let gone = server.line_with("error ");
    assert!(gone.contains("nothing is there now") && gone.contains(text(&path)), "{gone}");
    assert!(server.line_with("error ").contains("bound again"));
    assert!(replies(&seen_by(&server.child, &path)));
    // The volume is gone again. The file that it hid is a dead socket.
    inside(&["umount", "-l", text(&directory)]);
    assert!(server.line_with("error ").contains("another socket"));
    assert!(server.line_with("error ").contains("bound again"));
    assert!(replies(&path));
    server.end_input();
    server.line_with("closed");
    assert_eq!(names_in(&directory), [""; 0]);
}

fn peer_in_other_namespaces_has_no_process_and_no_user(flavour: &str) {
    if !is_root("making namespaces") {
        return;
    }
    for (namespaces, expected) in [
        (&["--pid"][..], "peer 1 a process of user 0"),
        (&["--pid", "--user"][..], "peer 1 a process of user 65534"),
        (&[][..], "peer 1 process "),
    ] {
        let place = Place::new();
        let path = place.socket();
        let mut unshare = Command::new("unshare");
        unshare.args(namespaces).args(["--fork", "--kill-child", PEER, "server", text(&path)]);
        let mut server = Peer::of(unshare.env("PEER_FLAVOUR", flavour));
        server.line_with("listening");
        let _client = UnixStream::connect(&path).unwrap();
        server.line_with("connection 1");
        server.tell("peers");
        let peer = server.line_with("peer ");
        assert!(peer.starts_with(expected), "{namespaces:?}: {peer}");
        assert!(!peer.contains("process 0"), "{peer}");
    }
}

fn allow_groups_only_members_are_let_in(flavour: &str) {
    if !is_root("becoming another user") {
        return;
    }
    let place = Place::new();
    let (path, groups, copy) =
        (place.socket(), place.directory().join("group"), place.directory().join("peer"));
    fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    copy_program(PEER, &copy);
    // The system's groups, and one that has the other user as a member by this table only.
    let name = fs::read_to_string("/etc/passwd").unwrap();
    let name = name.lines().find(|line| line.split(':').nth(2) == Some("65534")).unwrap();
    let name = name.split(':').next().unwrap();
    let table = fs::read_to_string("/etc/group").unwrap() + &format!("crew:x:54321:{name}\nrest:x:54322:\n");
    fs::write(&groups, table).unwrap();
    let mount = format!("mount --bind {} /etc/group", groups.display());
    for (allowed, group, let_in) in [
        ("crew", OTHER_USER, true),
        ("rest", OTHER_USER, false),
        // The group of the process itself.
        ("rest", 54_322, true),
        ("rest,crew", OTHER_USER, true),
    ] {
        let server = Peer::of(
            in_a_mount_namespace(flavour, &mount, &["server", text(&path)])
                .envs([("PEER_MODE", "666"), ("PEER_GROUPS", allowed)]),
        );
        server.line_with("listening");
        let mut client = Command::new(&copy);
        let client = client.args(["client", text(&path)]).env("PEER_FLAVOUR", flavour);
        let client = Peer::of(client.uid(OTHER_USER).gid(group));
        if let_in {
            assert_eq!(server.line(), "connection 1", "{allowed}");
        } else {
            let error = server.line();
            assert!(error.contains("of user 65534 is not allowed in"), "{allowed}: {error}");
        }
        drop(client);
    }
    let mut unknown = in_a_mount_namespace(flavour, &mount, &["server", text(&path)]);
    let unknown = unknown.env("PEER_GROUPS", "nonesuch").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(!unknown.status.success() && said.contains("nonesuch"), "{said}");
}
