//! The results as tables, and compared with the goals.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use serde::Deserialize;

use crate::run::Measurement;
use crate::systems::System;
use crate::work::{Small, Work};

/// All values, in the order in which they were measured.
#[derive(Default)]
pub struct Results {
    values: Vec<(Work, System, Measurement)>,
    /// Messages a second that one thread decodes, which is the limit of W1 with serde_json.
    decoding: Vec<f64>,
}

/// The median of some values, and their range.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, least, most })
    }
}

impl Results {
    pub fn add(&mut self, work: Work, system: System, measurement: Measurement) {
        self.values.push((work, system, measurement));
    }

    /// Measures decoding alone, once for each turn of W1.
    pub fn decoding(&mut self, work: Work, scale: f64) {
        #[derive(Deserialize)]
        struct Envelope {
            message: Small,
        }
        if work != Work::W1 {
            return;
        }
        let message = serde_json::to_string(&Small::new(12_345)).expect("this message has a JSON form");
        let line = format!("{{\"topic\":\"bench\",\"message\":{message}}}");
        let (count, start) = (work.count(scale), Instant::now());
        for _ in 0..count {
            let envelope: Envelope = serde_json::from_str(black_box(&line)).expect("it was written just now");
            black_box(envelope.message);
        }
        self.decoding.push(count as f64 / start.elapsed().as_secs_f64());
    }

    /// One value of each run.
    fn of(
        &self,
        work: Work,
        system: System,
        measurement: impl Fn(&Measurement) -> Option<f64>,
    ) -> Option<Spread> {
        let of_these = self.values.iter().filter(|of| (of.0, of.1) == (work, system));
        Spread::of(of_these.filter_map(|of| measurement(&of.2)).collect())
    }

    pub fn values(&self, work: Work, system: System) -> Option<Spread> {
        self.of(work, system, |measurement| Some(measurement.value))
    }

    /// The systems that did a work, in the order in which they were measured.
    pub fn systems(&self, work: Work) -> Vec<System> {
        let mut systems = Vec::new();
        for (_, system, _) in self.values.iter().filter(|of| of.0 == work) {
            if !systems.contains(system) {
                systems.push(*system);
            }
        }
        systems
    }
}

/// The machine and the versions that were measured.
pub fn machine() -> String {
    let said = |program: &str| {
        let output = Command::new(program).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, Into::into);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    format!(
        "{}, {cores} cores, Linux {}, {}, Node {}, load {}",
        processor.map_or("unknown processor", |(_, name)| name),
        kernel.trim(),
        said("rustc").unwrap_or("rustc is not here".to_owned()),
        said("node").unwrap_or("is not here".to_owned()),
        load.split(' ').next().unwrap_or("unknown"),
    )
}

pub fn tables(results: &Results, works: &[Work]) -> String {
    let mut text = String::new();
    for &work in works {
        let systems = results.systems(work);
        let ours = systems.first().and_then(|system| results.values(work, *system));
        let _ = writeln!(text, "{work}: {}\n", work.describe());
        let _ =
            writeln!(text, "| {} | median | least | most | ratio |\n|---|---:|---:|---:|---:|", work.unit());
        for system in systems {
            let Some(spread) = results.values(work, system) else { continue };
            let ratio = ours.map_or(f64::NAN, |ours| spread.median / ours.median);
            let _ = write!(text, "| {} ", system.name());
            for value in [spread.median, spread.least, spread.most] {
                let _ = write!(text, "| {} ", number(value));
            }
            let _ = writeln!(text, "| {ratio:.2} |");
        }
        let trips = |system| Some((system, results.of(work, system, |measurement| measurement.median)?));
        let trips: BTreeMap<_, _> =
            results.systems(work).into_iter().filter_map(trips).map(|(s, t)| (s.name(), t.median)).collect();
        if !trips.is_empty() {
            let trips: Vec<_> =
                trips.iter().map(|(name, trip)| format!("{name} {:.1} µs", trip * 1e6)).collect();
            let _ = writeln!(text, "\nHalf of all round trips are faster than: {}.", trips.join("; "));
        }
        let _ = writeln!(text);
    }
    text
}

pub fn number(value: f64) -> String {
    match value {
        1e6.. => format!("{:.2} M", value / 1e6),
        1e4.. => format!("{:.1} k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

/// The goals: a work, the system it is compared with, the least ratio, and the desired ratio.
const GOALS: &[(Work, System, f64, f64)] = &[
    (Work::W1, System::NodeSocketIpc, 10.0, 12.0),
    (Work::W1, System::RawSerdeJson, 1.1, 1.3),
    (Work::W1, System::Zeromq, 1.6, 2.0),
    (Work::W1, System::Zlink, 6.0, 8.0),
    (Work::W1, System::ByHand, 0.95, 1.0),
    (Work::W2, System::ByHand, 0.95, 1.0),
    (Work::W2, System::BareEcho, 0.85, 0.92),
    (Work::W2, System::NodeSocketIpc, 2.3, 2.5),
    (Work::W2, System::Zlink, 1.5, 1.9),
    (Work::W3, System::NodeSocketIpc, 12.0, 15.0),
    (Work::W3, System::Zeromq, 2.0, 2.5),
    (Work::W4, System::RawSerdeJson, 1.0, 1.1),
    (Work::W4, System::Zlink, 1.0, 1.0),
    (Work::W4m, System::RawSerdeJson, 1.0, 1.1),
    (Work::W4m, System::Zeromq, 1.3, 1.3),
    (Work::W5, System::NodeSocketIpc, 10.0, 12.0),
    (Work::W5, System::ByHand, 0.95, 1.0),
];

pub fn goals(results: &Results) -> String {
    let ours = [System::SocketIpc, System::SocketIpcMultiThread];
    let mut text =
        "| goal | at least | aim | current thread | multi thread |\n|---|---:|---:|---:|---:|\n".to_owned();
    let mut row =
        |goal: String, least: String, aim: String, measured: [Option<f64>; 2], format: fn(f64) -> String| {
            let measured = measured.map(|value| value.map_or("not measured".to_owned(), format));
            let _ = writeln!(text, "| {goal} | {least} | {aim} | {} | {} |", measured[0], measured[1]);
        };
    let ratio = |value: f64| format!("{value:.2}");
    for (work, against, least, aim) in GOALS {
        let measured = ours.map(|system| {
            let against = against.on_runtime_of(system);
            Some(results.values(*work, system)?.median / results.values(*work, against)?.median)
        });
        let name = against.name().trim_end_matches(", current thread");
        row(format!("{work}, of {name}"), least.to_string(), aim.to_string(), measured, ratio);
    }
    let decoding = Spread::of(results.decoding.clone());
    let of_decoding = ours.map(|system| Some(results.values(Work::W1, system)?.median / decoding?.median));
    row("W1, of decoding alone".to_owned(), "0.6".to_owned(), "0.7".to_owned(), of_decoding, ratio);
    for (work, least) in [(Work::W3g, "0.95"), (Work::W3h, "0.9"), (Work::W3b, "")] {
        let of_all = ours.map(|system| {
            Some(results.values(work, system)?.median / results.values(Work::W3, system)?.median)
        });
        row(format!("{work}, of W3"), least.to_owned(), String::new(), of_all, ratio);
    }
    let peak = ours.map(|system| {
        Some(results.of(Work::W3, system, |measurement| Some(measurement.peak as f64))?.median)
    });
    let mebibytes = |value: f64| format!("{:.1} MiB", value / 1024.0 / 1024.0);
    row("W3, memory of the server".to_owned(), "20 MiB".to_owned(), String::new(), peak, mebibytes);
    let idle = ours.map(|system| Some(results.values(Work::Idle, system)?.median));
    let bytes = |value: f64| format!("{:.1} KiB", value / 1024.0);
    row("idle connection".to_owned(), "3 KiB".to_owned(), "2 KiB".to_owned(), idle, bytes);
    text
}
