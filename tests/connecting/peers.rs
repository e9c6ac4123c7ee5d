//! The process at the other end: what the kernel reports of it, which users are let in and how many clients, and a
//! listening socket that another program bound.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::time::Duration;

use rustix::process::{getegid, geteuid};
use rustix::thread::set_thread_res_uid;
use socket_ipc::{Client, ClientId, ConnectError, Error, ListenError, Server, Topic};
use support::{Events, Place, RawPeer, soon};
use tokio::io::duplex;
use tokio::net::{UnixListener, UnixSocket};
use tokio::sync::oneshot;

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "number"]
struct Number(u64);

/// A user that is neither this one nor the superuser.
const OTHER_USER: u32 = 65_534;

fn own_user() -> u32 {
    geteuid().as_raw()
}

/// Runs `body` on a thread of another user. `None` where it can't: only the superuser can.
async fn as_other_user<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let user = rustix::process::Uid::from_raw(OTHER_USER);
        // This changes the user of this thread only.
        let changed = set_thread_res_uid(user, user, user).is_ok();
        drop(sender.send(changed.then(body)));
    });
    let result = soon("the other user", receiver).await.unwrap();
    if result.is_none() {
        support::skip("becoming another user", "only the superuser can");
    }
    result
}

/// A place that every user may reach and write to.
fn public_place() -> Place {
    let place = Place::new();
    fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o777)).unwrap();
    place
}

#[derive(Debug, PartialEq)]
enum Seen {
    Connection(ClientId),
    Close(ClientId),
    Received(u64),
    /// Turned away: the user, if it is known.
    NotAllowed(Option<u32>),
    TooMany(usize),
    MessageError,
}

fn watch(server: &Server) -> Events<Seen> {
    let events = Events::new();
    let report = events.reporter();
    server.on_connection({
        let report = report.clone();
        move |id| report(Seen::Connection(id))
    });
    server.on_connection_close({
        let report = report.clone();
        move |id, _| report(Seen::Close(id))
    });
    server.on::<Number>({
        let report = report.clone();
        move |n, _| report(Seen::Received(n.0))
    });
    server.on_message_error({
        let report = report.clone();
        move |_, _| report(Seen::MessageError)
    });
    server.on_error(move |error| {
        report(match error {
            Error::UserNotAllowed { peer, .. } => Seen::NotAllowed(peer.map(|peer| peer.uid)),
            Error::TooManyClients { limit, .. } => Seen::TooMany(*limit),
            other => panic!("{other:?}"),
        })
    });
    events
}

async fn connection(events: &mut Events<Seen>) -> ClientId {
    match events.next().await {
        Seen::Connection(id) => id,
        other => panic!("{other:?} instead of a connection"),
    }
}

const ONE: &str = "{\"topic\":\"number\",\"message\":1}\n";

support::both_flavours! {
    async fn peer_of_client_is_what_the_kernel_reports() {
        let place = Place::new();
        let server = Server::new(place.socket());
        let mut events = watch(&server);
        server.listen().await.unwrap();
        let raw = RawPeer::connect(place.socket()).await;
        let id = connection(&mut events).await;
        let peer = server.peer(id).unwrap();
        assert_eq!((peer.uid, peer.gid), (own_user(), getegid().as_raw()));
        assert_eq!(peer.pid, Some(std::process::id().try_into().unwrap()));
        let (ours, _theirs) = duplex(1024);
        let in_memory = server.serve_connection(ours).unwrap().unwrap();
        assert_eq!(connection(&mut events).await, in_memory);
        assert_eq!(server.peer(in_memory), None, "there is no process to report");
        drop(raw);
        assert_eq!(events.next().await, Seen::Close(id));
        assert_eq!(server.peer(id), None, "it has left");
    }

    async fn allow_users_other_user_is_let_in_and_superuser_is_not() {
        let place = public_place();
        let server = Server::builder(place.socket()).mode(0o666).allow_users([OTHER_USER]).build();
        let mut events = watch(&server);
        server.listen().await.unwrap();
        let path = place.socket();
        let Some(stream) = as_other_user(move || StdStream::connect(path).unwrap()).await else { return };
        let id = connection(&mut events).await;
        assert_eq!(server.peer(id).unwrap().uid, OTHER_USER);
        std::io::Write::write_all(&mut &stream, ONE.as_bytes()).unwrap();
        assert_eq!(events.next().await, Seen::Received(1));
        // The superuser is no exception.
        let mut peer = RawPeer::connect(place.socket()).await;
        assert_eq!(peer.closed().await, b"");
        assert_eq!(events.next().await, Seen::NotAllowed(Some(own_user())));
    }

    async fn allow_users_client_path_names_other_user_is_ignored() {
        for allowed in [own_user(), own_user() + 1] {
            let place = Place::new();
            let server = Server::builder(place.socket()).allow_users([allowed]).build();
            let mut events = watch(&server);
            server.listen().await.unwrap();
            let name = format!("x;uid={0};pid=1;uid={0}", own_user() + 1);
            let socket = UnixSocket::new_stream().unwrap();
            socket.bind(place.directory().join(name)).unwrap();
            let mut peer = RawPeer::over(soon("a connection", socket.connect(place.socket())).await.unwrap());
            if allowed == own_user() {
                let seen = server.peer(connection(&mut events).await).unwrap();
                assert_eq!((seen.uid, seen.pid), (own_user(), Some(std::process::id().try_into().unwrap())));
            } else {
                assert_eq!(peer.closed().await, b"");
                assert_eq!(events.next().await, Seen::NotAllowed(Some(own_user())));
            }
        }
    }

    async fn allow_users_other_user_gets_no_byte_in_and_none_out() {
        for allowed in [vec![], vec![own_user() + 1, own_user() + 2]] {
            let place = Place::new();
            let server = Server::builder(place.socket()).allow_users(allowed).build();
            let mut events = watch(&server);
            server.listen().await.unwrap();
            for _ in 0..20 {
                let stream = StdStream::connect(place.socket()).unwrap();
                // Written before the server closes the connection or not, it is not dispatched.
                let _ = std::io::Write::write_all(&mut &stream, [ONE, "nonsense\n"].concat().as_bytes());
                stream.set_nonblocking(true).unwrap();
                let _ = server.broadcast(&Number(2));
                let mut peer = RawPeer::over(tokio::net::UnixStream::from_std(stream).unwrap());
                assert_eq!(peer.closed().await, b"");
                assert_eq!(events.next().await, Seen::NotAllowed(Some(own_user())));
            }
            assert_eq!(server.clients(), []);
            soon("the close", server.close()).await;
            assert_eq!(events.rest(), []);
        }
    }

    async fn same_user_only_other_user_is_turned_away() {
        let place = public_place();
        let server = Server::builder(place.socket()).mode(0o666).same_user_only().build();
        let mut events = watch(&server);
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        soon("the connection", client.connect()).await.unwrap();
        connection(&mut events).await;
        client.send(&Number(3)).unwrap();
        assert_eq!(events.next().await, Seen::Received(3));
        // A connection without a known user is not of this user.
        let (ours, _theirs) = duplex(1024);
        assert!(matches!(server.serve_connection(ours), Err(Error::UserNotAllowed { peer: None, .. })));
        let path = place.socket();
        let Some(stream) = as_other_user(move || StdStream::connect(path).unwrap()).await else { return };
        let _ = std::io::Write::write_all(&mut &stream, ONE.as_bytes());
        assert_eq!(events.next().await, Seen::NotAllowed(Some(OTHER_USER)));
        client.send(&Number(4)).unwrap();
        assert_eq!(events.next().await, Seen::Received(4));
    }

    async fn expect_server_user_right_user_connects() {
        let place = Place::new();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let client = Client::builder(place.socket()).expect_server_user(own_user()).build();
        soon("the connection", client.connect()).await.unwrap();
        // A server without a known user is not of the expected user.
        let connector = || async { Ok(duplex(1024).0) };
        let client = Client::builder("in memory").connector(connector).expect_server_user(own_user()).give_up_after(1).build();
        let error = soon("the error", client.connect()).await.unwrap_err();
        let ConnectError::GaveUp { cause: source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(*source, ConnectError::WrongUser { found: None, .. }), "{source:?}");
    }

    async fn expect_server_user_wrong_user_gets_no_byte() {
        let place = Place::new();
        let listener = UnixListener::bind(place.socket()).unwrap();
        let expected = own_user() + 1;
        let client = Client::builder(place.socket())
            .expect_server_user(expected)
            .retry_delay(Duration::from_millis(1))
            .give_up_after(2)
            .build();
        let mut events = Events::new();
        let (connect, error) = (events.reporter(), events.reporter());
        client.on_connect(move || connect("connect"));
        client.on_connect_error(move |failure| {
            let as_expected = matches!(failure, ConnectError::WrongUser { expected: e, found, .. }
                if *e == expected && *found == Some(own_user()));
            error(if as_expected { "wrong user" } else { "?" });
        });
        let error = soon("the error", client.connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::GaveUp { attempts: 2, .. }), "{error:?}");
        assert_eq!(events.rest(), ["wrong user"; 2]);
        for _ in 0..2 {
            let (stream, _) = soon("the connection", listener.accept()).await.unwrap();
            assert_eq!(RawPeer::over(stream).closed().await, b"");
        }
    }

    async fn expect_server_user_server_replaced_by_other_user_is_noticed() {
        let place = public_place();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let client = Client::builder(place.socket())
            .expect_server_user(own_user())
            .reconnect_delay(Duration::from_millis(1))
            .give_up_after(1)
            .build();
        let mut events = Events::new();
        let report = events.reporter();
        client.on_connect_error(move |error| report(error.to_string()));
        soon("the connection", client.connect()).await.unwrap();
        let path = place.socket();
        let imposter = as_other_user(move || {
            // Every user that may write to the directory may do this.
            fs::remove_file(&path).unwrap();
            StdListener::bind(path).unwrap()
        });
        let Some(_imposter) = imposter.await else { return };
        soon("the close", server.close()).await;
        let error = events.next().await;
        assert!(error.contains(&format!("user {OTHER_USER}")), "{error}");
        soon("the close", client.closed()).await;
    }

    async fn max_clients_one_too_many_is_turned_away_until_one_leaves() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_clients(3).build();
        let mut events = watch(&server);
        server.listen().await.unwrap();
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push((RawPeer::connect(place.socket()).await, connection(&mut events).await));
        }
        for _ in 0..10 {
            let stream = StdStream::connect(place.socket()).unwrap();
            let _ = std::io::Write::write_all(&mut &stream, ONE.as_bytes());
            stream.set_nonblocking(true).unwrap();
            let mut refused = RawPeer::over(tokio::net::UnixStream::from_std(stream).unwrap());
            assert_eq!(refused.closed().await, b"");
            assert_eq!(events.next().await, Seen::TooMany(3));
            let (ours, _theirs) = duplex(1024);
            assert!(matches!(server.serve_connection(ours), Err(Error::TooManyClients { limit: 3, .. })));
        }
        assert_eq!(server.clients(), [peers[0].1, peers[1].1, peers[2].1]);
        for (peer, _) in &mut peers {
            peer.write(ONE).await;
            assert_eq!(events.next().await, Seen::Received(1), "the other clients are not disturbed");
        }
        for _ in 0..10 {
            let (leaver, id) = peers.remove(0);
            drop(leaver);
            assert_eq!(events.next().await, Seen::Close(id));
            peers.push((RawPeer::connect(place.socket()).await, connection(&mut events).await));
            assert_ne!(peers[2].1, id, "an id came again");
        }
    }

    async fn client_of_full_server_retries_until_there_is_room() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_clients(1).build();
        let mut events = watch(&server);
        server.listen().await.unwrap();
        let first = RawPeer::connect(place.socket()).await;
        let id = connection(&mut events).await;
        let client = Client::builder(place.socket()).reconnect_delay(Duration::from_millis(5)).build();
        soon("the connection", client.connect()).await.unwrap();
        for _ in 0..3 {
            assert_eq!(events.next().await, Seen::TooMany(1));
        }
        drop(first);
        let connected = loop {
            match events.next().await {
                Seen::TooMany(1) => {}
                Seen::Close(closed) => assert_eq!(closed, id),
                Seen::Connection(connected) => break connected,
                other => panic!("{other:?}"),
            }
        };
        let mut numbers = client.subscribe::<Number>();
        server.send(&Number(5), connected).unwrap();
        assert_eq!(soon("the message", numbers.next()).await.unwrap().0, 5);
    }

    async fn passed_listener_is_served_and_its_file_is_left() {
        for by_drop in [false, true] {
            let place = Place::new();
            let listener = StdListener::bind(place.socket()).unwrap();
            // The mode of the other program's file stays, too.
            fs::set_permissions(place.socket(), fs::Permissions::from_mode(0o640)).unwrap();
            let before = fs::symlink_metadata(place.socket()).unwrap();
            // This client waits for the server to start.
            let mut early = RawPeer::connect(place.socket()).await;
            early.write(ONE).await;
            let server = Server::from_listener(listener);
            let mut events = watch(&server);
            server.listen().await.unwrap();
            connection(&mut events).await;
            assert_eq!(events.next().await, Seen::Received(1));
            let client = Client::new(place.socket());
            soon("the connection", client.connect()).await.unwrap();
            connection(&mut events).await;
            assert!(server.listen().await.is_err(), "it listens already");
            drop((early, client));
            if by_drop {
                drop(server);
            } else {
                soon("the close", server.close()).await;
            }
            let after = fs::symlink_metadata(place.socket()).unwrap();
            assert_eq!((before.ino(), before.mode(), before.ctime()), (after.ino(), after.mode(), after.ctime()));
            assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 1, "a lock was left");
        }
    }

    async fn passed_listener_not_listening_returns_error() {
        let place = Place::new();
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind(place.socket()).unwrap();
        let bound = std::os::fd::AsFd::as_fd(&socket).try_clone_to_owned().unwrap();
        let (connected, _other) = StdStream::pair().unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for (descriptor, said) in [
            (bound, "is bound, and does not listen"),
            (connected.into(), "`Accept=yes`"),
            (tcp.into(), "no Unix stream socket; under systemd the unit has to say `ListenStream=`"),
        ] {
            let server = Server::builder("its name").listener(StdListener::from(descriptor)).build();
            let mut listening = Events::new();
            let report = listening.reporter();
            server.on_listening(move || report(()));
            let error = server.listen().await.unwrap_err();
            assert!(matches!(error, ListenError::NotListening { .. }), "{said}: {error:?}");
            assert!(error.to_string().contains(said) && error.to_string().contains("its name"), "{error}");
            assert_eq!(listening.rest(), []);
        }
    }

    async fn passed_listener_of_unstarted_server_is_closed() {
        let place = Place::new();
        let server = Server::builder("only a name").listener(StdListener::bind(place.socket()).unwrap()).build();
        let mut waiting = RawPeer::connect(place.socket()).await;
        soon("the close", server.close()).await;
        // The server handle is still alive, and keeps no client waiting.
        assert_eq!(waiting.closed().await, b"");
        assert!(place.socket().exists());
        assert!(server.listen().await.is_err());
    }
}
