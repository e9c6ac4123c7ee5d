//! Servers joined over NATS, compared with plain async-nats on the same NATS server, and with one server on one machine.

mod growth;
mod nats;
mod play;

use clap::ValueEnum;

use crate::report::{Spread, number};
use crate::run::{Failed, Players, word};
use crate::systems::System;
use crate::work::Outcome;

pub use growth::stay;
use nats::Nats;
pub use play::play;

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Over {
    /// Two programs on async-nats, and NATS between them.
    Plain,
    /// Two nodes with NATS between them, and a Unix client of one of them.
    Nodes,
    /// One server, and a Unix client of it.
    OneServer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// Small messages are broadcast to one receiver, which decodes and adds them up.
    Broadcasts,
    /// The same, to a group with one member; plain programs publish them to a subject of their own.
    Group,
    /// A small message is requested back, one at a time.
    Request,
    /// The same, 64 in flight.
    Requests,
    /// Small items of one stream, at the default window; plain programs publish them, unpaced.
    Items,
}

/// The part of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// It broadcasts, or responds.
    Far,
    /// The node of the client.
    Near,
    /// It receives, or requests, and measures.
    Client,
}

impl Over {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain async-nats",
            Self::Nodes => "nodes",
            Self::OneServer => "one server, no NATS",
        }
    }

    fn parts(self) -> &'static [Part] {
        if self == Self::Nodes { &[Part::Far, Part::Near, Part::Client] } else { &[Part::Far, Part::Client] }
    }
}

impl Load {
    fn name(self) -> &'static str {
        match self {
            Self::Broadcasts => "broadcasts/s",
            Self::Group => "messages to a group/s",
            Self::Request => "a request, µs (median)",
            Self::Requests => "requests/s, 64 in flight",
            Self::Items => "items of a stream/s",
        }
    }

    /// The goal, of the value of plain async-nats.
    fn goal(self) -> &'static str {
        match self {
            Self::Broadcasts | Self::Group => "at least 1",
            Self::Request => "at most 1.5",
            Self::Requests => "at least 0.7",
            Self::Items => "none",
        }
    }
}

/// How much is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Amount {
    /// How many broadcasts, messages to a group, and items.
    #[arg(long, default_value_t = 200_000)]
    broadcasts: u64,
    /// How many requests.
    #[arg(long, default_value_t = 10_000)]
    requests: u64,
    /// The loads to measure [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    loads: Vec<Load>,
    /// How often each is measured.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How many idle nodes, in each step of the growth.
    #[arg(long, value_delimiter = ',', default_value = "1,2,5,10,20,50")]
    nodes: Vec<u64>,
    /// In how many groups a client of each idle node is.
    #[arg(long, default_value_t = 0)]
    groups: u64,
    /// Measures the growth alone.
    #[arg(long)]
    growth: bool,
    /// For how long the idle nodes are measured, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// One value of each turn, and how many messages the NATS server received for one broadcast or request.
#[derive(Default)]
struct Values {
    values: Vec<f64>,
    messages: Vec<f64>,
}

/// Measures each load over all three on both kinds of runtime, in turns, and prints the tables.
pub fn compare(amount: &Amount) -> Result<(), Failed> {
    let nats = Nats::start()?;
    println!("{}\n", nats.version()?);
    if !amount.growth {
        compare_loads(&nats, amount)?;
    }
    growth::measure(&amount.nodes, amount.groups, amount.seconds)
}

fn compare_loads(nats: &Nats, amount: &Amount) -> Result<(), Failed> {
    println!("| runtime | | over | median | least | most | of plain | of one server | NATS messages each |");
    println!("|---|---|---|---:|---:|---:|---:|---:|---:|");
    let systems = [System::SocketIpc, System::SocketIpcMultiThread];
    let mut goals = Vec::new();
    for system in systems {
        let loads = if amount.loads.is_empty() { Load::value_variants() } else { &amount.loads[..] };
        for &load in loads {
            let mut all = [const { Values { values: Vec::new(), messages: Vec::new() } }; 3];
            for turn in 1..=amount.runs {
                for &over in Over::value_variants() {
                    eprintln!("{turn} of {}: {}, {}", amount.runs, load.name(), over.name());
                    let (value, messages) = run(nats, system, over, load, amount)?;
                    all[over as usize].values.push(value);
                    all[over as usize].messages.push(messages);
                }
            }
            let runtime = if system == System::SocketIpc { "current thread" } else { "multi thread" };
            for &over in Over::value_variants() {
                row(runtime, load, over, &all)?;
            }
            let ratio = ratios(&all[Over::Nodes as usize], &all[Over::Plain as usize])?.median;
            goals.push(format!("| {runtime} | {} | {} | {ratio:.2} |", load.name(), load.goal()));
        }
    }
    println!("\n| runtime | nodes, of plain async-nats | goal | measured |\n|---|---|---|---:|");
    println!("{}\n", goals.join("\n"));
    Ok(())
}

/// The ratios of two values, turn by turn: the machine's speed changes between turns.
fn ratios(these: &Values, those: &Values) -> Result<Spread, Failed> {
    let ratios = these.values.iter().zip(&those.values).map(|(this, that)| this / that);
    Spread::of(ratios.collect()).ok_or_else(|| "no run was requested".into())
}

fn row(runtime: &str, load: Load, over: Over, all: &[Values; 3]) -> Result<(), Failed> {
    let these = &all[over as usize];
    let Spread { median, least, most } = Spread::of(these.values.clone()).ok_or("no run was requested")?;
    let of = |other: Over| -> Result<String, Failed> {
        let Spread { median, least, most } = ratios(these, &all[other as usize])?;
        Ok(if over == other { "1".to_owned() } else { format!("{median:.2} ({least:.2}–{most:.2})") })
    };
    let messages = Spread::of(these.messages.clone()).map_or(0.0, |messages| messages.median);
    println!(
        "| {runtime} | {} | {} | {} | {} | {} | {} | {} | {messages:.3} |",
        load.name(),
        over.name(),
        number(median),
        number(least),
        number(most),
        of(Over::Plain)?,
        of(Over::OneServer)?,
    );
    Ok(())
}

/// The value of one run, and the NATS messages of one broadcast or request.
fn run(nats: &Nats, system: System, over: Over, load: Load, amount: &Amount) -> Result<(f64, f64), Failed> {
    let place = tempfile::tempdir()?;
    let count = match load {
        Load::Broadcasts | Load::Group | Load::Items => amount.broadcasts,
        Load::Request | Load::Requests => amount.requests,
    };
    let before = nats.traffic()?;
    let mut players = Players::new();
    let mut said = String::new();
    for &part in over.parts() {
        let arguments = ["node".to_owned(), word(system), word(part), word(over), word(load)];
        let arguments = [&arguments[..], &[count.to_string(), nats.url()]].concat();
        players.start_ours(&arguments, &place.path().join("compare.sock"))?;
        said = players.next()?;
    }
    let outcome: Outcome = serde_json::from_str(&said).map_err(|_| format!("no outcome, but: {said}"))?;
    let expected = count * count.saturating_sub(1) / 2;
    if outcome.sum != expected {
        return Err(format!("what was received adds up to {}, not {expected}", outcome.sum).into());
    }
    let messages = (nats.traffic()?.in_msgs - before.in_msgs) as f64 / count as f64;
    let value = match load {
        Load::Request => outcome.median.ok_or("no median")? * 1e6,
        Load::Broadcasts | Load::Group | Load::Requests | Load::Items => count as f64 / outcome.seconds,
    };
    Ok((value, messages))
}
