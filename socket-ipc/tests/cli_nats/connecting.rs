//! How the command connects to a NATS server, and which permissions it needs.

use super::*;

#[test]
fn nats_missing_error_says_why_and_retry_waits_for_it() {
    let Some(mut nats) = Nats::start("") else { return };
    nats.kill();
    let url = nats.url();
    for arguments in [&["nodes", "jobs"][..], &["request", "jobs", "divide"], &["send", "jobs", "note"]] {
        let mut command = command(arguments);
        let text = Running::of(command.args(["--nats", &url])).end().failed(3);
        let expected = format!("no connection to the domain `jobs` at {url}: ");
        assert!(text.starts_with(&expected) && text.contains("refused"), "{text}");
    }
    let waiting = Running::start(["listen", "--nats", &url, "jobs"]);
    let retrying = Running::start(["request", "--nats", &url, "jobs", "nobody", "null", "--retry"]);
    for running in [&waiting, &retrying] {
        let text = running.error();
        assert!(text.contains("no connection to the domain") && text.ends_with("; trying again"), "{text}");
    }
    nats.restart();
    assert_eq!(waiting.error(), "socket-ipc: connected to the domain jobs");
    assert_eq!(retrying.error(), "socket-ipc: no node of the domain `jobs` offers `nobody`");
    assert_eq!(retrying.end().status, Some(4));
}

#[test]
fn credentials_come_from_options_and_environment_never_from_the_url() {
    let Some(nats) = Nats::start("authorization { user: desk, password: secret }") else { return };
    let options = ClusterOptions::new(nats.url(), "jobs").user_and_password("desk", "secret");
    let _node = Node::with(&nats, options, "host-a");
    let wrong = |variables: &[(&str, &str)], status, expected: &str| {
        let text = over(&nats, variables, ["nodes", "jobs"]).failed(status);
        assert!(text.contains(expected) && !text.contains("secret"), "{text}");
    };
    wrong(&[], 3, "the NATS server refuses these credentials (authorization violation)");
    wrong(&[("NATS_USER", "desk"), ("NATS_PASSWORD", "wrong")], 3, "authorization violation");
    // One that waits for a NATS server does not wait for this one to let it in.
    let text = over(&nats, &[], ["listen", "jobs"]).failed(3);
    assert!(text.contains("authorization violation"), "{text}");
    wrong(&[("NATS_USER", "desk")], 2, "NATS_USER needs the password in the environment, as NATS_PASSWORD");
    wrong(&[("NATS_USER", "desk"), ("NATS_TOKEN", "secret")], 2, "NATS_USER and NATS_TOKEN are both set");
    wrong(
        &[("NATS_CREDS", "/nowhere/my.creds")],
        1,
        "the credentials in /nowhere/my.creds: it does not exist",
    );
    wrong(&[("NATS_NKEY", "/nowhere/my.nkey")], 1, "cannot read the seed of an NKey in /nowhere/my.nkey: ");
    wrong(&[("NATS_CERT", "/nowhere")], 2, "NATS_CERT is set without NATS_KEY");
    wrong(
        &[("NATS_CA", "/nowhere/ca.pem")],
        1,
        "the root certificates in /nowhere/ca.pem: it does not exist",
    );
    let in_url = nats.url().replace("nats://", "nats://desk:secret@");
    for arguments in
        [&["nodes", "jobs"][..], &["listen", "jobs"], &["send", "jobs", "t"], &["request", "jobs", "t"]]
    {
        let text = Running::of(command(arguments).args(["--nats", &in_url])).end().failed(2);
        assert!(text.contains("NATS_USER and NATS_PASSWORD") && text.contains("--creds"), "{text}");
        assert!(!text.contains("secret") && text.contains("127.0.0.1"), "{text}");
    }
    let right = [("NATS_USER", "desk"), ("NATS_PASSWORD", "secret")];
    over(&nats, &right, ["nodes", "jobs", "--timeout", "2.5"]).well();
    // An option goes before the environment.
    let both = [("NATS_TOKEN", "wrong"), ("NATS_PASSWORD", "secret")];
    over(&nats, &both, ["nodes", "jobs", "--user", "desk", "--timeout", "2.5"]).well();
    for (arguments, expected) in [
        (&["nodes", "jobs", "--user", "a", "--creds", "b"][..], "cannot be used with"),
        (&["nodes", "jobs", "--tls-cert", "a"], "missing --tls-key <FILE>"),
        (&["listen", "jobs", "--wire", "node-0.4"], "--wire is for sockets"),
    ] {
        let text = Running::of(command(arguments).args(["--nats", &nats.url()])).end().failed(2);
        assert!(text.contains(expected), "{text}");
    }
    let text = run(["listen", "a.sock", "--user", "a"]).failed(2);
    assert!(text.contains("--nats <URL>"), "{text}");
}

#[test]
fn credentials_refused_later_are_said_while_it_tries_again() {
    let user = |password: &str| format!("authorization {{ user: desk, password: {password} }}");
    let Some(mut nats) = Nats::start(&user("before")) else { return };
    for (arguments, of) in [(&["listen"][..], "domain jobs"), (&["nodes", "--watch"], "NATS server")] {
        let mut watching = command(arguments);
        let watching = watching.args(["--nats", &nats.url(), "jobs"]);
        let watching = Running::of(watching.envs([("NATS_USER", "desk"), ("NATS_PASSWORD", "before")]));
        assert_eq!(watching.error(), "socket-ipc: connected to the domain jobs");
        let then = |expected: &str| {
            assert!(std::iter::repeat_with(|| watching.error()).any(|line| line.starts_with(expected)));
        };
        nats.kill();
        nats.restart_with(&user("after"));
        then(&format!("socket-ipc: no connection to the {of}: the NATS server refuses these credentials"));
        nats.kill();
        nats.restart_with(&user("before"));
        then("socket-ipc: connected to the domain jobs again");
    }
}

#[test]
fn nkey_and_token_let_the_command_in() {
    // The pair of keys in the documentation of NATS.
    let public = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let Some(nats) = Nats::start(&format!("authorization {{ users = [ {{ nkey: {public} }} ] }}")) else {
        return;
    };
    let file = nats.place.file("seed");
    std::fs::write(&file, format!("{seed}\n")).unwrap();
    let file = file.to_str().unwrap();
    // It is let in, and nobody is there.
    over(&nats, &[], ["nodes", "jobs", "--nkey", file]).failed(5);
    over(&nats, &[("NATS_NKEY", file)], ["nodes", "jobs"]).failed(5);
    let nats = Nats::start("authorization { token: secret }").unwrap();
    over(&nats, &[("NATS_TOKEN", "secret")], ["nodes", "jobs"]).failed(5);
    over(&nats, &[("NATS_TOKEN", "wrong")], ["nodes", "jobs"]).failed(3);
}

#[test]
fn tls_options_name_the_root_and_the_client_certificate() {
    let place = Place::new();
    let file = |name: &str| place.file(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).output();
        output.map(|output| assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)))
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let (root, root_key, own, own_key, request) =
        (file("root.pem"), file("root.key"), file("own.pem"), file("own.key"), file("own.csr"));
    let made = openssl(
        &[&["req", "-x509", "-subj", "/CN=root", "-keyout", &root_key, "-out", &root][..], &key].concat(),
    );
    if made.is_err() {
        return skip("the command over TLS", "openssl is not here");
    }
    openssl(&[&["req", "-subj", "/CN=own", "-keyout", &own_key, "-out", &request][..], &key[..5]].concat())
        .unwrap();
    std::fs::write(file("own.ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let extension = file("own.ext");
    let sign =
        ["x509", "-req", "-in", &request, "-CA", &root, "-CAkey", &root_key, "-CAcreateserial", "-days", "2"];
    openssl(&[&sign[..], &["-extfile", &extension, "-out", &own]].concat()).unwrap();
    let config =
        format!("tls {{ cert_file: \"{own}\", key_file: \"{own_key}\", ca_file: \"{root}\", verify: true }}");
    let Some(nats) = Nats::start(&config) else { return };
    let certificate = ["--tls-cert", &own, "--tls-key", &own_key];
    let with = |more: &[&str]| {
        let mut command = command(["nodes", "jobs", "--nats", &nats.url().replace("nats", "tls")]);
        Running::of(command.args(more)).end()
    };
    let text = with(&certificate).failed(3);
    assert!(text.contains("was issued by none of the roots of this system"), "{text}");
    let text = with(&["--tls-ca", &root]).failed(3);
    assert!(text.contains("demands a client certificate, and none was given"), "{text}");
    // It is let in, and nobody is there.
    with(&[&certificate[..], &["--tls-ca", &root]].concat()).failed(5);
    let variables = [("NATS_CA", &*root), ("NATS_CERT", &own), ("NATS_KEY", &own_key)];
    over(&nats, &variables, ["nodes", "jobs"]).failed(5);
}

#[test]
fn permissions_of_the_chapter_are_enough_and_a_missing_one_is_named() {
    let chapter = include_str!("../../src/guide/command.md");
    let (_, users) = chapter.split_once("```text\nauthorization { users = [\n").unwrap();
    let users = users.split_once("] }\n```").unwrap().0;
    let node = "{ user: node, password: secret }";
    let Some(nats) = Nats::start(&format!("authorization {{ users = [ {users}\n{node} ] }}")) else { return };
    let options = ClusterOptions::new(nats.url(), "jobs").user_and_password("node", "secret").name("host-a");
    let node = Node::with(&nats, options, "host-a");
    let reports = node.responds();
    node.server.on::<News>(|_, _| {});
    let _runtime = node.runtime.enter();
    node.cluster.offer::<News>().unwrap();
    let as_user = [("NATS_USER", "command"), ("NATS_PASSWORD", "…")];
    let divide = || over(&nats, &as_user, ["request", "jobs", "divide", "[42,6]"]);
    until(divide, |end| end.status == Some(0));
    until(|| over(&nats, &as_user, ["send", "jobs", "news", "1"]), |end| end.status == Some(0));
    over(&nats, &as_user, ["nodes", "jobs", "--timeout", "2.5"]).well();
    over(&nats, &as_user, ["request", "jobs", "wait", "--timeout", "0.5"]).failed(5);
    for expected in ["began", "dropped"] {
        assert_eq!(reports.recv_timeout(TOLD).unwrap(), expected);
    }
    let mut listening = command(["listen", "jobs", "--nats", &nats.url()]);
    let listening = Running::of(listening.envs(as_user));
    assert_eq!(listening.error(), "socket-ipc: connected to the domain jobs");
    let received = || {
        node.cluster.broadcast(&News(5)).unwrap();
        listening.line_within(Duration::from_millis(50))
    };
    std::iter::repeat_with(received).flatten().next().unwrap();
    drop(listening);
    let mut listening = command(["listen", "jobs", "--group", "room", "--nats", &nats.url()]);
    let listening = Running::of(listening.envs(as_user));
    assert_eq!(listening.error(), "socket-ipc: connected to the domain jobs");
    let received = || {
        node.cluster.group("room").broadcast(&News(5)).unwrap();
        listening.line_within(Duration::from_millis(50))
    };
    std::iter::repeat_with(received).flatten().next().unwrap();
    drop(listening);

    let restricted = |publish: &str, subscribe: &str| {
        let config = format!(
            "authorization {{ users = [ {{ user: command, password: \"…\", permissions: {{ publish: [{publish}], subscribe: \
             [{subscribe}] }} }} ] }}"
        );
        Nats::start(&config).unwrap()
    };
    let nats = restricted("\"jobs.i.>\"", "\"jobs.i.command.>\"");
    for (arguments, subject) in [
        (&["nodes", "jobs"][..], "jobs.b.*.*"),
        (&["listen", "jobs"], "jobs.b.>"),
        (&["listen", "jobs", "--group", "room"], "jobs.g.*.*.room.>"),
        (&["request", "jobs", "divide"], "jobs.q.divide"),
        (&["send", "jobs", "news"], "jobs.q.news"),
    ] {
        let mut command = command(arguments);
        let end = Running::of(command.args(["--nats", &nats.url()]).envs(as_user)).end();
        assert_eq!(end.status, Some(4), "{}", end.errors);
        assert!(end.errors.contains("does not allow it") && end.errors.contains(subject), "{}", end.errors);
    }
}
