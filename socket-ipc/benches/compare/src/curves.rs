//! How the cost grows with the number of topics, the number of clients, and the length of messages. Both endpoints run
//! on a current-thread runtime, with the default limits except for the number of clients.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use clap::ValueEnum;
use plotters::coord::Shift;
use plotters::prelude::*;
use socket_ipc::{Client, Server};
use tokio::sync::Notify;

use crate::report::{Spread, number};
use crate::run::{Failed, Players};
use crate::systems::{Done, Endpoint};
use crate::work::{Checksum, Outcome, Small, Text, say_ready};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Curve {
    /// One client sends a million small messages of this many topics, each with a listener.
    Topics,
    /// Small messages are broadcast to this many clients, 1,280,000 deliveries in total.
    Receivers,
    /// Small messages are broadcast to a group of 64 of this many clients, which are all in groups of 64.
    Groups,
    /// This many clients send small messages, 1,000,000 in total.
    Senders,
    /// One client sends texts of this many bytes, up to 500 MB in total.
    Lengths,
}

/// How many clients each group holds.
const GROUP: u64 = 64;

impl Curve {
    fn steps(self) -> &'static [u64] {
        match self {
            Self::Topics => &[1, 10, 100, 1_000],
            Self::Receivers => &[1, 8, 64, 512, 4_096],
            Self::Groups => &[64, 512, 4_096],
            Self::Senders => &[1, 10, 100, 1_000, 10_000],
            Self::Lengths => &[16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576],
        }
    }

    /// The total number of messages that are received.
    fn messages(self, step: u64) -> u64 {
        match self {
            Self::Topics => 1_000_000,
            Self::Receivers => 1_280_000 / step * step,
            Self::Groups => 1_280_000,
            Self::Senders => 1_000_000 / step * step,
            Self::Lengths => (500_000_000 / step).clamp(300, 1_000_000),
        }
    }

    fn clients(self, step: u64) -> u64 {
        if matches!(self, Self::Receivers | Self::Groups | Self::Senders) { step } else { 1 }
    }

    /// How many clients send, or receive.
    fn active(self, step: u64) -> u64 {
        if self == Self::Groups { GROUP } else { self.clients(step) }
    }

    fn says(self) -> [&'static str; 3] {
        match self {
            Self::Topics => ["one client sends a million small messages", "topics", "ns a message"],
            Self::Receivers => ["small messages are broadcast", "clients", "ns a delivery"],
            Self::Groups => ["small messages are broadcast to a group of 64", "clients", "ns a delivery"],
            Self::Senders => ["clients send a million small messages", "clients", "ns a message"],
            Self::Lengths => ["one client sends texts", "bytes", "ns a message"],
        }
    }
}

/// The cost of one step of a curve: nanoseconds a message, and the peak memory of the server.
struct Point {
    step: u64,
    cost: Spread,
    peak: u64,
}

/// Measures all curves, prints them, and draws them if a file is given.
pub fn compare(runs: usize, picture: Option<&Path>) -> Result<(), Failed> {
    let mut curves = Vec::new();
    for &curve in Curve::value_variants() {
        let [title, steps, cost] = curve.says();
        println!(
            "{title}\n\n| {steps} | {cost} | least | most | memory of the server |\n|---:|---:|---:|---:|---:|"
        );
        let mut points = Vec::new();
        for &step in curve.steps() {
            let point =
                measure(curve, step, runs).map_err(|error| format!("{title}, {step} {steps}: {error}"))?;
            let Spread { median, least, most } = point.cost;
            let mebibytes = point.peak as f64 / 1024.0 / 1024.0;
            println!(
                "| {step} | {} | {} | {} | {mebibytes:.1} MiB |",
                number(median),
                number(least),
                number(most)
            );
            points.push(point);
        }
        println!();
        curves.push((curve, points));
    }
    picture.map_or(Ok(()), |path| draw(&curves, path))
}

fn measure(curve: Curve, step: u64, runs: usize) -> Result<Point, Failed> {
    let (mut costs, mut peak) = (Vec::new(), 0);
    for _ in 0..runs {
        let place = tempfile::tempdir()?;
        let mut players = Players::new();
        for endpoint in ["server", "client"] {
            let curve = curve.to_possible_value().map_or(String::new(), |curve| curve.get_name().to_owned());
            let arguments = ["step".to_owned(), endpoint.to_owned(), curve, step.to_string()];
            players.start_ours(&arguments, &place.path().join("curve.sock"))?;
            if endpoint == "server" {
                players.next()?;
            }
        }
        let outcome: Outcome = serde_json::from_str(&players.next()?)?;
        let messages = curve.messages(step);
        let each = messages / curve.active(step);
        let expected = curve.active(step) * (each * (each - 1) / 2);
        if outcome.sum != expected {
            return Err(format!("what was received adds up to {}, not {expected}", outcome.sum).into());
        }
        costs.push(outcome.seconds * 1e9 / messages as f64);
        peak = peak.max(players.memory_of_first("VmHWM")?);
    }
    Ok(Point { step, cost: Spread::of(costs).ok_or("no run was requested")?, peak })
}

pub async fn play(endpoint: Endpoint, curve: Curve, step: u64, path: &Path) -> Done {
    match (endpoint, curve) {
        (Endpoint::Server, Curve::Receivers | Curve::Groups) => broadcast(curve, step, path).await,
        (Endpoint::Server, _) => add_up(curve, step, path).await,
        (Endpoint::Client, Curve::Receivers | Curve::Groups) => receive(curve, step, path).await,
        (Endpoint::Client, _) => send(curve, step, path).await,
    }
}

fn topic(number: u64) -> String {
    format!("topic {number}")
}

async fn add_up(curve: Curve, step: u64, path: &Path) -> Done {
    let server = Server::builder(path).max_clients(20_000).build();
    let (each, clients) = (curve.messages(step) / curve.clients(step), curve.clients(step));
    let (sum, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let reply = server.handle();
    let count = move |id: u64, client_id| {
        let sum = sum.fetch_add(id, Relaxed) + id;
        if id + 1 == each && ended.fetch_add(1, Relaxed) + 1 == clients {
            reply.send(&Checksum { sum }, client_id).expect("the last client waits for the reply");
        }
    };
    if curve == Curve::Topics {
        for number in 0..step {
            let count = count.clone();
            server.on_topic(&topic(number), move |message, client_id| {
                count(message.decode::<Small>().expect("only such are sent").id, client_id);
            });
        }
    } else if curve == Curve::Lengths {
        server.on::<Text>(move |message, client_id| count(message.id, client_id));
    } else {
        server.on::<Small>(move |message, client_id| count(message.id, client_id));
    }
    server.listen().await?;
    say_ready();
    server.closed().await;
    Ok(())
}

async fn send(curve: Curve, step: u64, path: &Path) -> Done {
    let (each, clients) = (curve.messages(step) / curve.clients(step), curve.clients(step));
    let clients: Vec<_> = (0..clients).map(|_| Client::new(path)).collect();
    for client in &clients {
        client.connect().await?;
    }
    let mut replies: Vec<_> = clients.iter().map(|client| client.subscribe::<Checksum>()).collect();
    let topics: Vec<_> = if curve == Curve::Topics { (0..step).map(topic).collect() } else { Vec::new() };
    let text = (curve == Curve::Lengths).then(|| Text::new(step as usize));
    let start = Instant::now();
    let sending = clients.iter().map(|client| {
        let (client, mut text, topics) = (client.handle(), text.clone(), topics.clone());
        tokio::spawn(async move {
            for id in 0..each {
                if let Some(text) = &mut text {
                    text.id = id;
                    client.send_async(text).await?;
                } else if topics.is_empty() {
                    client.send_async(&Small::new(id)).await?;
                } else {
                    client.send_raw(&topics[id as usize % topics.len()], &Small::new(id))?;
                    // The queue leaves in batches of about the high-water mark of `send_async`.
                    if id % 512 == 511 {
                        client.flush().await?;
                    }
                }
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        })
    });
    for sent in futures::future::try_join_all(sending).await? {
        sent?;
    }
    let replies = replies.iter_mut().map(|replies| Box::pin(replies.next()));
    let (reply, ..) = futures::future::select_all(replies).await;
    Outcome::since(start, reply.ok_or("closed before the reply")?.sum).say();
    Ok(())
}

async fn broadcast(curve: Curve, step: u64, path: &Path) -> Done {
    let server = Server::builder(path).max_clients(20_000).build();
    let (everybody, here) = (Arc::new(Notify::new()), AtomicU64::new(0));
    let told = Arc::clone(&everybody);
    let groups = server.handle();
    server.on_connection(move |client_id| {
        let number = here.fetch_add(1, Relaxed);
        if curve == Curve::Groups {
            let group = (number / GROUP).to_string();
            groups.group(&group).join(client_id).expect("each is in one group");
        }
        if number + 1 == step {
            told.notify_one();
        }
    });
    let mut replies = server.subscribe::<Checksum>();
    server.listen().await?;
    say_ready();
    everybody.notified().await;
    let start = Instant::now();
    let first = server.group("0");
    for id in 0..curve.messages(step) / curve.active(step) {
        match curve {
            Curve::Groups => first.broadcast_async(&Small::new(id)).await?,
            _ => server.broadcast_async(&Small::new(id)).await?,
        };
    }
    let mut sum = 0;
    for _ in 0..curve.active(step) {
        sum += replies.next().await.ok_or("closed before all replies")?.0.sum;
    }
    Outcome::since(start, sum).say();
    server.closed().await;
    Ok(())
}

async fn receive(curve: Curve, step: u64, path: &Path) -> Done {
    let each = curve.messages(step) / curve.active(step);
    let clients: Vec<_> = (0..step).map(|_| Client::new(path)).collect();
    for client in &clients {
        let (reply, sum) = (client.handle(), AtomicU64::new(0));
        client.on::<Small>(move |message| {
            let sum = sum.fetch_add(message.id, Relaxed) + message.id;
            if message.id + 1 == each {
                reply.send(&Checksum { sum }).expect("the server waits for the reply");
            }
        });
    }
    for client in &clients {
        client.connect().await?;
    }
    std::future::pending().await
}

const LINE: RGBColor = RGBColor(0xce, 0x42, 0x2b);

fn draw(curves: &[(Curve, Vec<Point>)], path: &Path) -> Result<(), Failed> {
    let area = SVGBackend::new(path, (900, 1_050)).into_drawing_area();
    area.fill(&WHITE)?;
    for (part, (curve, points)) in area.split_evenly((3, 2)).iter().zip(curves) {
        draw_one(part, *curve, points)?;
    }
    area.present()?;
    Ok(())
}

/// Draws both axes with a logarithmic scale: a cost that grows with the count is a rising line, and a constant one is
/// level.
fn draw_one(area: &DrawingArea<SVGBackend<'_>, Shift>, curve: Curve, points: &[Point]) -> Result<(), Failed> {
    let [title, steps, cost] = curve.says();
    let most = points.iter().map(|point| point.cost.most).fold(1_000.0, f64::max);
    let last = points.last().map_or(1, |point| point.step) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d((1.0..last * 1.2).log_scale(), (50.0..most * 2.0).log_scale())?;
    let label = |value: &f64| number(*value);
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(steps).y_desc(cost).x_label_formatter(&label).y_label_formatter(&label);
    mesh.light_line_style(TRANSPARENT).draw()?;
    let middle = points.iter().map(|point| (point.step as f64, point.cost.median));
    chart.draw_series(LineSeries::new(middle.clone(), LINE.stroke_width(2)))?;
    chart.draw_series(middle.map(|at| Circle::new(at, 3, LINE.filled())))?;
    let spread = points.iter().map(|Point { step, cost, .. }| {
        PathElement::new(vec![(*step as f64, cost.least), (*step as f64, cost.most)], LINE)
    });
    chart.draw_series(spread)?;
    Ok(())
}
