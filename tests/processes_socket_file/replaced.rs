//! What others put in the place of a socket file that a server has just bound.

use super::*;

support::whole_processes! {
    socket_file_replaced_by_link_before_chmod_is_not_followed,
    socket_file_replaced_by_live_server_before_chmod_is_left_alone,
    socket_file_replaced_during_chmod_changes_no_other_file,
    mode_cannot_be_set_returns_error_that_names_the_umask,
    socket_file_cannot_be_probed_after_bind_returns_error,
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
