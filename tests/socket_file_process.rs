//! The path of a server where the whole process counts: its umask, its directory, its user. One test at a
//! time.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::Mode;
use rustix::process::umask;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use socket_ipc::{Client, ListenError, Server};
use support::{DEADLINE, Events, Place, RawPeer, soon, within};
use tokio::sync::{Mutex, oneshot};

/// Held by the test that runs: what these tests change belongs to all threads.
static PROCESS: Mutex<()> = Mutex::const_new(());

/// A user who is neither this one nor the superuser, so that permissions count.
const SOMEBODY: u32 = 65_534;

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// Has a thread become somebody else, which only the superuser can, and run `body`. `None` where it can't.
async fn as_somebody<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    as_somebody_of(None, body).await
}

/// As [`as_somebody`], as a member of a group and of no other.
async fn as_somebody_of<T: Send + 'static>(
    group: Option<u32>,
    body: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        // The user of this thread alone, which ends with it.
        let user = rustix::process::Uid::from_raw(SOMEBODY);
        let regrouped = group.is_none_or(|group| {
            let group = rustix::process::Gid::from_raw(group);
            set_thread_groups(&[]).is_ok() && set_thread_res_gid(group, group, group).is_ok()
        });
        let changed = regrouped && set_thread_res_uid(user, user, user).is_ok();
        drop(sender.send(changed.then(body)));
    });
    let result = within("the other user", 5 * DEADLINE, receiver).await.unwrap();
    if result.is_none() {
        support::skip("becoming another user", "only the superuser can");
    }
    result
}

/// Why nobody can listen there.
fn refused(path: PathBuf) -> ListenError {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Server::new(path).listen().await.unwrap_err() })
}

/// Puts the umask, and the directory, back where they were.
struct Restore(Mode, PathBuf);

impl Restore {
    fn after_umask(mask: u32) -> Self {
        Self(umask(Mode::from_raw_mode(mask)), std::env::current_dir().unwrap())
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        umask(self.0);
        std::env::set_current_dir(&self.1).unwrap();
    }
}

support::both_flavours! {
    async fn the_mode_is_what_was_asked_for_whatever_the_umask() {
        let _process = PROCESS.lock().await;
        for mask in [0o000, 0o022, 0o077, 0o777] {
            for mode in [None, Some(0o600), Some(0o660), Some(0o666), Some(0o700)] {
                let place = Place::new();
                let _restore = Restore::after_umask(mask);
                let mut builder = Server::builder(place.socket());
                if let Some(mode) = mode {
                    builder = builder.mode(mode);
                }
                let server = builder.build();
                server.listen().await.unwrap();
                assert_eq!(
                    mode_of(&place.socket()),
                    mode.unwrap_or(0o600),
                    "mode {mode:?} under umask {mask:o}"
                );
                let lock = mode_of(&place.directory().join("test.sock.lock"));
                assert_eq!(lock & 0o177, 0, "the lock has mode {lock:o} under umask {mask:o}");
                soon("the close", server.close()).await;
                assert!(!place.socket().exists(), "not removed after its mode was set");
            }
        }
    }

    async fn somebody_else_is_refused_at_every_instant_of_many_starts() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o755)).unwrap();
        let _restore = Restore::after_umask(0);
        let (done, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let attack = as_somebody({
            let (path, done, refused) = (place.socket(), Arc::clone(&done), Arc::clone(&refused));
            move || {
                while !done.load(Ordering::Relaxed) {
                    match std::os::unix::net::UnixStream::connect(&path) {
                        Ok(_) => return false,
                        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_) => {}
                    }
                }
                true
            }
        });
        let attack = tokio::spawn(attack);
        for _ in 0..500 {
            let server = Server::new(place.socket());
            server.listen().await.unwrap();
            tokio::task::yield_now().await;
        }
        // At the least the last one was met: it stays until it was.
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let met = refused.load(Ordering::Relaxed);
        while refused.load(Ordering::Relaxed) == met && !attack.is_finished() {
            tokio::task::yield_now().await;
        }
        done.store(true, Ordering::Relaxed);
        if let Some(kept_out) = soon("the end of the attack", attack).await.unwrap() {
            assert!(kept_out, "somebody else connected");
            assert!(refused.load(Ordering::Relaxed) > 0);
        }
    }

    async fn a_directory_that_may_not_be_written_is_an_error_that_says_so() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o555)).unwrap();
        let path = place.socket();
        let error = as_somebody(move || refused(path));
        let Some(error) = error.await else { return };
        let ListenError::Io { cause: source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied, "{error:?}");
        assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 0);
    }

    async fn a_socket_of_somebody_else_is_not_displaced() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        // As `/tmp`: everybody may write, nobody may remove what is another's.
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o1777)).unwrap();
        drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
        let before = fs::symlink_metadata(place.socket()).unwrap().ino();
        let path = place.socket();
        let error = as_somebody(move || refused(path));
        let Some(error) = error.await else { return };
        assert!(matches!(error, ListenError::AddrInUse { .. }), "{error:?}");
        assert!(error.to_string().contains("socket of user 0 is there that can't be probed"), "{error}");
        assert!(error.to_string().contains("left over and may be removed"), "{error}");
        assert_eq!(fs::symlink_metadata(place.socket()).unwrap().ino(), before);
        assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 1, "it left its lock");
    }

    async fn a_lock_that_may_not_be_opened_is_named_as_what_it_is() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o777)).unwrap();
        let lock = place.directory().join("test.sock.lock");
        fs::write(&lock, "precious").unwrap();
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
        let path = place.socket();
        let error = as_somebody(move || refused(path));
        let Some(error) = error.await else { return };
        assert!(matches!(error, ListenError::Lock { .. }), "{error:?}");
        for said in ["belongs to user 0", "no process is seen to hold it", "in a container", "it is left over: remove it"] {
            assert!(error.to_string().contains(said), "{error}");
        }
        assert_eq!(fs::read(&lock).unwrap(), b"precious");
    }

    async fn lock_of_another_user_that_is_held_names_the_process() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o777)).unwrap();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let path = place.socket();
        let error = as_somebody(move || refused(path));
        let Some(error) = error.await else { return };
        assert!(matches!(error, ListenError::AddrInUse { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("process {} (", std::process::id())), "{error}");
    }

    async fn socket_and_lock_left_by_another_user_are_reclaimed_where_only_the_server_may_write() {
        let _process = PROCESS.lock().await;
        for (mode, safe) in [(0o755, true), (0o775, false), (0o757, false), (0o1777, false)] {
            let place = Place::new();
            let lock = place.directory().join("test.sock.lock");
            drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
            fs::write(&lock, "").unwrap();
            let given = [&place.socket(), &lock].map(|file| std::os::unix::fs::chown(file, Some(SOMEBODY), None));
            if given.iter().any(Result::is_err) {
                return support::skip("becoming another user", "only the superuser can");
            }
            fs::set_permissions(place.directory(), fs::Permissions::from_mode(mode)).unwrap();
            let server = Server::new(place.socket());
            let listening = server.listen().await;
            if safe {
                listening.unwrap();
                assert_eq!(fs::symlink_metadata(&lock).unwrap().uid(), rustix::process::geteuid().as_raw());
                drop(RawPeer::connect(place.socket()).await);
                soon("the close", server.close()).await;
                assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 0);
            } else {
                let error = listening.unwrap_err();
                assert!(matches!(error, ListenError::Lock { .. }), "{mode:o}: {error:?}");
                // Whether a sticky directory lets even the superuser open it is a setting of the system.
                for said in ["belongs to user 65534", "hold", "left", "emove it"] {
                    assert!(error.to_string().contains(said), "{mode:o}: {error}");
                }
                assert_eq!(fs::symlink_metadata(&lock).unwrap().uid(), SOMEBODY, "{mode:o}");
            }
        }
    }

    async fn socket_left_by_another_user_without_its_lock_is_reclaimed_where_only_the_server_may_write() {
        let _process = PROCESS.lock().await;
        for (mode, safe) in [(0o755, true), (0o775, false), (0o1777, false)] {
            let place = Place::new();
            drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
            if std::os::unix::fs::chown(place.socket(), Some(SOMEBODY), None).is_err() {
                return support::skip("becoming another user", "only the superuser can");
            }
            fs::set_permissions(place.directory(), fs::Permissions::from_mode(mode)).unwrap();
            let server = Server::new(place.socket());
            let listening = server.listen().await;
            if safe {
                listening.unwrap();
                continue;
            }
            let error = listening.unwrap_err();
            for said in ["socket of user 65534", "a server of user 65534 has left it", "Remove it as user 65534"] {
                assert!(error.to_string().contains(said), "{mode:o}: {error}");
            }
            assert_eq!(fs::symlink_metadata(place.socket()).unwrap().uid(), SOMEBODY, "{mode:o}");
            assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 1, "{mode:o}: it left its lock");
        }
    }

    async fn socket_for_everybody_left_by_another_user_is_named_as_left_over() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o1777)).unwrap();
        drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
        fs::set_permissions(place.socket(), fs::Permissions::from_mode(0o666)).unwrap();
        let path = place.socket();
        let error = as_somebody(move || refused(path));
        let Some(error) = error.await else { return };
        for said in ["socket of user 0", "a server of user 0 has left it", "Remove it as user 0"] {
            assert!(error.to_string().contains(said), "{error}");
        }
        assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 1, "it left its lock");
    }

    async fn lock_of_another_user_that_is_held_is_not_reclaimed() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        let lock = place.directory().join("test.sock.lock");
        let held = fs::File::create(&lock).unwrap();
        if std::os::unix::fs::chown(&lock, Some(SOMEBODY), None).is_err() {
            return support::skip("becoming another user", "only the superuser can");
        }
        held.try_lock().unwrap();
        let error = Server::new(place.socket()).listen().await.unwrap_err();
        assert!(matches!(error, ListenError::AddrInUse { .. }), "{error:?}");
        assert_eq!(fs::symlink_metadata(&lock).unwrap().uid(), SOMEBODY);
    }

    async fn socket_file_has_its_group_and_only_its_members_connect() {
        let _process = PROCESS.lock().await;
        const GROUP: u32 = 54_321;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o755)).unwrap();
        let _restore = Restore::after_umask(0o077);
        let server = Server::builder(place.socket()).mode(0o660).group(GROUP).build();
        let listening = server.listen().await;
        if !rustix::process::geteuid().is_root() {
            let error = listening.unwrap_err();
            assert!(matches!(&error, ListenError::Group { cause: Some(_), .. }), "{error:?}");
            return support::skip("giving a file to a group", "only the superuser can");
        }
        listening.unwrap();
        let made = fs::symlink_metadata(place.socket()).unwrap();
        assert_eq!((made.gid(), made.mode() & 0o777), (GROUP, 0o660));
        for (group, expected) in [(GROUP, None), (GROUP + 1, Some(std::io::ErrorKind::PermissionDenied))] {
            let path = place.socket();
            let connected = as_somebody_of(Some(group), move || {
                std::os::unix::net::UnixStream::connect(path).err().map(|error| error.kind())
            });
            assert_eq!(connected.await, Some(expected), "group {group}");
        }
        soon("the close", server.close()).await;
        assert!(!place.socket().exists(), "not removed after its group was set");
    }

    async fn group_that_the_system_does_not_know_is_an_error_that_names_it() {
        let place = Place::new();
        let server = Server::builder(place.socket()).group("no such group").build();
        let error = server.listen().await.unwrap_err();
        assert!(matches!(&error, ListenError::Group { cause: None, .. }), "{error:?}");
        assert!(error.to_string().contains("there is no group `no such group`"), "{error}");
        assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 0);
        let server = Server::builder(place.socket()).allow_groups(["no such group"]).build();
        let error = server.listen().await.unwrap_err();
        assert!(error.to_string().contains("there is no group `no such group`"), "{error}");
    }

    async fn group_that_this_user_is_not_in_is_an_error_and_leaves_nothing() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o777)).unwrap();
        let path = place.socket();
        let error = as_somebody(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let server = Server::builder(path).group(54_321).build();
            runtime.block_on(async { server.listen().await.unwrap_err() })
        });
        let Some(error) = error.await else { return };
        assert!(matches!(&error, ListenError::Group { cause: Some(_), .. }), "{error:?}");
        assert!(error.to_string().contains("54321"), "{error}");
        assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 0);
    }

    async fn a_relative_path_is_removed_where_it_was_made() {
        let _process = PROCESS.lock().await;
        for by_drop in [false, true] {
            let (there, elsewhere) = (Place::new(), Place::new());
            let _restore = Restore::after_umask(0o022);
            std::env::set_current_dir(there.directory()).unwrap();
            let server = Server::new("test.sock");
            server.listen().await.unwrap();
            std::env::set_current_dir(elsewhere.directory()).unwrap();
            fs::write("test.sock", "precious").unwrap();
            drop(RawPeer::connect(there.socket()).await);
            if by_drop {
                drop(server);
            } else {
                soon("the close", server.close()).await;
            }
            assert_eq!(fs::read_dir(there.directory()).unwrap().count(), 0, "left behind");
            assert_eq!(fs::read(elsewhere.socket()).unwrap(), b"precious");
        }
    }

    async fn a_client_with_a_relative_path_comes_back_to_its_server_after_a_change_of_directory() {
        let _process = PROCESS.lock().await;
        let (there, elsewhere) = (Place::new(), Place::new());
        let _restore = Restore::after_umask(0o022);
        std::env::set_current_dir(there.directory()).unwrap();
        let server = Server::new("test.sock");
        server.listen().await.unwrap();
        let client = Client::new("test.sock");
        let mut connections = Events::new();
        let report = connections.reporter();
        client.on_connect(move || report(()));
        client.connect().await.unwrap();
        connections.next().await;
        std::env::set_current_dir(elsewhere.directory()).unwrap();
        soon("the close", server.close()).await;
        let next = Server::new(there.socket());
        next.listen().await.unwrap();
        connections.next().await;
    }
}
