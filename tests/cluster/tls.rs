//! TLS between nodes and the NATS server, with certificates of a test's own.

use std::path::{Path, PathBuf};

use socket_ipc::cluster::{ClusterEvent, ClusterOptions, JoinError};
use support::certificates::Authority;
use support::nats::Nats;
use support::{Events, Place, soon};

use crate::join::refused;
use crate::nodes::{News, Node, news};

const HOST: &str = "127.0.0.1";

fn shown(path: &Path) -> String {
    path.display().to_string()
}

support::both_flavours! {
    async fn right_root_lets_nodes_in_and_back_after_a_restart() {
        let place = Place::new();
        let authority = Authority::new(place.directory(), "own");
        let Some(mut nats) = Nats::with(&authority.server(HOST, None)) else { return };
        // A root of its own asks for TLS, whatever the URL begins with.
        let options = |url, name| ClusterOptions::new(url, "desk").name(name).root_certificates(authority.root());
        let mut one = Node::with(options(nats.tls_url(), "one")).await;
        let mut other = Node::with(options(nats.url(), "other")).await;
        let (client, mut received) = (other.client().await, Events::new());
        let report = received.reporter();
        client.on::<News>(move |news| report(news.number));
        other.knows(&one, &[]).await;
        one.cluster.broadcast(&news(1)).unwrap();
        assert_eq!(received.next().await, 1);
        nats.kill();
        for node in [&mut one, &mut other] {
            node.event(|event| *event == ClusterEvent::LinkDown).await;
        }
        nats.restart();
        for node in [&mut one, &mut other] {
            node.event(|event| *event == ClusterEvent::LinkUp).await;
        }
        soon("a broadcast that arrives", async {
            for number in 2.. {
                one.cluster.broadcast(&news(number)).unwrap();
                if support::in_time(std::time::Duration::from_millis(50), received.next()).await.is_some() {
                    break;
                }
            }
        })
        .await;
    }

    async fn certificate_not_trusted_is_an_error_of_join_by_name() {
        let place = Place::new();
        let (own, other) = (Authority::new(place.directory(), "own"), Authority::new(place.directory(), "other"));
        let Some(nats) = Nats::with(&own.server(HOST, None)) else { return };
        let error = refused(ClusterOptions::new(nats.tls_url(), "desk").root_certificates(other.root())).await;
        let expected = format!("was issued by none of the roots in {}", shown(&other.root()));
        assert!(matches!(&error, JoinError::Connect { .. }) && error.to_string().ends_with(&expected), "{error}");
        // This NATS server demands TLS whatever the URL says, and the system knows nothing of its root.
        for url in [nats.tls_url(), nats.url()] {
            let error = refused(ClusterOptions::new(url, "desk")).await.to_string();
            assert!(error.contains("the roots of this system, and no root of its own was given"), "{error}");
        }
        let nats = Nats::with(&own.server("nats.example.org", None)).unwrap();
        let error = refused(ClusterOptions::new(nats.tls_url(), "desk").root_certificates(own.root())).await;
        for part in ["is not for the host in its URL", "nats.example.org", HOST] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    async fn server_without_tls_is_an_error_where_tls_is_asked_for() {
        let place = Place::new();
        let own = Authority::new(place.directory(), "own");
        let Some(nats) = Nats::with("authorization { user: desk, password: secret }") else { return };
        for options in [
            ClusterOptions::new(nats.tls_url(), "desk"),
            ClusterOptions::new(nats.url(), "desk").root_certificates(own.root()),
            // One URL with TLS asks for it everywhere.
            ClusterOptions::new(nats.url(), "desk").url("tls://127.0.0.1:1"),
        ] {
            let error = refused(options.user_and_password("desk", "secret")).await;
            let said = error.to_string();
            assert!(said.contains("does not speak TLS") || said.contains("Connection refused"), "{error}");
        }
        let options = ClusterOptions::new(nats.url(), "desk").user_and_password("desk", "secret");
        Node::with(options).await;
    }

    async fn client_certificate_is_demanded_and_checked() {
        let place = Place::new();
        let (own, other) = (Authority::new(place.directory(), "own"), Authority::new(place.directory(), "other"));
        let Some(nats) = Nats::with(&own.server(HOST, Some(&own))) else { return };
        let options = || ClusterOptions::new(nats.tls_url(), "desk").root_certificates(own.root());
        let error = refused(options()).await;
        let expected = "the NATS server demands a client certificate, and none was given";
        assert!(error.to_string().contains(expected), "{error}");
        let (certificate, key) = other.issue("one");
        let error = refused(options().client_certificate(&certificate, key)).await;
        let expected = format!("the NATS server refuses the client certificate in {}", shown(&certificate));
        assert!(error.to_string().contains(&expected), "{error}");
        let (certificate, key) = own.issue("one");
        Node::with(options().client_certificate(certificate, key)).await;
    }

    async fn certificate_file_unusable_is_an_error_of_join_with_its_path() {
        let place = Place::new();
        let own = Authority::new(place.directory(), "own");
        let Some(nats) = Nats::with(&own.server(HOST, Some(&own))) else { return };
        let file = |name: &str| place.directory().join(name);
        std::fs::write(file("garbage"), "garbage\n").unwrap();
        std::fs::write(file("broken"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let ((certificate, key), (_, other_key)) = (own.issue("one"), own.issue("other"));
        let (missing, garbage) = (file("missing"), file("garbage"));
        let plain = || ClusterOptions::new(nats.tls_url(), "desk");
        let client = |certificate: &PathBuf, key: &PathBuf| plain().client_certificate(certificate, key);
        for (options, what, path, reason) in [
            (plain().root_certificates(&missing), "root certificates", &missing, "it does not exist"),
            (plain().root_certificates(&garbage), "root certificates", &garbage, "it holds no certificate"),
            (plain().root_certificates(file("broken")), "root certificates", &file("broken"), ""),
            (plain().root_certificates(place.directory()), "root certificates", &place.directory().to_owned(), "not a regular"),
            (client(&missing, &key), "client certificate", &missing, "it does not exist"),
            (client(&garbage, &key), "client certificate", &garbage, "it holds no certificate"),
            (client(&certificate, &missing), "key of the client certificate", &missing, "it does not exist"),
            (client(&certificate, &garbage), "key of the client certificate", &garbage, "no private key"),
            (client(&certificate, &certificate), "key of the client certificate", &certificate, "no private key"),
            (client(&certificate, &other_key), "key of the client certificate", &other_key, "can't be used with the"),
        ] {
            let error = refused(options).await;
            assert!(matches!(&error, JoinError::File { .. }), "{error}");
            let expected = format!("cannot join the domain `desk`: the {what} in {}: ", shown(path));
            let said = error.to_string();
            assert!(said.starts_with(&expected) && said.contains(reason), "{error}");
        }
    }
}
