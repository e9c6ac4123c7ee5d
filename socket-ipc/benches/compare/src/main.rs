//! Compares socket-ipc with the alternatives: see `README.md`.

#[cfg(feature = "cluster")]
mod cluster;
mod curves;
mod latency;
mod picture;
mod report;
mod requests;
mod run;
mod streams;
mod systems;
mod work;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use curves::Curve;
use latency::{Meanwhile, Part};
use report::Results;
use systems::{Endpoint, System};
use work::Work;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Compares socket-ipc with the alternatives, side by side on this machine")]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// How often each work is done on each system, in turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The works to measure [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    works: Vec<Work>,
    /// The systems to compare [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    systems: Vec<System>,
    /// The number of messages, as a share of the full number.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Draws the ratios into this file.
    #[arg(long)]
    svg: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Task {
    /// Plays one endpoint, as a process of its own.
    #[command(hide = true)]
    Play { system: System, endpoint: Endpoint, work: Work, count: u64, path: PathBuf },
    /// Plays one part of a measurement of latency, as a process of its own.
    #[command(hide = true)]
    Part { system: System, part: Part, meanwhile: Meanwhile, count: u64, path: PathBuf },
    /// Plays one part of a measurement of requests, as a process of its own.
    #[command(hide = true)]
    Request { system: System, part: requests::Part, way: requests::Way, count: u64, path: PathBuf },
    /// Plays one part of a measurement of streams, as a process of its own.
    #[command(hide = true)]
    Stream { system: System, part: requests::Part, way: streams::Way, count: u64, path: PathBuf },
    /// Plays one endpoint of a step of a curve, as a process of its own.
    #[command(hide = true)]
    Step { endpoint: Endpoint, curve: Curve, step: u64, path: PathBuf },
    /// Plays one part of a comparison of clusters, as a process of its own.
    #[cfg(feature = "cluster")]
    #[command(hide = true)]
    Node {
        system: System,
        part: cluster::Part,
        over: cluster::Over,
        load: cluster::Load,
        count: u64,
        url: String,
        path: PathBuf,
    },
    /// Plays one idle node, as a process of its own.
    #[cfg(feature = "cluster")]
    #[command(hide = true)]
    Idle { number: u64, nodes: u64, groups: u64, url: String, path: PathBuf },
    /// How the cost grows with topics, clients, and the length of messages.
    Curves {
        /// How often each step is measured.
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// Draws the curves into this file.
        #[arg(long)]
        svg: Option<PathBuf>,
    },
    /// How long one client's round trips take while others are busy.
    Latency {
        /// How many round trips.
        #[arg(long, default_value_t = 100_000)]
        count: u64,
    },
    /// The cost of a request, compared with the same echo written by hand.
    Requests {
        /// How many round trips.
        #[arg(long, default_value_t = 30_000)]
        count: u64,
        /// How often each is measured.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// The rate of a stream's items, compared with plain messages.
    Streams {
        /// How many items.
        #[arg(long, default_value_t = 500_000)]
        count: u64,
        /// How often each is measured.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Servers joined over NATS, compared with plain async-nats and with one server.
    #[cfg(feature = "cluster")]
    Cluster(cluster::Amount),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    raise_file_limit();
    match arguments.task {
        None => {}
        Some(Task::Play { system, endpoint, work, count, path }) => {
            return system.play(endpoint, work, count, &path).map_err(|error| error as _);
        }
        Some(Task::Part { system, part, meanwhile, count, path }) => {
            let playing = latency::play(part, meanwhile, count, &path);
            return systems::block_on(system == System::SocketIpcMultiThread, playing)
                .map_err(|error| error as _);
        }
        Some(Task::Request { system, part, way, count, path }) => {
            let playing = requests::play(part, way, count, &path);
            return systems::block_on(system == System::SocketIpcMultiThread, playing)
                .map_err(|error| error as _);
        }
        Some(Task::Stream { system, part, way, count, path }) => {
            let playing = streams::play(part, way, count, &path);
            return systems::block_on(system == System::SocketIpcMultiThread, playing)
                .map_err(|error| error as _);
        }
        Some(Task::Step { endpoint, curve, step, path }) => {
            return systems::block_on(false, curves::play(endpoint, curve, step, &path))
                .map_err(|error| error as _);
        }
        #[cfg(feature = "cluster")]
        Some(Task::Node { system, part, over, load, count, url, path }) => {
            let playing = cluster::play(part, over, load, count, &url, &path);
            return systems::block_on(system == System::SocketIpcMultiThread, playing)
                .map_err(|error| error as _);
        }
        #[cfg(feature = "cluster")]
        Some(Task::Idle { number, nodes, groups, url, path }) => {
            return systems::block_on(false, cluster::stay(number, nodes, groups, &url, &path))
                .map_err(|error| error as _);
        }
        Some(Task::Curves { runs, svg }) => {
            println!("{}\n", report::machine());
            return curves::compare(runs, svg.as_deref());
        }
        Some(Task::Latency { count }) => {
            println!("{}\n", report::machine());
            return latency::compare(count);
        }
        Some(Task::Requests { count, runs }) => {
            println!("{}\n", report::machine());
            return requests::compare(count, runs);
        }
        Some(Task::Streams { count, runs }) => {
            println!("{}\n", report::machine());
            return streams::compare(count, runs);
        }
        #[cfg(feature = "cluster")]
        Some(Task::Cluster(amount)) => {
            println!("{}\n", report::machine());
            return cluster::compare(&amount);
        }
    }
    let or_all = |some: Vec<_>| if some.is_empty() { System::value_variants().to_vec() } else { some };
    let systems = or_all(arguments.systems);
    let works = if arguments.works.is_empty() { Work::value_variants().to_vec() } else { arguments.works };

    let peers = if systems.iter().any(|system| system.script().is_some()) {
        run::install_peers()
    } else {
        Err("they were not requested".to_owned())
    };
    let (systems, skipped): (Vec<_>, Vec<_>) = systems
        .into_iter()
        .partition(|system| system.missing().is_none() && (system.script().is_none() || peers.is_ok()));

    println!("{}\n", report::machine());
    for system in skipped {
        let why = system.missing().map_or_else(|| format!("{:?}", peers.as_ref().err()), str::to_owned);
        println!("skipped: {}: {why}", system.name());
    }
    let mut results = Results::default();
    let mut failed = Vec::new();
    // In turns, so that a slow minute of the machine affects every system.
    for turn in 1..=arguments.runs {
        for &work in &works {
            results.decoding(work, arguments.scale);
            for &system in systems.iter().filter(|system| system.does(work)) {
                eprintln!("{turn} of {}: {work}, {}", arguments.runs, system.name());
                match run::run(system, work, arguments.scale, peers.as_deref().ok()) {
                    Ok(measurement) => results.add(work, system, measurement),
                    Err(error) => failed.push(format!("{work}, {}: {error}", system.name())),
                }
            }
        }
    }
    print!("{}", report::tables(&results, &works));
    print!("{}", report::goals(&results));
    if let Some(path) = arguments.svg {
        picture::draw(&results, &works, &path)?;
    }
    // A failed run is an error, but the other results are still printed.
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

/// Raises the limit of open files to the most that this process may have.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // If that fails, the work with many clients reports it.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
