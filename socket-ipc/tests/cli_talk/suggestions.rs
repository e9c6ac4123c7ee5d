//! "Did you mean", where the server describes itself.

use super::command::{Place, run};
use super::*;

#[test]
fn topic_that_does_not_exist_names_the_one_that_is_meant() {
    let place = Place::new();
    let path = place.socket();
    let ours = Ours::built(
        &path,
        |builder| builder.describe(),
        |server| {
            server.respond_raw("submit", None, |message, _| Ok(message.into_owned())).unwrap();
            server.on_topic("note", |_message, _client_id| {});
        },
    );
    let received = || ours.server.stats().topics.iter().map(|topic| topic.received.messages).sum::<u64>();
    assert_eq!(
        run(["request", &path, "sumbit", "1"]).failed(4),
        "the peer has no responder for `sumbit`, did you mean `submit`?"
    );
    assert_eq!(run(["request", &path, "xyz"]).failed(4), "the peer has no responder for `xyz`");
    assert_eq!(
        run(["request", &path, "note"]).failed(4),
        "the peer has no responder for `note`; it takes it as a message: use `send`"
    );
    assert_eq!(
        run(["send", &path, "noet", "1", "--check"]).failed(4),
        "the server has no topic `noet`, did you mean `note`?"
    );
    assert_eq!(run(["send", &path, "xyz", "1", "--check"]).failed(4), "the server has no topic `xyz`");
    let before = received();
    assert_eq!(run(["send", &path, "note", "1", "--check"]).well(), "");
    // The description, and the message.
    assert_eq!(received() - before, 2);
    drop(ours);

    let _silent = Ours::listen(&path, |_| {});
    let text = run(["send", &path, "note", "1", "--check"]).failed(4);
    assert!(text.starts_with("the server does not describe itself: "), "{text}");
    // Without `--check` nothing is asked.
    assert_eq!(run(["send", &path, "noet", "1"]).well(), "");
}
