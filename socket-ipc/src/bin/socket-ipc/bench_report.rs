//! What `bench` has measured, for programs and for people.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::paint::{self, Shown};

/// How long the longest bar is, in characters.
const BAR: u64 = 40;

/// The report. Its shape is documented in the help of `bench`.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) path: String,
    pub(crate) size: u32,
    pub(crate) round_trips: RoundTrips,
    pub(crate) one_way: OneWay,
}

/// Times are in microseconds.
#[derive(Serialize)]
pub(crate) struct RoundTrips {
    messages: u64,
    seconds: f64,
    rate: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
    histogram: Vec<Bucket>,
}

#[derive(Serialize)]
struct Bucket {
    up_to: f64,
    messages: u64,
}

impl RoundTrips {
    /// From times in nanoseconds.
    pub(crate) fn new(times: &Histogram<u64>, passed: Duration) -> Self {
        let microseconds = |nanoseconds: u64| (nanoseconds as f64 / 100.0).round() / 10.0;
        let at = |quantile| microseconds(times.value_at_quantile(quantile));
        // Each bar is for times twice as long as the one before, from a microsecond on.
        let bars = times.iter_log(1_000, 2.0).map(|step| Bucket {
            up_to: microseconds(step.value_iterated_to() + 1),
            messages: step.count_since_last_iteration(),
        });
        let bars = Vec::from_iter(bars.skip_while(|bucket| bucket.messages == 0));
        Self {
            messages: times.len(),
            seconds: passed.as_secs_f64(),
            rate: rate(times.len() as f64, passed),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: microseconds(times.max()),
            histogram: bars,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct OneWay {
    messages: u64,
    seconds: f64,
    rate: f64,
    bytes: f64,
}

impl OneWay {
    pub(crate) fn new(messages: u64, bytes_each: usize, passed: Duration) -> Self {
        let rate = rate(messages as f64, passed);
        Self { messages, seconds: passed.as_secs_f64(), rate, bytes: (rate * bytes_each as f64).round() }
    }
}

fn rate(count: f64, passed: Duration) -> f64 {
    (count / passed.as_secs_f64().max(f64::MIN_POSITIVE)).round()
}

impl Report {
    pub(crate) fn for_people(&self, colours: bool) -> Shown {
        let mut lines = Shown::new(colours);
        let Self { size, round_trips, one_way, .. } = self;
        let RoundTrips { messages, seconds, rate, p50, p90, p99, max, histogram } = round_trips;
        lines.put(format_args!(
            "round trips: {rate} a second ({messages} in {seconds:.2} s, {size} bytes each)"
        ));
        lines.end_line();
        lines.put(format_args!(
            "  p50 {}  p90 {}  p99 {}  max {}",
            time(*p50),
            time(*p90),
            time(*p99),
            time(*max)
        ));
        lines.end_line();
        let most = histogram.iter().map(|bucket| bucket.messages).max().unwrap_or(1).max(1);
        for Bucket { up_to, messages } in histogram {
            let len = (messages * BAR).div_ceil(most) as usize;
            lines.put(format_args!("  up to {:>8}  ", time(*up_to)));
            lines.put_styled("█".repeat(len), paint::TOPIC);
            lines.put(format_args!("{}{messages}", if len > 0 { " " } else { "" }));
            lines.end_line();
        }
        let OneWay { messages, seconds, rate, bytes } = one_way;
        let megabytes = bytes / 1e6;
        lines.put(format_args!(
            "one way: {rate} messages a second, {megabytes:.1} MB a second ({messages} in {seconds:.2} s)"
        ));
        lines.end_line();
        lines
    }
}

/// A time in microseconds, for people.
fn time(microseconds: f64) -> String {
    match microseconds {
        short if short < 1_000.0 => format!("{short:.1} µs"),
        long if long < 1_000_000.0 => format!("{:.1} ms", long / 1_000.0),
        longer => format!("{:.2} s", longer / 1_000_000.0),
    }
}
