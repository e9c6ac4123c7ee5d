//! The path of a server and the state of the whole process: umask, directory, user. One test runs at a time.

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

/// Held by the running test: these tests change the state of all threads.
static PROCESS: Mutex<()> = Mutex::const_new(());

/// A user that is neither this one nor the superuser, so that permissions count.
const OTHER_USER: u32 = 65_534;

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// Runs `body` on a thread of another user. `None` where it can't: only the superuser can.
async fn as_other_user<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    as_other_user_of(None, body).await
}

/// As [`as_other_user`], with one group and no other.
async fn as_other_user_of<T: Send + 'static>(
    group: Option<u32>,
    body: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        // This changes the user of this thread only.
        let user = rustix::process::Uid::from_raw(OTHER_USER);
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

/// The error of a server that can't listen at `path`.
fn listen_error(path: PathBuf) -> ListenError {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Server::new(path).listen().await.unwrap_err() })
}

/// Restores the umask and the directory.
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
    async fn mode_under_any_umask_is_the_configured_one() {
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

    async fn default_mode_other_user_never_connects_in_500_starts() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o755)).unwrap();
        let _restore = Restore::after_umask(0);
        let (done, denied) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let attack = as_other_user({
            let (path, done, denied) = (place.socket(), Arc::clone(&done), Arc::clone(&denied));
            move || {
                while !done.load(Ordering::Relaxed) {
                    match std::os::unix::net::UnixStream::connect(&path) {
                        Ok(_) => return false,
                        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                            denied.fetch_add(1, Ordering::Relaxed);
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
        // The last server stays until an attempt has met it.
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let met = denied.load(Ordering::Relaxed);
        while denied.load(Ordering::Relaxed) == met && !attack.is_finished() {
            tokio::task::yield_now().await;
        }
        done.store(true, Ordering::Relaxed);
        if let Some(kept_out) = soon("the end of the attack", attack).await.unwrap() {
            assert!(kept_out, "the other user connected");
            assert!(denied.load(Ordering::Relaxed) > 0);
        }
    }

    async fn listen_directory_not_writable_returns_permission_error() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o555)).unwrap();
        let path = place.socket();
        let error = as_other_user(move || listen_error(path));
        let Some(error) = error.await else { return };
        let ListenError::Io { cause: source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied, "{error:?}");
        assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 0);
    }

    async fn listen_socket_of_other_user_is_not_displaced() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        // As `/tmp`: every user may write, and remove only files of their own.
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o1777)).unwrap();
        drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
        let before = fs::symlink_metadata(place.socket()).unwrap().ino();
        let path = place.socket();
        let error = as_other_user(move || listen_error(path));
        let Some(error) = error.await else { return };
        assert!(matches!(error, ListenError::AddrInUse { .. }), "{error:?}");
        assert!(error.to_string().contains("socket of user 0 is there that can't be probed"), "{error}");
        assert!(error.to_string().contains("left over and may be removed"), "{error}");
        assert_eq!(fs::symlink_metadata(place.socket()).unwrap().ino(), before);
        assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 1, "it left its lock");
    }

    async fn lock_cannot_be_opened_error_names_user_and_remedy() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o777)).unwrap();
        let lock = place.directory().join("test.sock.lock");
        fs::write(&lock, "precious").unwrap();
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
        let path = place.socket();
        let error = as_other_user(move || listen_error(path));
        let Some(error) = error.await else { return };
        assert!(matches!(error, ListenError::Lock { .. }), "{error:?}");
        for said in ["belongs to user 0", "no process is seen to hold it", "in a container", "it is left over: remove it"] {
            assert!(error.to_string().contains(said), "{error}");
        }
        assert_eq!(fs::read(&lock).unwrap(), b"precious");
    }

    async fn lock_of_other_user_held_error_names_the_process() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o777)).unwrap();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let path = place.socket();
        let error = as_other_user(move || listen_error(path));
        let Some(error) = error.await else { return };
        assert!(matches!(error, ListenError::AddrInUse { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("process {} (", std::process::id())), "{error}");
    }

    async fn socket_and_lock_of_other_user_in_private_directory_are_reclaimed() {
        let _process = PROCESS.lock().await;
        for (mode, safe) in [(0o755, true), (0o775, false), (0o757, false), (0o1777, false)] {
            let place = Place::new();
            let lock = place.directory().join("test.sock.lock");
            drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
            fs::write(&lock, "").unwrap();
            let given = [&place.socket(), &lock].map(|file| std::os::unix::fs::chown(file, Some(OTHER_USER), None));
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
                assert_eq!(fs::symlink_metadata(&lock).unwrap().uid(), OTHER_USER, "{mode:o}");
            }
        }
    }

    async fn socket_of_other_user_without_lock_in_private_directory_is_reclaimed() {
        let _process = PROCESS.lock().await;
        for (mode, safe) in [(0o755, true), (0o775, false), (0o1777, false)] {
            let place = Place::new();
            drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
            if std::os::unix::fs::chown(place.socket(), Some(OTHER_USER), None).is_err() {
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
            assert_eq!(fs::symlink_metadata(place.socket()).unwrap().uid(), OTHER_USER, "{mode:o}");
            assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 1, "{mode:o}: it left its lock");
        }
    }

    async fn socket_of_mode_666_left_by_other_user_is_named_left_over() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o1777)).unwrap();
        drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
        fs::set_permissions(place.socket(), fs::Permissions::from_mode(0o666)).unwrap();
        let path = place.socket();
        let error = as_other_user(move || listen_error(path));
        let Some(error) = error.await else { return };
        for said in ["socket of user 0", "a server of user 0 has left it", "Remove it as user 0"] {
            assert!(error.to_string().contains(said), "{error}");
        }
        assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 1, "it left its lock");
    }

    async fn lock_of_other_user_held_is_not_reclaimed() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        let lock = place.directory().join("test.sock.lock");
        let held = fs::File::create(&lock).unwrap();
        if std::os::unix::fs::chown(&lock, Some(OTHER_USER), None).is_err() {
            return support::skip("becoming another user", "only the superuser can");
        }
        held.try_lock().unwrap();
        let error = Server::new(place.socket()).listen().await.unwrap_err();
        assert!(matches!(error, ListenError::AddrInUse { .. }), "{error:?}");
        assert_eq!(fs::symlink_metadata(&lock).unwrap().uid(), OTHER_USER);
    }

    async fn group_socket_file_has_it_and_only_members_connect() {
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
            let connected = as_other_user_of(Some(group), move || {
                std::os::unix::net::UnixStream::connect(path).err().map(|error| error.kind())
            });
            assert_eq!(connected.await, Some(expected), "group {group}");
        }
        soon("the close", server.close()).await;
        assert!(!place.socket().exists(), "not removed after its group was set");
    }

    async fn group_unknown_returns_error_that_names_it() {
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

    async fn group_of_other_users_returns_error_and_leaves_nothing() {
        let _process = PROCESS.lock().await;
        let place = Place::new();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o777)).unwrap();
        let path = place.socket();
        let error = as_other_user(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let server = Server::builder(path).group(54_321).build();
            runtime.block_on(async { server.listen().await.unwrap_err() })
        });
        let Some(error) = error.await else { return };
        assert!(matches!(&error, ListenError::Group { cause: Some(_), .. }), "{error:?}");
        assert!(error.to_string().contains("54321"), "{error}");
        assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 0);
    }

    async fn relative_path_directory_changed_is_removed_where_it_was_made() {
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

    async fn relative_path_directory_changed_client_reconnects() {
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
