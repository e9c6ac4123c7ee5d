//! The run: starts everything, deals out the faults, and compares when it is calm.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;
use socket_ipc::cluster::NodeId;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Failure;
use super::client::{self, CLIENTS, RESTLESS, Seat};
use super::node::{Look, Quiet};
use super::processes::{Nats, NodeProcess};
use super::sampler::Seen;
use super::schedule::{Fault, NODES, Schedule, Target, What};
use super::tally::Tally;
use super::usage::Usage;

/// How long a round takes at most, where all is well: it begins only if there is as much time.
const ROUND: Duration = Duration::from_secs(14);

/// How many rounds there are at least, however slow the machine is: three have each kind of fault. Two may lack one, as no
/// process has two faults in a round.
const LEAST: usize = 3;

/// How long the end takes.
const END: Duration = Duration::from_secs(6);

/// Within this time after the last fault everybody finds everybody again.
const RECOVERY: Duration = Duration::from_secs(30);

/// How many beats of each node come, from the one on that is behind everything that it has said to groups, before the
/// counts are compared: the first is followed by all counts, and behind the next they have all come.
const BEATS: u64 = 2;

/// A node keeps a connection in memory, of three tasks, for each other node that has requested something, and one for
/// requesters that it does not know yet.
const REQUESTERS: usize = 3 * NODES;

/// More memory than before by this much is no leak yet: the allocator keeps freed memory.
const SLACK: usize = 48 * 1024 * 1024;

/// How often what is waited for is looked at.
const LOOK: Duration = Duration::from_millis(100);

struct Run {
    seed: u64,
    nats: Nats,
    nodes: Vec<NodeProcess>,
    sockets: Vec<PathBuf>,
    /// How many nodes have been started.
    started: u64,
    tally: Arc<Tally>,
}

pub async fn run(minutes: f64, seed: u64) -> Result<(), Failure> {
    println!("{minutes} minutes with the seed {seed}: --minutes {minutes} --seed {seed}");
    let (begun, length) = (Instant::now(), Duration::from_secs_f64(60.0 * minutes));
    let directory = tempfile::tempdir()?;
    let tally = Arc::<Tally>::default();
    let nats = Nats::start(directory.path()).await?;
    let sockets: Vec<_> = (0..NODES).map(|node| directory.path().join(format!("{node}.sock"))).collect();
    let mut run = Run { seed, nats, nodes: Vec::new(), sockets, started: 0, tally: Arc::clone(&tally) };
    for index in 0..NODES {
        let node = run.start(index)?;
        run.nodes.push(node);
        run.nodes[index].line("joined").await?;
    }
    let at_rest = run.until("all nodes see each other", see_each_other).await?;
    let before: Vec<_> = at_rest.iter().map(|look| look.usage).collect();
    let own_before = Usage::now()?;

    let (going, may_go) = watch::channel(true);
    let (staying, may_stay) = watch::channel(true);
    let clients = run.clients(&may_go, &may_stay);
    run.tell_all("begin").await?;
    let (mut schedule, mut first) = (Schedule::new(seed), None);
    for round in 1.. {
        run.calm(round).await?;
        // Everything that is made once is there by now.
        first.get_or_insert((run.looks().await?[0].usage.resident, Usage::now()?.resident));
        if round > LEAST && begun.elapsed() + ROUND + END > length {
            break;
        }
        run.faults(round, &schedule.round()).await?;
    }
    println!("{:6.1} s: the end", begun.elapsed().as_secs_f64());
    run.tell_all("end").await?;
    for node in &mut run.nodes {
        node.line("ended").await?;
    }
    going.send(false)?;
    run.until("nothing runs any more", |looks| looks.iter().all(|look| look.running == 0)).await?;
    let resident = (run.looks().await?[0].usage.resident, Usage::now()?.resident);
    tally.end_calm();
    staying.send(false)?;
    for ended in clients.join_all().await {
        ended?;
    }
    run.usage(&before, &own_before, first.unwrap_or_default(), resident).await?;
    for node in &mut run.nodes {
        node.tell("leave").await?;
        node.ended().await?;
    }
    let broken = tally.report(length);
    println!("{:6.1} s, with the seed {seed}", begun.elapsed().as_secs_f64());
    if broken > 0 {
        Err(format!("{broken} promises were broken, with the seed {seed}").into())
    } else {
        Ok(())
    }
}

/// Whether all nodes see each other and nobody else, and NATS.
fn see_each_other(looks: &[Look]) -> bool {
    looks.iter().all(|look| {
        let sees = |other: &Look| look.others.iter().any(|seen| seen.node == other.node);
        look.is_linked
            && look.others.len() == NODES - 1
            && looks.iter().filter(|other| sees(other)).count() == NODES - 1
    })
}

impl Run {
    fn start(&mut self, index: usize) -> Result<NodeProcess, Failure> {
        self.started += 1;
        let seed = self.seed.wrapping_mul(1_000).wrapping_add(self.started);
        NodeProcess::start(index, &self.sockets[index], &self.nats.url(), seed, &self.tally)
    }

    fn clients(
        &self,
        going: &watch::Receiver<bool>,
        staying: &watch::Receiver<bool>,
    ) -> JoinSet<Result<(), Failure>> {
        let mut clients = JoinSet::new();
        let mut rng = Rng::with_seed(self.seed);
        for (node, socket) in self.sockets.iter().enumerate() {
            for number in 0..CLIENTS {
                let (socket, tally) = (socket.clone(), Arc::clone(&self.tally));
                let (going, staying) = (going.clone(), staying.clone());
                let seat = Seat { node, number, socket, tally, going, staying };
                clients.spawn(client::run(seat, rng.fork()));
            }
        }
        clients
    }

    async fn tell_all(&mut self, command: &str) -> Result<(), Failure> {
        for node in &mut self.nodes {
            node.tell(command).await?;
        }
        Ok(())
    }

    async fn looks(&mut self) -> Result<Vec<Look>, Failure> {
        let mut looks = Vec::new();
        for node in &mut self.nodes {
            looks.push(node.ask("look").await?);
        }
        Ok(looks)
    }

    /// Looks until something holds, for `RECOVERY` at most: then a promise is broken.
    async fn until(&mut self, what: &str, holds: impl Fn(&[Look]) -> bool) -> Result<Vec<Look>, Failure> {
        let begun = Instant::now();
        loop {
            let looks = self.looks().await?;
            if holds(&looks) {
                return Ok(looks);
            }
            if begun.elapsed() > RECOVERY {
                self.tally.broke(format!("not within {RECOVERY:?}: {what}: {looks:?}"));
                return Ok(looks);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Has the faults of a round happen, and begin and end in their order.
    async fn faults(&mut self, round: usize, faults: &[Fault]) -> Result<(), Failure> {
        let begun = tokio::time::Instant::now();
        let mut steps: Vec<_> = faults.iter().map(|fault| (fault.at, true, fault)).collect();
        steps.extend(faults.iter().map(|fault| (fault.at + fault.lasts, false, fault)));
        steps.sort_by_key(|(at, ..)| *at);
        for (at, begins, fault) in steps {
            tokio::time::sleep_until(begun + at).await;
            if begins {
                println!("round {round}: {fault}");
                self.begin(fault).await?;
            } else {
                self.end(fault).await?;
            }
        }
        Ok(())
    }

    async fn begin(&mut self, fault: &Fault) -> Result<(), Failure> {
        self.tally.end_calm();
        let name = match (fault.target, fault.what) {
            (Target::Nats, What::Stop) => {
                self.nats.signal(Signal::STOP)?;
                "faults: nats stopped"
            }
            (Target::Nats, _) => {
                self.nats.kill().await?;
                "faults: nats killed"
            }
            (Target::Node(index), What::Stop) => {
                self.nodes[index].signal(Signal::STOP)?;
                "faults: node stopped"
            }
            (Target::Node(index), What::Kill) => {
                self.nodes[index].kill().await?;
                "faults: node killed"
            }
            (Target::Node(index), What::Leave) => {
                self.nodes[index].tell("leave").await?;
                "faults: node left"
            }
        };
        self.tally.add(name, 1);
        Ok(())
    }

    async fn end(&mut self, fault: &Fault) -> Result<(), Failure> {
        match (fault.target, fault.what) {
            (Target::Nats, What::Stop) => self.nats.signal(Signal::CONT),
            (Target::Nats, _) => self.nats.start_again().await,
            (Target::Node(index), What::Stop) => self.nodes[index].signal(Signal::CONT),
            (Target::Node(index), what) => {
                if what == What::Leave {
                    self.nodes[index].ended().await?;
                }
                self.nodes[index] = self.start(index)?;
                self.nodes[index].tell("begin").await
            }
        }
    }

    /// Waits until all have found each other, has nothing said to groups, and compares the counts.
    async fn calm(&mut self, round: usize) -> Result<(), Failure> {
        let begun = Instant::now();
        let have_joined = |looks: &[Look]| looks.iter().all(|look| look.joined >= CLIENTS - RESTLESS);
        self.until("all see each other again, and the clients are there", |looks| {
            see_each_other(looks) && have_joined(looks)
        })
        .await?;
        let recovered = begun.elapsed();
        let mut quiet: Vec<Quiet> = Vec::new();
        for node in &mut self.nodes {
            quiet.push(node.ask("quiet").await?);
        }
        let all = |looks: &[Look], holds: &dyn Fn(&Look, &Seen) -> bool| {
            looks.iter().all(|look| look.others.iter().all(|seen| holds(look, seen)))
        };
        let is_behind = |_: &Look, seen: &Seen| {
            quiet.iter().any(|quiet| quiet.node == seen.node && seen.broadcasts > quiet.news)
        };
        let behind =
            self.until("a beat of each comes behind what it said", |looks| all(looks, &is_behind)).await?;
        // Not before these beats: a node that stood still sees the others for as long as it reads what came for it, and
        // only then that NATS has given it up.
        self.tally.begin_calm();
        let enough = |look: &Look, seen: &Seen| {
            let before = behind.iter().filter(|before| before.node == look.node);
            let mut before = before.flat_map(|before| &before.others).filter(|other| other.node == seen.node);
            before.all(|before| seen.beats >= before.beats + BEATS)
        };
        self.until("the beats of all come", |looks| all(looks, &enough)).await?;
        let sent: Vec<(NodeId, Vec<u64>)> = quiet.into_iter().map(|quiet| (quiet.node, quiet.left)).collect();
        let calm = format!("calm {}", serde_json::to_string(&sent)?);
        self.tell_all(&calm).await?;
        self.tell_all("loud").await?;
        let (memory, own) = (behind[0].usage.resident >> 10, Usage::now()?.resident >> 10);
        let compared = begun.elapsed();
        println!(
            "round {round}: calm after {recovered:.1?}, compared after {compared:.1?}; KiB of node 0 {memory}, of the clients {own}"
        );
        Ok(())
    }

    /// Compares what all processes use with what they used before there were clients.
    async fn usage(
        &mut self,
        before: &[Usage],
        own_before: &Usage,
        first: (usize, usize),
        last: (usize, usize),
    ) -> Result<(), Failure> {
        let of = |looks: &[Look]| -> Vec<Option<String>> {
            looks
                .iter()
                .zip(before)
                .map(|(look, before)| look.usage.leaked_since(before, REQUESTERS))
                .collect()
        };
        let looks = self
            .until("descriptors and tasks of the nodes end", |looks| of(looks).iter().all(Option::is_none))
            .await?;
        for (index, (look, before)) in looks.iter().zip(before).enumerate() {
            println!("node {index} before: {before:?}, after: {:?}", look.usage);
        }
        let begun = Instant::now();
        while let Some(leaked) = Usage::now()?.leaked_since(own_before, 0) {
            if begun.elapsed() > RECOVERY {
                self.tally.broke(format!("the clients have left behind: {leaked}"));
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        println!("clients before: {own_before:?}, after: {:?}", Usage::now()?);
        println!("memory with clients, of node 0 and the clients, in bytes: first {first:?}, last {last:?}");
        for (whose, first, last) in [("node 0", first.0, last.0), ("the clients", first.1, last.1)] {
            if last > first + SLACK {
                self.tally.broke(format!("the memory of {whose} has grown from {first} to {last} bytes"));
            }
        }
        Ok(())
    }
}
