//! `bench`: how long messages take to a server and back, and how many of them a second it takes.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use socket_ipc::Client;
use tokio::sync::mpsc;

use crate::arguments_watching::Bench;
use crate::bench_report::{OneWay, Report, RoundTrips};
use crate::failure::{Failure, Status};
use crate::output::{self, Reader};
use crate::reach::{self, Loss};
use crate::running;
use crate::send::{self, Unsent};

/// How many round trips are made before those that are measured, so that both ends are warm.
const WARM_UP: u64 = 100;

/// How many messages go one way for each round trip.
const ONE_WAY: u64 = 10;

pub(crate) fn run(arguments: Bench) -> Result<(), Failure> {
    running::to_the_end(async move {
        let reached = reach::client(&arguments.server, &arguments.patience);
        let mut bench = Bencher::new(&reached.client, &arguments);
        let work = async {
            bench.client.connect().await?;
            bench.round_trips(WARM_UP.min(arguments.count)).await?;
            let round_trips = bench.round_trips(arguments.count).await?;
            let one_way = bench.one_way(arguments.count.saturating_mul(ONE_WAY)).await?;
            bench.client.close().await;
            Ok((round_trips, one_way))
        };
        let (round_trips, one_way) = reached.or_other_wire(work).await?;
        let path = arguments.server.path.display().to_string();
        let report = Report { path, size: arguments.size, round_trips, one_way };
        output::print(&Reader::find().report(&report, |colours| report.for_people(colours)))
    })
}

/// A message. Its numbers tell it from those of others, which a server may send to everybody.
#[derive(Deserialize, Serialize)]
struct Message<T> {
    run: u64,
    number: u64,
    text: T,
}

struct Bencher<'a> {
    arguments: &'a Bench,
    client: &'a Client,
    loss: Loss,
    /// The numbers of the messages that came back.
    back: mpsc::UnboundedReceiver<u64>,
    run: u64,
    /// The number of the next message.
    next: u64,
    text: String,
}

impl<'a> Bencher<'a> {
    fn new(client: &'a Client, arguments: &'a Bench) -> Self {
        // A number that each reader of JSON has room for.
        let run = fastrand::u64(..1 << 53);
        let (sender, back) = mpsc::unbounded_channel();
        client.on_topic(&arguments.topic, move |message| {
            if let Ok(message) = message.decode::<Message<serde::de::IgnoredAny>>()
                && message.run == run
            {
                let _ = sender.send(message.number);
            }
        });
        let (loss, text) = (Loss::of(client), "x".repeat(arguments.size as usize));
        Self { arguments, client, loss, back, run, next: 1, text }
    }

    /// Sends one message after the other, each when the last one is back.
    async fn round_trips(&mut self, count: u64) -> Result<RoundTrips, Failure> {
        // From a nanosecond to an hour. Three digits: a time is known to a thousandth of itself.
        let mut times = Histogram::<u64>::new_with_bounds(1, 3_600_000_000_000, 3)
            .map_err(|error| Failure::other(error.to_string()))?;
        let start = Instant::now();
        for _ in 0..count {
            let number = self.next;
            self.next += 1;
            let begin = Instant::now();
            let message = Message { run: self.run, number, text: &*self.text };
            self.client.send_raw_async(&self.arguments.topic, &message).await?;
            self.until_back(number).await?;
            times.saturating_record(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(RoundTrips::new(&times, start.elapsed()))
    }

    /// Sends messages without a wait, and then waits for the last one. What comes back is read meanwhile.
    async fn one_way(&mut self, count: u64) -> Result<OneWay, Failure> {
        let (first, last) = (self.next, self.next + count - 1);
        self.next += count;
        let Self { arguments, client, loss, back, run, text, .. } = self;
        let start = Instant::now();
        let queueing = async {
            for number in first..=last {
                let message = Message { run: *run, number, text: &**text };
                client.send_raw_async(&arguments.topic, &message).await?;
                // The last one is left to be waited for.
                while number < last && back.try_recv().is_ok() {}
            }
            Ok::<_, Unsent>(())
        };
        send::deliver(client, loss, queueing).await?;
        self.until_back(last).await?;
        let each = serde_json::json!({"run": self.run, "number": last, "text": self.text}).to_string().len();
        Ok(OneWay::new(count, each, start.elapsed()))
    }

    /// Waits until a message is back, or none has come back for too long.
    async fn until_back(&mut self, number: u64) -> Result<(), Failure> {
        let Bench { topic, timeout, .. } = self.arguments;
        loop {
            let arrived = tokio::select! {
                biased;
                arrived = self.back.recv() => arrived,
                failure = self.loss.failure() => return Err(failure),
                () = tokio::time::sleep(*timeout) => None,
            };
            match arrived {
                Some(arrived) if arrived >= number => return Ok(()),
                Some(_) => {}
                None => return Err(none_back(topic, *timeout)),
            }
        }
    }
}

fn none_back(topic: &str, timeout: Duration) -> Failure {
    let text = format!(
        "no message of `{topic}` came back within {timeout:?}: bench needs a server that sends each message back, such as `socket-ipc serve PATH --echo`"
    );
    Failure::new(Status::Deadline, text)
}
