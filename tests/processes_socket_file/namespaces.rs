//! Mounts, namespaces, and the groups of users.

use super::*;

support::whole_processes! {
    server_on_overlay_reclaims_socket_of_image_and_removes_its_own,
    socket_file_under_mounted_volume_is_noticed_and_bound_again,
    peer_in_other_namespaces_has_no_process_and_no_user,
    allow_groups_only_members_are_let_in,
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
