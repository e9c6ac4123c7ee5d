//! Credentials files, and the operators that issue them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use socket_ipc::cluster::{ClusterEvent, ClusterOptions, JoinError};
use support::nats::Nats;
use support::operator::{Operator, now};
use support::{Events, Place};

use crate::join::refused;
use crate::nodes::{News, Node, news};

fn options(nats: &Nats, path: &Path, name: &str) -> ClusterOptions {
    ClusterOptions::new(nats.url(), "desk").name(name).credentials_file(path)
}

/// Asserts that a file can't be used.
fn is_of_file(error: &JoinError, path: &Path, reason: &str) {
    let expected = format!("cannot join the domain `desk`: the credentials in {}: ", path.display());
    let said = error.to_string();
    assert!(matches!(error, JoinError::File { .. }) && said.starts_with(&expected), "{error}");
    assert!(said.contains(reason), "{error}");
}

support::both_flavours! {
    async fn credentials_file_lets_nodes_in() {
        let (place, operator) = (Place::new(), Operator::new());
        let Some(nats) = Nats::with(&operator.server(&[])) else { return };
        let path = place.directory().join("user.creds");
        std::fs::write(&path, operator.credentials(&operator.user(), 0)).unwrap();
        let (one, other) = (Node::with(options(&nats, &path, "one")).await, Node::with(options(&nats, &path, "other")).await);
        let (client, mut received) = (other.client().await, Events::new());
        let report = received.reporter();
        client.on::<News>(move |news| report(news.number));
        one.cluster.broadcast(&news(1)).unwrap();
        assert_eq!(received.next().await, 1);
        let error = refused(ClusterOptions::new(nats.url(), "desk")).await;
        assert!(error.to_string().contains("authorization violation"), "{error}");
    }

    async fn credentials_file_unusable_is_an_error_of_join_with_its_path() {
        let (place, operator) = (Place::new(), Operator::new());
        let Some(nats) = Nats::with(&operator.server(&[])) else { return };
        let path = place.directory().join("user.creds");
        let (user, other) = (operator.user(), operator.user());
        is_of_file(&refused(options(&nats, &path, "one")).await, &path, "it does not exist");
        let whole = operator.credentials(&user, 0);
        let (token, seed) = whole.split_at(whole.find("\n\n").unwrap());
        let of_other = operator.credentials_with_seed_of(&user, &other, 0);
        let unreadable = whole.replace("eyJ", "???");
        for (text, reason) in [
            ("garbage\u{1b}", "it holds no JWT of a user"),
            ("", "it holds no JWT of a user"),
            (token, "it holds no seed of a user"),
            (seed, "it holds no JWT of a user"),
            (&*unreadable, "it holds no readable JWT of a user"),
            (&*of_other, "its seed is not that of the user in its JWT"),
            ("-----BEGIN NATS USER JWT-----", "it holds no JWT of a user"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = refused(options(&nats, &path, "one")).await;
            is_of_file(&error, &path, reason);
            assert!(!error.to_string().contains("SUA"), "{error}");
        }
        std::fs::write(&path, [0xff]).unwrap();
        is_of_file(&refused(options(&nats, &path, "one")).await, &path, "it is not text");
        // Opening it would wait for a writer.
        let pipe = place.directory().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        is_of_file(&refused(options(&nats, &pipe, "one")).await, &pipe, "it is not a regular file");
    }

    async fn user_expired_or_revoked_is_an_error_of_join_by_name() {
        let (place, operator) = (Place::new(), Operator::new());
        let (revoked, user) = (operator.user(), operator.user());
        let Some(nats) = Nats::with(&operator.server(&[&revoked])) else { return };
        let path = place.directory().join("user.creds");
        let stranger = Operator::new();
        for (credentials, reason) in [
            (operator.credentials(&user, now() - 100), "expired 10"),
            (operator.credentials(&revoked, 0), "may be revoked, or of another account"),
            (stranger.credentials(&user, 0), "may be revoked, or of another account"),
        ] {
            std::fs::write(&path, credentials).unwrap();
            let error = refused(options(&nats, &path, "one")).await;
            let said = error.to_string();
            assert!(matches!(error, JoinError::Connect { .. }) && said.contains("authorization violation"), "{error}");
            assert!(said.contains(&format!("those in {} ", path.display())) && said.contains(reason), "{error}");
        }
        std::fs::write(&path, operator.credentials(&user, 0)).unwrap();
        Node::with(options(&nats, &path, "one")).await;
    }

    async fn renewed_credentials_take_effect_without_a_restart() {
        let (place, operator) = (Place::new(), Operator::new());
        let Some(nats) = Nats::with(&operator.server(&[])) else { return };
        let (path, user) = (place.directory().join("user.creds"), operator.user());
        std::fs::write(&path, operator.credentials(&user, now() + 3)).unwrap();
        let mut one = Node::with(options(&nats, &path, "one")).await;
        one.event(|event| *event == ClusterEvent::LinkDown).await;
        let expired = format!("those in {} expired ", path.display());
        one.event(|event| matches!(event, ClusterEvent::Error(error) if error.contains(&expired))).await;
        std::fs::remove_file(&path).unwrap();
        let gone = format!("the credentials in {}: it does not exist", path.display());
        one.event(|event| matches!(event, ClusterEvent::Error(error) if error.contains(&gone))).await;
        std::fs::write(&path, operator.credentials(&user, 0)).unwrap();
        one.event(|event| *event == ClusterEvent::LinkUp).await;
    }
}

/// The superuser may read everything, so another user tries.
#[test]
fn credentials_file_unreadable_is_an_error_of_join_with_its_path() {
    const OTHER_USER: u32 = 65534;
    let place = Place::new();
    let path = place.directory().join("user.creds");
    std::fs::write(&path, "").unwrap();
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(place.directory(), 0o755);
    mode(&path, 0o000);
    let tried = path.clone();
    let trying = std::thread::spawn(move || {
        let (user, group) = (Uid::from_raw(OTHER_USER), Gid::from_raw(OTHER_USER));
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            // The threads of the runtime begin as the user of this one.
            set_thread_res_gid(group, group, group).unwrap();
            set_thread_res_uid(user, user, user).unwrap();
        }
        let options = ClusterOptions::new("nats://127.0.0.1:1", "desk").credentials_file(tried);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        (is_root, runtime.block_on(refused(options)))
    });
    let (is_root, error) = trying.join().unwrap();
    let user = if is_root { OTHER_USER } else { rustix::process::geteuid().as_raw() };
    is_of_file(&error, &path, &format!("user {user} may not read it"));
}
