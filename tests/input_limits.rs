//! What arrives too long, too slowly, or not to its end.

mod attack;

use std::time::Duration;

use attack::{Attack, Event, Limits, heard};
use serde::Deserialize;
use socket_ipc::{CloseCause, MessageErrorKind, Topic};
use tokio::io::AsyncWriteExt;

#[derive(Topic, Deserialize, Debug)]
#[topic = "number"]
#[allow(dead_code, reason = "shown by `Debug`")]
struct Number(u64);

support::both_flavours! {
    async fn the_longest_line_is_heard_and_a_longer_one_is_not() {
        const LIMIT: usize = 200_000;
        for mut attack in Attack::both(Limits { message: Some(LIMIT), ..Limits::default() }).await {
            attack.hear_all();
            let line = |len: usize| format!("{{\"topic\":\"t\",\"message\":\"{}\"}}", "x".repeat(len - 26));
            for len in [LIMIT - 1, LIMIT] {
                assert_eq!(line(len).len(), len);
                attack.peer.write(line(len) + "\n").await;
                assert!(matches!(attack.events.next().await, Event::Heard(topic, _) if topic == "t"));
            }
            for len in [LIMIT + 1, LIMIT + 2, 2 * LIMIT, 10 * LIMIT] {
                assert_eq!(attack.refused(line(len)).await, MessageErrorKind::TooLong { limit: LIMIT });
            }
            let topic = |len: usize| format!("{{\"topic\":\"{}\",\"message\":1}}", "t".repeat(len));
            attack.hears(topic(256), &"t".repeat(256), "1").await;
            let too_long = MessageErrorKind::TopicTooLong { size: 257, limit: 256 };
            assert_eq!(attack.refused(topic(257)).await, too_long);
        }
    }

    async fn a_line_that_drips_is_cut_off_and_nobody_else_is() {
        let incomplete = Duration::from_millis(100);
        for mut attack in Attack::both(Limits { incomplete: Some(incomplete), ..Limits::default() }).await {
            attack.lives().await;
            let mut drops = b"{\"topic\":\"good\",".iter().cycle();
            let mut written = 0;
            // Far more often than the timeout: each byte is progress, and none buys more time.
            let mut drip = tokio::time::interval(incomplete / 10);
            let refused = loop {
                tokio::select! {
                    event = attack.events.next() => break event,
                    _ = drip.tick() => {
                        if attack.peer.stream.write_all(&[*drops.next().unwrap()]).await.is_ok() {
                            written += 1;
                        }
                    }
                }
            };
            let Event::Refused(kind, raw, len) = refused else { panic!("{refused:?}") };
            assert_eq!(kind, MessageErrorKind::Incomplete { timeout: incomplete });
            assert!(raw.starts_with(b"{") && raw.len() as u64 == len && len <= written, "{len} of {written}");
            let reason = format!("1: {:?}", CloseCause::Incomplete);
            assert_eq!(attack.events.next().await, Event::Ended(reason, len));
            attack.peer.closed().await;
            if let Some(bystander) = &mut attack.bystander {
                bystander.write("{\"topic\":\"good\",\"message\":1}\n").await;
                assert_eq!(attack.events.next().await, heard("good", "1"));
            }
        }
    }

    async fn the_end_of_the_stream_delivers_no_unfinished_message() {
        for mut attack in Attack::both(Limits::default()).await {
            let line = "{\"topic\":\"good\",\"message\":1}";
            attack.peer.write(line).await;
            attack.peer.stream.shutdown().await.unwrap();
            let reason = format!("1: {:?}", CloseCause::PeerClosed);
            assert_eq!(attack.events.next().await, Event::Ended(reason, line.len() as u64));
        }
    }

    async fn what_is_wrong_with_a_long_message_is_said_in_short() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.hear::<Number>();
            let long = "ü".repeat(1_000_000);
            let reason = attack.undecodable(format!("{{\"topic\":\"number\",\"message\":\"{long}\"}}")).await;
            assert!(reason.starts_with("invalid type: string \"üü") && reason.ends_with("üü\", expected u64"));
            assert!(reason.len() < 1024, "{} bytes", reason.len());
            let MessageErrorKind::Envelope(error) = attack.refused(format!("\"{long}\"")).await else { panic!() };
            assert!(error.to_string().len() < 1024);
        }
    }
}
