//! The socket file of a live server, which another program removes, replaces, changes or links to.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket_ipc::{Error, Server};
use support::{Events, Place, RawPeer, soon};

const SOON: Duration = Duration::from_millis(5);

#[derive(Debug, PartialEq)]
enum Seen {
    Gone(String),
    Again,
    NotAgain(String),
}

/// A server that replies to `who` with its name.
fn named(name: &'static str, path: impl AsRef<Path>, watch: Option<Duration>) -> Server {
    let server = Server::builder(path).watch(watch).build();
    reply(&server, name);
    server
}

fn reply(server: &Server, name: &'static str) {
    let handle = server.handle();
    server.on_topic("who", move |_message, id| handle.send_raw("name", name, id).unwrap());
}

fn watched(server: &Server) -> Events<Seen> {
    let events = Events::new();
    let report = events.reporter();
    server.on_error(move |error| {
        report(match error {
            Error::SocketFileGone { found, .. } => Seen::Gone(found.clone()),
            Error::SocketFileBoundAgain { .. } => Seen::Again,
            Error::SocketFileNotBoundAgain { cause, .. } => Seen::NotAgain(cause.to_string()),
            other => panic!("{other:?}"),
        });
    });
    events
}

async fn who(peer: &mut RawPeer) -> String {
    peer.write("{\"topic\":\"who\"}\n").await;
    let reply: serde_json::Value = serde_json::from_str(&peer.line().await).unwrap();
    reply["message"].as_str().unwrap().to_owned()
}

fn lock_of(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

fn names_in(directory: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

support::both_flavours! {
    async fn socket_file_removed_is_reported_and_bound_again() {
        for lock_too in [false, true] {
            let place = Place::new();
            let server = named("server", place.socket(), Some(SOON));
            let mut events = watched(&server);
            server.listen().await.unwrap();
            let mut early = RawPeer::connect(place.socket()).await;
            for _ in 0..3 {
                fs::remove_file(place.socket()).unwrap();
                if lock_too {
                    fs::remove_file(lock_of(&place.socket())).unwrap();
                }
                assert_eq!(events.next().await, Seen::Gone("nothing".to_owned()));
                assert_eq!(events.next().await, Seen::Again);
                assert_eq!(who(&mut RawPeer::connect(place.socket()).await).await, "server");
                assert_eq!(who(&mut early).await, "server", "the connection was disturbed");
                let mode = fs::symlink_metadata(place.socket()).unwrap().mode();
                assert_eq!(mode & 0o777, 0o600);
                // The lock is held again, too.
                let error = Server::new(place.socket()).listen().await.unwrap_err();
                assert!(error.to_string().contains("holds its lock"), "{error}");
            }
            soon("the close", server.close()).await;
            assert_eq!(names_in(place.directory()), [""; 0]);
            assert_eq!(events.rest(), []);
        }
    }

    async fn socket_file_removed_waiting_clients_are_all_let_in() {
        // More than tokio lets a task accept in a row.
        const CLIENTS: usize = 300;
        let place = Place::new();
        let server = named("server", place.socket(), Some(SOON));
        let mut events = watched(&server);
        let mut let_in = Events::new();
        let report = let_in.reporter();
        server.on_connection(move |_| report(()));
        server.listen().await.unwrap();
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| std::os::unix::net::UnixStream::connect(place.socket()).unwrap()).collect();
        fs::remove_file(place.socket()).unwrap();
        // A check is due as soon as this test awaits something.
        std::thread::sleep(2 * SOON);
        assert_eq!(events.take(2).await, [Seen::Gone("nothing".to_owned()), Seen::Again]);
        assert_eq!(let_in.take(CLIENTS).await.len(), CLIENTS, "some were turned away");
        drop(clients);
    }

    async fn lock_file_removed_is_locked_again() {
        let place = Place::new();
        let server = named("server", place.socket(), Some(SOON));
        let mut events = watched(&server);
        server.listen().await.unwrap();
        let before = fs::symlink_metadata(place.socket()).unwrap().ino();
        for _ in 0..3 {
            fs::remove_file(lock_of(&place.socket())).unwrap();
            let locked = async {
                while !lock_of(&place.socket()).exists() {
                    tokio::time::sleep(SOON).await;
                }
            };
            soon("the lock", locked).await;
            let error = Server::new(place.socket()).listen().await.unwrap_err();
            assert!(error.to_string().contains("holds its lock"), "{error}");
        }
        assert_eq!(server.stats().total_connections, 0, "it was disturbed by a connection");
        assert_eq!(fs::symlink_metadata(place.socket()).unwrap().ino(), before);
        soon("the close", server.close()).await;
        assert_eq!(names_in(place.directory()), [""; 0]);
        assert_eq!(events.rest(), []);
    }

    async fn directory_replaced_server_binds_again_once_it_exists() {
        let place = Place::new();
        let directory = place.directory().join("run");
        fs::create_dir(&directory).unwrap();
        let path = directory.join("test.sock");
        let server = named("server", &path, Some(SOON));
        let mut events = watched(&server);
        server.listen().await.unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(events.next().await, Seen::Gone("nothing".to_owned()));
        let Seen::NotAgain(obstacle) = events.next().await else { panic!("bound without a directory") };
        assert!(obstacle.contains("does not exist"), "{obstacle}");
        fs::create_dir(&directory).unwrap();
        assert_eq!(events.next().await, Seen::Again);
        assert_eq!(who(&mut RawPeer::connect(&path).await).await, "server");
        drop(server);
        assert_eq!(names_in(&directory), [""; 0]);
    }

    async fn socket_file_replaced_by_file_server_leaves_it_and_waits() {
        let place = Place::new();
        let server = named("server", place.socket(), Some(SOON));
        let mut events = watched(&server);
        server.listen().await.unwrap();
        let beside = place.directory().join("beside");
        fs::write(&beside, "precious").unwrap();
        fs::rename(&beside, place.socket()).unwrap();
        assert_eq!(events.next().await, Seen::Gone("a regular file".to_owned()));
        assert!(matches!(events.next().await, Seen::NotAgain(why) if why.contains("no socket")));
        assert_eq!(fs::read(place.socket()).unwrap(), b"precious");
        fs::remove_file(place.socket()).unwrap();
        // The file was replaced by nothing, which is reported, too.
        assert_eq!(events.next().await, Seen::Gone("nothing".to_owned()));
        assert_eq!(events.next().await, Seen::Again);
        assert_eq!(who(&mut RawPeer::connect(place.socket()).await).await, "server");
    }

    async fn path_taken_by_other_server_is_bound_again_after_it() {
        for knows_the_lock in [false, true] {
            let place = Place::new();
            let server = named("first", place.socket(), Some(SOON));
            let mut events = watched(&server);
            server.listen().await.unwrap();
            let (foreign, second) = if knows_the_lock {
                let elsewhere = place.directory().join("other");
                fs::create_dir(&elsewhere).unwrap();
                let second = named("second", elsewhere.join("test.sock"), None);
                second.listen().await.unwrap();
                // At no moment is either path free.
                fs::rename(lock_of(&elsewhere.join("test.sock")), lock_of(&place.socket())).unwrap();
                fs::rename(elsewhere.join("test.sock"), place.socket()).unwrap();
                (None, Some(second))
            } else {
                let beside = place.directory().join("beside");
                let foreign = StdListener::bind(&beside).unwrap();
                foreign.set_nonblocking(true).unwrap();
                fs::rename(&beside, place.socket()).unwrap();
                (Some(foreign), None)
            };
            let inode = fs::symlink_metadata(place.socket()).unwrap().ino();
            assert!(matches!(events.next().await, Seen::Gone(found) if found.starts_with("another socket")));
            assert!(matches!(events.next().await, Seen::NotAgain(why) if why.contains("alive")));
            assert_eq!(fs::symlink_metadata(place.socket()).unwrap().ino(), inode, "it was displaced");
            if let Some(second) = &second {
                assert_eq!(who(&mut RawPeer::connect(place.socket()).await).await, "second");
                assert_eq!(second.stats().total_connections, 1, "it was disturbed by a connection");
            }
            drop((foreign, second));
            // A dead socket or nothing is there: the path is free.
            let _ = fs::remove_file(place.socket());
            let _ = fs::remove_file(lock_of(&place.socket()));
            loop {
                match events.next().await {
                    Seen::Again => break,
                    Seen::Gone(found) => assert_eq!(found, "nothing"),
                    Seen::NotAgain(why) => panic!("{why}"),
                }
            }
            assert_eq!(who(&mut RawPeer::connect(place.socket()).await).await, "first");
        }
    }

    async fn server_closed_while_its_file_is_gone_leaves_nothing() {
        for round in 0..40 {
            let place = Place::new();
            let server = named("server", place.socket(), Some(Duration::from_millis(1)));
            let mut events = watched(&server);
            server.listen().await.unwrap();
            fs::remove_file(place.socket()).unwrap();
            assert_eq!(events.next().await, Seen::Gone("nothing".to_owned()));
            if round % 2 == 0 {
                soon("the close", server.close()).await;
            } else {
                drop(server);
            }
            assert_eq!(names_in(place.directory()), [""; 0]);
            let next = named("next", place.socket(), None);
            next.listen().await.unwrap();
            assert_eq!(who(&mut RawPeer::connect(place.socket()).await).await, "next");
        }
    }

    async fn server_without_watch_does_not_bind_again() {
        let place = Place::new();
        let (server, witness) = (named("server", place.socket(), None), Place::new());
        let watching = named("witness", witness.socket(), Some(SOON));
        let (mut events, mut others) = (watched(&server), watched(&watching));
        server.listen().await.unwrap();
        watching.listen().await.unwrap();
        fs::remove_file(place.socket()).unwrap();
        // The other server has checked its own file since.
        for _ in 0..5 {
            fs::remove_file(witness.socket()).unwrap();
            assert_eq!(others.take(2).await, [Seen::Gone("nothing".to_owned()), Seen::Again]);
        }
        assert_eq!(events.rest(), []);
        assert!(!place.socket().exists());
    }

    async fn server_with_passed_listener_only_reports_its_file_gone() {
        let place = Place::new();
        let listener = StdListener::bind(place.socket()).unwrap();
        let server = Server::builder("only a name").watch(SOON).listener(listener).build();
        let mut events = watched(&server);
        reply(&server, "server");
        server.listen().await.unwrap();
        let mut client = RawPeer::connect(place.socket()).await;
        assert_eq!(who(&mut client).await, "server");
        fs::remove_file(place.socket()).unwrap();
        assert_eq!(events.next().await, Seen::Gone("nothing".to_owned()));
        // A later change is reported, and no attempt is made.
        fs::write(place.socket(), "precious").unwrap();
        assert_eq!(events.next().await, Seen::Gone("a regular file".to_owned()));
        assert_eq!(who(&mut client).await, "server");
        soon("the close", server.close()).await;
        assert_eq!(names_in(place.directory()), ["test.sock"]);
    }

    async fn socket_file_changed_by_operator_is_removed_at_close() {
        for change in ["chmod", "chown", "link", "link back"] {
            for by_drop in [false, true] {
                let place = Place::new();
                let server = named("server", place.socket(), Some(SOON));
                let mut events = watched(&server);
                server.listen().await.unwrap();
                let beside = place.directory().join("beside");
                match change {
                    "chmod" => fs::set_permissions(place.socket(), fs::Permissions::from_mode(0o666)).unwrap(),
                    // To the same user, which still changes the time.
                    "chown" => {
                        let user = rustix::process::geteuid().as_raw();
                        std::os::unix::fs::chown(place.socket(), Some(user), None).unwrap();
                    }
                    "link" => fs::hard_link(place.socket(), &beside).unwrap(),
                    _ => {
                        fs::hard_link(place.socket(), &beside).unwrap();
                        fs::remove_file(place.socket()).unwrap();
                        fs::rename(&beside, place.socket()).unwrap();
                    }
                }
                assert_eq!(who(&mut RawPeer::connect(place.socket()).await).await, "server");
                if by_drop {
                    drop(server);
                } else {
                    soon("the close", server.close()).await;
                }
                assert!(!place.socket().exists(), "left behind after {change}");
                assert!(!lock_of(&place.socket()).exists());
                assert!(change == "link back" || events.rest().is_empty());
                if change == "link" {
                    assert!(fs::symlink_metadata(beside).unwrap().file_type().is_socket(), "not ours to remove");
                }
            }
        }
    }
}
