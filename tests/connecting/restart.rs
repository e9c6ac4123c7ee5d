//! Much data through servers that go away and come back: nothing arrives twice or out of order, and losses are
//! reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;
use socket_ipc::{Client, CloseReason, SendError, Server, Topic};
use support::{Events, Place, soon, within};

/// A listener that reports each connection.
fn ups_reporter(ups: &Events<()>) -> impl Fn() + Send + Sync + 'static {
    let report = ups.reporter();
    move || report(())
}

/// Sends once there is room below the high-water mark.
async fn paced(client: &Client, message: &RawValue) -> Result<(), SendError> {
    #[derive(serde::Serialize)]
    struct Numbered<'m>(&'m RawValue);

    impl Topic for Numbered<'_> {
        const NAME: &'static str = "numbered";
        type Message<'m> = Numbered<'m>;
    }

    client.send_async(&Numbered(message)).await
}

support::both_flavours! {
    async fn server_restarts_nothing_doubled_or_reordered_and_losses_reported() {
        // 48 MiB in messages of 48 KiB, through two servers that are dropped and one that is closed.
        const MESSAGES: u64 = 1024;
        let place = Place::new();
        let (received, mut milestones) = (Arc::new(std::sync::Mutex::new(Vec::new())), Events::new());
        let reporter = milestones.reporter();
        let start = async || {
            let server = Server::new(place.socket());
            let (received, report) = (Arc::clone(&received), reporter.clone());
            server.on_topic("numbered", move |message, _id| {
                let number = message.as_str()[1..].split(' ').next().unwrap().parse::<u64>().unwrap();
                received.lock().unwrap().push(number);
                if number % (MESSAGES / 4) >= MESSAGES / 8 || number == MESSAGES - 1 {
                    report(number);
                }
            });
            server.listen().await.unwrap();
            server
        };
        let mut server = start().await;
        let pause = Duration::from_millis(20);
        let client = Arc::new(Client::builder(place.socket()).retry_delay(pause).reconnect_delay(pause).build());
        let (unsent, mut ups) = (Arc::new(AtomicU64::new(0)), Events::new());
        let counted = Arc::clone(&unsent);
        client.on_disconnect(move |reason: &CloseReason| {
            counted.fetch_add(reason.unsent_messages, Ordering::Relaxed);
        });
        client.on_connect(ups_reporter(&ups));
        soon("the connection", client.connect()).await.unwrap();
        let sender = Arc::clone(&client);
        let sending = tokio::spawn(async move {
            let mut not_connected = 0;
            ups.next().await;
            for number in 0..MESSAGES {
                let text = format!("\"{number} {}\"", "x".repeat(48 * 1024));
                let message = RawValue::from_string(text).unwrap();
                // A message is queued once, so it is received at most once.
                while let Err(error) = paced(&sender, &message).await {
                    assert!(matches!(error, SendError::NotConnected { .. }), "{error:?}");
                    not_connected += 1;
                    ups.next().await;
                }
            }
            sender.flush().await.unwrap();
            not_connected
        });
        for round in 1..4 {
            // Somewhere in the middle of the stream.
            while milestones.next().await < round * MESSAGES / 4 - MESSAGES / 8 {}
            if round == 2 {
                soon("the close", server.close()).await;
            } else {
                drop(server);
            }
            server = start().await;
        }
        let not_connected = within("all messages", Duration::from_secs(60), sending).await.unwrap();
        assert!(not_connected > 0 || unsent.load(Ordering::Relaxed) > 0, "no restart was noticed");
        while milestones.next().await != MESSAGES - 1 {}
        soon("the close", client.close()).await;
        soon("the close", server.close()).await;
        let received = received.lock().unwrap();
        assert!(received.windows(2).all(|pair| pair[0] < pair[1]), "doubled or reordered");
        let missing = MESSAGES - received.len() as u64;
        let unsent = unsent.load(Ordering::Relaxed);
        // What the kernel had, or the server had read ahead, when a server went away: a socket holds some 200 KiB, a
        // server reads ahead no more than that, and one message may be incomplete at either end.
        let in_flight = 3 * (512 / 48 + 2);
        assert!(missing >= unsent, "{unsent} were reported as not sent, {missing} are missing");
        assert!(missing <= unsent + in_flight, "{missing} are missing, {unsent} were reported");
    }
}
