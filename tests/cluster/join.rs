//! Which servers are let into a domain, and which error the others get.

use std::time::Duration;

use socket_ipc::cluster::{Cluster, ClusterEvent, ClusterOptions, JoinError};
use socket_ipc::{RequestError, Server};
use support::nats::Nats;
use support::{Events, Place, soon};

use crate::nodes::{Divide, Held, News, Node, news};

/// The pair of keys in the documentation of NATS.
const NKEY: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const NKEY_SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

/// The error of joining.
pub async fn refused(options: ClusterOptions) -> JoinError {
    let place = Place::new();
    let server = Server::new(place.socket());
    soon("the error", Cluster::join(&server, options)).await.unwrap_err()
}

support::both_flavours! {
    async fn wrong_credentials_are_an_error_of_join() {
        let Some(nats) = Nats::with("authorization { user: desk, password: secret }") else { return };
        let options = || ClusterOptions::new(nats.url(), "desk");
        for options in [options(), options().user_and_password("desk", "wrong"), options().token("secret")] {
            let error = refused(options).await;
            assert!(error.to_string().contains("authorization violation"), "{error}");
            assert!(error.to_string().contains(&nats.url()) && !error.to_string().contains("secret"), "{error}");
        }
        let in_url = format!("nats://desk:secret@127.0.0.1:{}", nats.port());
        let error = refused(ClusterOptions::new(in_url, "desk")).await;
        assert!(matches!(&error, JoinError::CredentialsInUrl { .. }), "{error}");
        Node::with(options().user_and_password("desk", "secret")).await;
    }

    async fn token_and_nkey_let_a_node_in() {
        let Some(nats) = Nats::with("authorization { token: secret }") else { return };
        let options = ClusterOptions::new(nats.url(), "desk");
        assert!(matches!(refused(options.clone().token("wrong")).await, JoinError::Connect { .. }));
        Node::with(options.token("secret")).await;
        let config = format!("authorization {{ users = [ {{ nkey: {NKEY} }} ] }}");
        let nats = Nats::with(&config).unwrap();
        let options = ClusterOptions::new(nats.url(), "desk");
        let error = refused(options.clone().nkey("SUnot a seed")).await;
        assert!(matches!(error, JoinError::Connect { .. }), "{error}");
        Node::with(options.nkey(NKEY_SEED)).await;
    }

    async fn unknown_server_is_an_error_of_join() {
        let Some(mut nats) = Nats::start() else { return };
        nats.kill();
        for url in [nats.url(), "nats://host.invalid:4222".to_owned(), "no url at all".to_owned()] {
            let error = refused(ClusterOptions::new(&url, "desk")).await;
            assert!(matches!(&error, JoinError::Connect { urls, .. } if *urls == url), "{error}");
        }
    }

    async fn server_that_closes_is_an_error_of_join() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        let mut gate = one.holds();
        let client = one.client().await;
        let held = client.request(&Held);
        assert_eq!(gate.begun.next().await, "begun");
        let closing = one.server.close();
        let options = || ClusterOptions::new(nats.url(), "desk").name("one");
        let error = soon("the error", Cluster::join(&one.server, options())).await.unwrap_err();
        assert!(error.to_string().contains("is closed or closes"), "{error}");
        gate.open();
        assert_eq!(soon("the reply", held).await.unwrap(), 5);
        soon("closing", closing).await;
        let error = soon("the error", Cluster::join(&one.server, options())).await.unwrap_err();
        assert!(error.to_string().contains("is closed or closes"), "{error}");
    }

    async fn missing_permission_is_an_error_of_join_that_names_the_subject() {
        for (publish, subscribe, named) in [
            (r#"["desk.n.>"]"#, r#"["desk.>"]"#, "desk.b.one."),
            (r#"["desk.b.one.>"]"#, r#"["desk.>"]"#, "desk.n.one."),
            (r#"["desk.b.one.>", "desk.n.>"]"#, r#"["desk.i.>", "desk.n.>"]"#, "desk.b.>"),
            (r#"["desk.b.one.>", "desk.n.>"]"#, r#"["desk.b.>", "desk.n.>"]"#, "desk.i.one."),
        ] {
            let Some(nats) = Nats::with(&permissions(publish, subscribe)) else { return };
            let options = ClusterOptions::new(nats.url(), "desk").name("one");
            let error = refused(options.user_and_password("desk", "secret")).await;
            assert!(matches!(&error, JoinError::Refused { .. }), "{error}");
            assert!(error.to_string().contains(named), "{error} does not name {named}");
        }
    }

    async fn request_without_permission_is_lost_and_an_event_names_the_subject() {
        let all = permissions(r#"["desk.b.one.>", "desk.n.>"]"#, r#"["desk.>"]"#);
        let Some(nats) = Nats::with(&all) else { return };
        let options = ClusterOptions::new(nats.url(), "desk").name("one").silence(Duration::from_millis(1500));
        let mut one = Node::with(options.user_and_password("desk", "secret")).await;
        one.cluster.forward::<Divide>().unwrap();
        let client = one.client().await;
        let error = soon("the error", client.request(&Divide { dividend: 1, divisor: 1 })).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "lost"), "{error}");
        let is_it = |event: &ClusterEvent| matches!(event, ClusterEvent::Error(error) if error.contains("desk.q.divide"));
        one.event(is_it).await;
    }

    async fn permission_that_is_missing_later_is_an_event_by_name() {
        let all = permissions(r#"["desk.b.one.>", "desk.n.>"]"#, r#"["desk.b.>", "desk.n.>", "desk.i.>"]"#);
        let Some(nats) = Nats::with(&all) else { return };
        let options = ClusterOptions::new(nats.url(), "desk").name("one");
        let options = options.user_and_password("desk", "secret");
        let (mut one, same) = (Node::with(options.clone()).await, Node::with(options).await);
        one.server.on::<News>(|_, _| {});
        one.cluster.offer::<News>().unwrap();
        let is_it = |event: &ClusterEvent| {
            matches!(event, ClusterEvent::Error(error) if error.contains("desk.q.news%20of%2Fthe%20day.%2A"))
        };
        one.event(is_it).await;
        // From then on no beat tells of the offer.
        one.cluster.broadcast(&news(1)).unwrap();
        same.settled(&one, 1).await;
        let nodes = same.cluster.nodes();
        let node = nodes.iter().find(|node| node.id == *one.cluster.node()).unwrap();
        assert!(node.offers.is_empty(), "{node:?}");
    }

    async fn program_that_takes_everything_keeps_no_node_out() {
        for everything in ["desk.>", ">"] {
            let Some(nats) = Nats::start() else { return };
            let plain = async_nats::connect(nats.url()).await.unwrap();
            let _everything = plain.subscribe(everything).await.unwrap();
            plain.flush().await.unwrap();
            let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
            one.knows(&other, &[]).await;
            let (client, mut received) = (other.client().await, Events::new());
            let report = received.reporter();
            client.on::<News>(move |news| report(news.number));
            one.cluster.broadcast(&news(1)).unwrap();
            assert_eq!(received.next().await, 1);
        }
    }

    async fn two_servers_with_one_name_both_work() {
        let Some(nats) = Nats::start() else { return };
        let (one, same) = (Node::join(&nats, "one").await, Node::join(&nats, "one").await);
        assert_ne!(one.cluster.node(), same.cluster.node());
        assert_eq!((one.cluster.node().name(), same.cluster.node().name()), ("one".into(), "one".into()));
        one.knows(&same, &[]).await;
        for (from, to) in [(&one, &same), (&same, &one)] {
            let (client, mut received) = (to.client().await, Events::new());
            let report = received.reporter();
            client.on::<News>(move |news| report(news.number));
            from.cluster.broadcast(&news(1)).unwrap();
            assert_eq!(received.next().await, 1);
        }
    }

    async fn two_domains_do_not_meet() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        let stranger = Node::with(ClusterOptions::new(nats.url(), "desk.b").name("one")).await;
        let other = Node::join(&nats, "other").await;
        one.knows(&other, &[]).await;
        stranger.cluster.broadcast(&news(1)).unwrap();
        assert_eq!(one.cluster.nodes().len(), 1);
        assert!(stranger.cluster.nodes().is_empty());
    }
}

/// One user with these permissions.
fn permissions(publish: &str, subscribe: &str) -> String {
    format!(
        "authorization {{ users = [ {{ user: desk, password: secret, permissions: \
         {{ publish: {publish}, subscribe: {subscribe} }} }} ] }}"
    )
}
