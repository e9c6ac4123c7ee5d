//! Input that is too long, too slow, or incomplete.

mod attack;

use std::time::Duration;

use attack::{Attack, Event, Limits, received};
use serde::Deserialize;
use socket_ipc::{CloseCause, MessageErrorKind, Topic};
use tokio::io::AsyncWriteExt;

#[derive(Topic, Deserialize, Debug)]
#[topic = "number"]
#[allow(dead_code, reason = "shown by `Debug`")]
struct Number(u64);

support::both_flavours! {
    async fn max_message_len_longer_line_returns_error() {
        const LIMIT: usize = 200_000;
        for mut attack in Attack::both(Limits { message: Some(LIMIT), ..Limits::default() }).await {
            attack.listen_for_all();
            let line = |len: usize| format!("{{\"topic\":\"t\",\"message\":\"{}\"}}", "x".repeat(len - 26));
            for len in [LIMIT - 1, LIMIT] {
                assert_eq!(line(len).len(), len);
                attack.peer.write(line(len) + "\n").await;
                assert!(matches!(attack.events.next().await, Event::Received(topic, _) if topic == "t"));
            }
            for len in [LIMIT + 1, LIMIT + 2, 2 * LIMIT, 10 * LIMIT] {
                assert_eq!(attack.rejected(line(len)).await, MessageErrorKind::TooLong { limit: LIMIT });
            }
            let topic = |len: usize| format!("{{\"topic\":\"{}\",\"message\":1}}", "t".repeat(len));
            attack.receives(topic(256), &"t".repeat(256), "1").await;
            let too_long = MessageErrorKind::TopicTooLong { size: 257, limit: 256 };
            assert_eq!(attack.rejected(topic(257)).await, too_long);
        }
    }

    async fn incomplete_timeout_dripping_line_disconnects_only_its_peer() {
        let incomplete = Duration::from_millis(100);
        for mut attack in Attack::both(Limits { incomplete: Some(incomplete), ..Limits::default() }).await {
            attack.lives().await;
            let mut drops = b"{\"topic\":\"good\",".iter().cycle();
            let mut written = 0;
            // Ten times as often as the timeout: each byte is progress, and none extends the time.
            let mut drip = tokio::time::interval(incomplete / 10);
            let event = loop {
                tokio::select! {
                    next = attack.events.next() => break next,
                    _ = drip.tick() => {
                        if attack.peer.stream.write_all(&[*drops.next().unwrap()]).await.is_ok() {
                            written += 1;
                        }
                    }
                }
            };
            let Event::Error(kind, raw, len) = event else { panic!("{event:?}") };
            assert_eq!(kind, MessageErrorKind::Incomplete { timeout: incomplete });
            assert!(raw.starts_with(b"{") && raw.len() as u64 == len && len <= written, "{len} of {written}");
            let reason = format!("1: {:?}", CloseCause::Incomplete);
            assert_eq!(attack.events.next().await, Event::Ended(reason, len));
            attack.peer.closed().await;
            if let Some(bystander) = &mut attack.bystander {
                bystander.write("{\"topic\":\"good\",\"message\":1}\n").await;
                assert_eq!(attack.events.next().await, received("good", "1"));
            }
        }
    }

    async fn stream_end_unfinished_message_is_not_dispatched() {
        for mut attack in Attack::both(Limits::default()).await {
            let line = "{\"topic\":\"good\",\"message\":1}";
            attack.peer.write(line).await;
            attack.peer.stream.shutdown().await.unwrap();
            let reason = format!("1: {:?}", CloseCause::PeerClosed);
            assert_eq!(attack.events.next().await, Event::Ended(reason, line.len() as u64));
        }
    }

    async fn message_error_of_long_message_has_short_text() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.listen_for::<Number>();
            let long = "ü".repeat(1_000_000);
            let reason = attack.decode_error(format!("{{\"topic\":\"number\",\"message\":\"{long}\"}}")).await;
            assert!(reason.starts_with("invalid type: string \"üü") && reason.ends_with("üü\", expected u64"));
            assert!(reason.len() < 1024, "{} bytes", reason.len());
            let MessageErrorKind::Envelope(error) = attack.rejected(format!("\"{long}\"")).await else { panic!() };
            assert!(error.to_string().len() < 1024);
        }
    }
}
