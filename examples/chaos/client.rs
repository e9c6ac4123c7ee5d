//! The clients: what they receive goes to their ledgers, and what they request ends.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use socket_ipc::cluster::ClientRef;
use socket_ipc::{Client, ClientEvent, ClientHandle, Subscription};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Failure;
use super::calls;
use super::ledger::Ledger;
use super::responders::{IN_TIME, lines, reply_to};
use super::tally::Tally;
use super::topics::{Depart, Echo, FromNode, Join, Lines, PASSING};

/// How many clients each node has.
pub const CLIENTS: usize = 20;

/// How many of them come and go.
pub const RESTLESS: usize = 2;

/// One client of a node.
#[derive(Clone)]
pub struct Seat {
    pub node: usize,
    pub number: usize,
    pub socket: PathBuf,
    pub tally: Arc<Tally>,
    /// `true` while there is something to do.
    pub going: watch::Receiver<bool>,
    /// `true` until the clients leave.
    pub staying: watch::Receiver<bool>,
}

impl Seat {
    fn is_restless(&self) -> bool {
        self.number >= CLIENTS - RESTLESS
    }

    /// It comes and goes in the room where all do.
    fn passes(&self) -> bool {
        self.is_restless() || self.number == 1
    }

    /// The rooms that it stays in. Room 3 has one member on each node, the others have a third of the steady clients each.
    fn rooms(&self) -> Vec<usize> {
        match self.number {
            _ if self.is_restless() => vec![],
            0 => vec![0, 3],
            number => vec![number % 3],
        }
    }
}

/// Runs a client until all leave, or one after the other.
pub async fn run(seat: Seat, mut rng: Rng) -> Result<(), Failure> {
    loop {
        let mut staying = seat.staying.clone();
        let (client, tasks) = begin(&seat, rng.fork())?;
        let for_a_while = async {
            // It tries for as long as the client is open.
            let _ = client.connect().await;
            match seat.is_restless() {
                true => tokio::time::sleep(Duration::from_millis(rng.u64(200..4_000))).await,
                false => std::future::pending().await,
            }
        };
        let is_over = tokio::select! {
            () = for_a_while => false,
            _ = staying.wait_for(|staying| !staying) => true,
        };
        client.close().await;
        tasks.join_all().await;
        if is_over {
            return Ok(());
        }
        seat.tally.add("clients that came and went", 1);
    }
}

fn begin(seat: &Seat, mut rng: Rng) -> Result<(Client, JoinSet<()>), Failure> {
    let delay = Duration::from_millis(50);
    let client = Client::builder(&seat.socket).retry_delay(delay).reconnect_delay(delay).build();
    let events = client.events::<FromNode>();
    client.respond::<Echo>(|Echo(number)| reply_to(number))?;
    client.respond_stream::<Lines>(|Lines { count }| lines(count))?;
    let known = Arc::<Mutex<Vec<ClientRef>>>::default();
    let mut tasks = JoinSet::new();
    let receiving = receive(seat.clone(), client.handle(), events, Arc::clone(&known), rng.fork());
    tasks.spawn(receiving);
    let caller = |rng: &mut Rng| calls::Caller {
        client: client.handle(),
        is_restless: seat.is_restless(),
        is_far: seat.node + 1 == super::schedule::NODES,
        rng: rng.fork(),
        tally: Arc::clone(&seat.tally),
        going: seat.going.clone(),
    };
    tasks.spawn(caller(&mut rng).request());
    tasks.spawn(caller(&mut rng).read_streams());
    tasks.spawn(caller(&mut rng).reach(known));
    Ok((client, tasks))
}

/// Takes what the server sends, until the client is closed.
async fn receive(
    seat: Seat,
    client: ClientHandle,
    mut events: Subscription<ClientEvent<FromNode>>,
    known: Arc<Mutex<Vec<ClientRef>>>,
    mut rng: Rng,
) {
    let rooms = seat.rooms().into_iter().chain(seat.passes().then_some(PASSING)).collect();
    let mut ledger = Ledger::new(format!("client {}", seat.number), rooms, Arc::clone(&seat.tally));
    // Dropped, it ends what it has spawned.
    let mut joining = None;
    while let Some(event) = events.next().await {
        match event {
            ClientEvent::Connected { .. } => {
                ledger.begin();
                drop(joining.take());
                let mut task = JoinSet::new();
                task.spawn(stay_in_rooms(seat.clone(), client.clone(), rng.fork()));
                joining = Some(task);
            }
            ClientEvent::Message(message) => {
                if let FromNode::News(news) = &message
                    && let Some(who) = &news.who
                    && ledger.is_own(&who.node) == Some(false)
                    && let Ok(mut known) = known.lock()
                {
                    known.push(who.clone());
                    let len = known.len();
                    known.drain(..len.saturating_sub(20));
                }
                ledger.receive(message);
            }
            ClientEvent::Disconnected(_) => seat.tally.add("connections lost or closed", 1),
            ClientEvent::ConnectFailed(_) => {}
            other => seat.tally.broke(format!("an unknown event: {other:?}")),
        }
    }
}

/// Joins the rooms of a client, and comes and goes in the one where all do.
async fn stay_in_rooms(seat: Seat, client: ClientHandle, mut rng: Rng) {
    let rooms = if seat.is_restless() { vec![PASSING] } else { seat.rooms() };
    while !client.request(&Join { rooms: rooms.clone() }).timeout(IN_TIME).await.unwrap_or(false) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while seat.passes() {
        tokio::time::sleep(Duration::from_millis(rng.u64(50..1_000))).await;
        let joins = client.request(&Join { rooms: vec![PASSING] }).timeout(IN_TIME).await;
        tokio::time::sleep(Duration::from_millis(rng.u64(50..1_000))).await;
        let departs = client.request(&Depart { room: PASSING }).timeout(IN_TIME).await;
        if joins.is_ok() && departs.is_ok() {
            seat.tally.add("groups joined and left", 1);
        }
    }
}
