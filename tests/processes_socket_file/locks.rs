//! Locks: of a forked child, of another user, of a process that is not seen.

use super::*;

support::whole_processes! {
    server_copy_in_forked_child_leaves_file_lock_and_connections,
    lock_held_without_socket_file_error_names_the_process,
    lock_of_other_user_without_file_locks_is_not_reclaimed,
    lock_held_outside_pid_namespace_is_not_called_left_over,
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
