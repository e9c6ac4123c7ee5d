//! The path of a server: what may be there, what is reclaimed, which server gets it, and what is removed.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use futures::future::join_all;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use socket_ipc::{Client, ConnectError, ListenError, Server};
use support::{Events, Place, RawPeer, soon};
use tokio::net::{UnixSocket, UnixStream};

/// A server that replies to `who` with its name.
fn named(name: &'static str, path: impl AsRef<Path>) -> Server {
    let server = Server::new(path);
    let handle = server.handle();
    server.on_topic("who", move |_message, client_id| handle.send_raw("name", name, client_id).unwrap());
    server
}

/// The name of the server that is reached at `path`.
async fn who_replies(path: impl AsRef<Path>) -> String {
    let mut peer = RawPeer::connect(path).await;
    peer.write("{\"topic\":\"who\"}\n").await;
    let reply: serde_json::Value = serde_json::from_str(&peer.line().await).unwrap();
    reply["message"].as_str().unwrap().to_owned()
}

/// Leaves a socket at `path` that no server listens on.
fn abandon_socket(path: &Path) {
    drop(StdListener::bind(path).unwrap());
    assert!(fs::symlink_metadata(path).unwrap().file_type().is_socket());
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn lock_of(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// The identity and the contents of a file.
fn snapshot(path: &Path) -> (u64, u64, u32, i64, Vec<u8>) {
    let found = fs::symlink_metadata(path).unwrap();
    let bytes = match found.file_type() {
        kind if kind.is_file() => fs::read(path).unwrap(),
        kind if kind.is_symlink() => fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec(),
        kind if kind.is_dir() => names_in(path).concat().into_bytes(),
        _ => Vec::new(),
    };
    (found.dev(), found.ino(), found.mode(), found.ctime_nsec(), bytes)
}

support::both_flavours! {
    async fn listen_abandoned_socket_is_reclaimed() {
        let place = Place::new();
        abandon_socket(&place.socket());
        let server = named("next", place.socket());
        server.listen().await.unwrap();
        assert_eq!(who_replies(place.socket()).await, "next");
    }

    async fn listen_path_is_no_socket_error_names_it_and_leaves_it() {
        let place = Place::new();
        let at = |name: &str| place.directory().join(name);
        fs::write(at("file"), "precious").unwrap();
        fs::create_dir(at("directory")).unwrap();
        fs::write(at("directory/inside"), "precious").unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        abandon_socket(&at("socket"));
        symlink(at("socket"), at("link to a dead socket")).unwrap();
        mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let mut cases = vec![
            ("file", "a regular file"),
            ("directory", "a directory"),
            ("link", "a symbolic link"),
            ("dangling", "a symbolic link"),
            ("link to a dead socket", "a symbolic link"),
            ("fifo", "a FIFO"),
        ];
        // Only the superuser can make a device, and not everywhere.
        let device = rustix::fs::makedev(1, 3);
        if mknodat(CWD, at("device"), FileType::CharacterDevice, Mode::RUSR, device).is_ok() {
            cases.push(("device", "a device"));
        }
        let before = names_in(place.directory());
        for (name, expected) in cases {
            let untouched = snapshot(&at(name));
            let server = Server::new(at(name));
            let error = soon("the error", server.listen()).await.unwrap_err();
            let text = error.to_string();
            match error {
                ListenError::NotASocket { path, found } => assert_eq!((path, found), (at(name), expected)),
                other => panic!("{name}: {other:?}"),
            }
            assert!(text.contains(expected) && text.contains(name), "{text}");
            drop(server);
            assert_eq!(snapshot(&at(name)), untouched, "{name} was touched");
        }
        assert_eq!(names_in(place.directory()), before, "a failed start left something or took something away");
    }

    async fn listen_live_server_is_neither_displaced_nor_disturbed() {
        let place = Place::new();
        let mut events = Events::new();
        let first = named("first", place.socket());
        let report = events.reporter();
        first.on_connection(move |_client_id| report("connection"));
        first.listen().await.unwrap();
        let before = (snapshot(&place.socket()), names_in(place.directory()));
        for _ in 0..10 {
            let second = Server::new(place.socket());
            let error = second.listen().await.unwrap_err();
            assert!(matches!(&error, ListenError::AddrInUse { .. }), "{error:?}");
            assert!(error.to_string().contains("alive"), "{error}");
        }
        assert_eq!((snapshot(&place.socket()), names_in(place.directory())), before);
        // This connection comes after all attempts, so it is accepted after any phantom client of theirs.
        assert_eq!(who_replies(place.socket()).await, "first");
        assert_eq!(events.next().await, "connection");
        assert_eq!(events.rest(), [""; 0], "a phantom client");
    }

    async fn listen_live_server_without_lock_is_not_displaced() {
        let place = Place::new();
        let foreign = StdListener::bind(place.socket()).unwrap();
        let error = Server::new(place.socket()).listen().await.unwrap_err();
        assert!(matches!(error, ListenError::AddrInUse { .. }), "{error:?}");
        assert_eq!(names_in(place.directory()), ["test.sock"], "the lock of the failed start stayed");
        drop(UnixStream::connect(place.socket()).await.unwrap());
        drop(foreign);
    }

    async fn listen_live_server_with_full_backlog_is_not_displaced() {
        let place = Place::new();
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind(place.socket()).unwrap();
        let _listener = socket.listen(0).unwrap();
        let mut waiting = Vec::new();
        loop {
            match UnixStream::connect(place.socket()).await {
                Ok(stream) => waiting.push(stream),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        let untouched = snapshot(&place.socket());
        let error = soon("the error", Server::new(place.socket()).listen()).await.unwrap_err();
        assert!(matches!(error, ListenError::AddrInUse { .. }), "{error:?}");
        assert!(error.to_string().contains("no room for another connection"), "{error}");
        assert_eq!(snapshot(&place.socket()), untouched);
    }

    async fn listen_socket_bound_under_held_lock_is_left_alone() {
        let place = Place::new();
        let lock = File::create(lock_of(&place.socket())).unwrap();
        lock.try_lock().unwrap();
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind(place.socket()).unwrap();
        let untouched = snapshot(&place.socket());
        let error = Server::new(place.socket()).listen().await.unwrap_err();
        assert!(matches!(error, ListenError::AddrInUse { .. }), "{error:?}");
        assert_eq!(snapshot(&place.socket()), untouched);
        let _listener = socket.listen(8).unwrap();
        drop(UnixStream::connect(place.socket()).await.unwrap());
        assert!(lock_of(&place.socket()).exists(), "the lock of another server was removed");
    }

    async fn server_path_taken_over_close_leaves_second_reachable() {
        for by_drop in [false, true] {
            let place = Place::new();
            let first = named("first", place.socket());
            first.listen().await.unwrap();
            // Only without the files can a second server start while the first is alive.
            fs::remove_file(place.socket()).unwrap();
            fs::remove_file(lock_of(&place.socket())).unwrap();
            let second = named("second", place.socket());
            second.listen().await.unwrap();
            let untouched = (snapshot(&place.socket()), names_in(place.directory()));
            if by_drop {
                drop(first);
            } else {
                soon("the close", first.close()).await;
            }
            assert_eq!((snapshot(&place.socket()), names_in(place.directory())), untouched);
            assert_eq!(who_replies(place.socket()).await, "second");
            soon("the close", second.close()).await;
            assert_eq!(names_in(place.directory()), [""; 0]);
        }
    }

    async fn server_socket_replaced_by_file_close_leaves_the_file() {
        let place = Place::new();
        let server = named("server", place.socket());
        server.listen().await.unwrap();
        fs::remove_file(place.socket()).unwrap();
        fs::write(place.socket(), "precious").unwrap();
        soon("the close", server.close()).await;
        assert_eq!(fs::read(place.socket()).unwrap(), b"precious");
        assert_eq!(names_in(place.directory()), ["test.sock"]);
    }

    async fn server_socket_file_gone_close_reports_nothing() {
        let place = Place::new();
        let server = named("server", place.socket());
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_error(move |error| report(error.to_string()));
        server.listen().await.unwrap();
        fs::remove_file(place.socket()).unwrap();
        soon("the close", server.close()).await;
        assert_eq!(errors.rest(), [""; 0]);
        assert_eq!(names_in(place.directory()), [""; 0]);
    }

    async fn server_failed_or_never_started_removes_nothing() {
        let place = Place::new();
        abandon_socket(&place.socket());
        let untouched = snapshot(&place.socket());
        drop(Server::new(place.socket()));
        soon("the close", Server::new(place.socket()).close()).await;
        assert_eq!(snapshot(&place.socket()), untouched);

        let server = named("server", place.socket());
        server.listen().await.unwrap();
        let untouched = (snapshot(&place.socket()), names_in(place.directory()));
        let failed = Server::new(place.socket());
        failed.listen().await.unwrap_err();
        soon("the close", failed.close()).await;
        let failed = Server::new(place.socket());
        failed.listen().await.unwrap_err();
        drop(failed);
        assert_eq!((snapshot(&place.socket()), names_in(place.directory())), untouched);
        assert_eq!(who_replies(place.socket()).await, "server");
    }

    async fn listen_after_failure_succeeds_and_second_call_returns_error() {
        let place = Place::new();
        fs::write(place.socket(), "in the way").unwrap();
        let server = named("server", place.socket());
        server.listen().await.unwrap_err();
        fs::remove_file(place.socket()).unwrap();
        server.listen().await.unwrap();
        assert_eq!(who_replies(place.socket()).await, "server");
        let error = server.listen().await.unwrap_err();
        assert!(matches!(error, ListenError::AlreadyListening { .. }), "{error:?}");
        assert_eq!(who_replies(place.socket()).await, "server", "the second call harmed the first");
    }

    async fn close_or_drop_removes_socket_file_and_lock() {
        let place = Place::new();
        for by_drop in [false, true] {
            let server = named("server", place.socket());
            server.listen().await.unwrap();
            assert_eq!(names_in(place.directory()), ["test.sock", "test.sock.lock"]);
            assert_eq!((mode_of(&place.socket()), mode_of(&lock_of(&place.socket()))), (0o600, 0o600));
            if by_drop {
                drop(server);
            } else {
                soon("the close", server.close()).await;
            }
            assert_eq!(names_in(place.directory()), [""; 0]);
        }
    }

    async fn server_closed_is_replaced_at_once() {
        let place = Place::new();
        for round in 0..50 {
            let server = named("server", place.socket());
            server.listen().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(who_replies(place.socket()).await, "server");
            if round % 2 == 0 {
                soon("the close", server.close()).await;
            }
        }
    }

    async fn listen_servers_race_for_abandoned_path_one_wins() {
        for round in 0..25 {
            let place = Place::new();
            abandon_socket(&place.socket());
            let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
            let racers = names.map(|name| {
                let server = named(name, place.socket());
                tokio::spawn(async move { (name, server.listen().await, server) })
            });
            let mut winners = Vec::new();
            let mut losers = Vec::new();
            for racer in soon("the race", join_all(racers)).await {
                match racer.unwrap() {
                    (name, Ok(()), server) => winners.push((name, server)),
                    (_, Err(ListenError::AddrInUse { .. }), server) => losers.push(server),
                    (name, Err(error), _) => panic!("round {round}: {name}: {error:?}"),
                }
            }
            drop(losers);
            let [(winner, _server)] = &winners[..] else { panic!("round {round}: {} won", winners.len()) };
            for _ in 0..4 {
                assert_eq!(who_replies(place.socket()).await, *winner, "round {round}");
            }
        }
    }

    async fn path_too_long_or_invalid_returns_error_with_numbers() {
        let place = Place::new();
        let of_len = |len: usize| {
            let rest = len - place.directory().as_os_str().len() - 1;
            place.directory().join("x".repeat(rest))
        };
        let longest = of_len(107);
        let server = named("longest", &longest);
        server.listen().await.unwrap();
        assert_eq!(who_replies(&longest).await, "longest");
        let client = Client::new(&longest);
        soon("the connection", client.connect()).await.unwrap();
        soon("the close", server.close()).await;
        assert_eq!(names_in(place.directory()), [""; 0]);

        let with_nul = place.directory().join("with\0nul");
        let nul_at = with_nul.as_os_str().as_bytes().iter().position(|byte| *byte == 0).unwrap();
        for (path, reasons) in [
            (of_len(108), vec!["108".to_owned(), "107".to_owned()]),
            (PathBuf::new(), vec!["empty".to_owned()]),
            (with_nul, vec!["NUL".to_owned(), nul_at.to_string()]),
            (PathBuf::from("\0abstract"), vec!["NUL".to_owned(), "abstract".to_owned()]),
        ] {
            let listening = Server::new(&path).listen().await.unwrap_err();
            let connecting = Client::new(&path).connect().await.unwrap_err();
            assert!(matches!(listening, ListenError::InvalidPath { .. }), "{listening:?}");
            assert!(matches!(connecting, ConnectError::InvalidPath { .. }), "{connecting:?}");
            for (reason, text) in reasons.iter().flat_map(|reason| [(reason, listening.to_string()), (reason, connecting.to_string())]) {
                assert!(text.contains(reason), "{text:?} lacks {reason:?}");
            }
        }
        assert_eq!(names_in(place.directory()), [""; 0]);
    }

    async fn listen_directory_missing_returns_error_and_makes_none() {
        let place = Place::new();
        let missing = place.directory().join("missing");
        let error = Server::new(missing.join("test.sock")).listen().await.unwrap_err();
        assert!(matches!(&error, ListenError::NoDirectory { directory, .. } if *directory == missing), "{error:?}");
        let text = format!("the directory {} does not exist", missing.display());
        assert!(error.to_string().contains(&text), "{error}");
        assert!(!missing.exists());
        let error = socket_ipc::Client::new(missing.join("test.sock")).connect_once().await.unwrap_err();
        assert!(error.to_string().ends_with(&text), "{error}");
    }

    async fn listen_foreign_lock_returns_error_and_leaves_it() {
        let place = Place::new();
        let lock = lock_of(&place.socket());
        let elsewhere = place.directory().join("elsewhere");
        fs::write(&elsewhere, "precious").unwrap();
        let assert_lock_error = async |expected: &str| {
            let untouched = snapshot(&lock);
            let error = soon("the error", Server::new(place.socket()).listen()).await.unwrap_err();
            assert!(matches!(error, ListenError::Lock { .. }), "{expected}: {error:?}");
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(snapshot(&lock), untouched);
            assert!(!place.socket().exists());
        };
        symlink(&elsewhere, &lock).unwrap();
        assert_lock_error("symbolic link").await;
        fs::remove_file(&lock).unwrap();
        symlink(place.directory().join("nowhere"), &lock).unwrap();
        assert_lock_error("symbolic link").await;
        assert!(!place.directory().join("nowhere").exists(), "the link was followed");
        fs::remove_file(&lock).unwrap();
        fs::create_dir(&lock).unwrap();
        assert_lock_error("directory").await;
        fs::remove_dir(&lock).unwrap();
        mknodat(CWD, &lock, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_lock_error("regular").await;
        fs::remove_file(&lock).unwrap();
        fs::write(&lock, "").unwrap();
        // Only the superuser can give a file away.
        if std::os::unix::fs::chown(&lock, Some(65_534), None).is_ok() {
            // If other users may write to the directory, they may hold the lock or replace it.
            fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o770)).unwrap();
            assert_lock_error("a server of user 65534 has left it").await;
            fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o700)).unwrap();
        }
        assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
        // The lock of a killed server is no obstacle.
        fs::remove_file(&lock).unwrap();
        File::create(&lock).unwrap().set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
        Server::new(place.socket()).listen().await.unwrap();
    }
}
