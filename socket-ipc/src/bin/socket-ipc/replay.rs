//! `replay`: the messages of a recording, sent as a client.

use socket_ipc::Client;

use crate::arguments_recording::Replay;
use crate::failure::Failure;
use crate::player::Player;
use crate::reach::{self, Loss};
use crate::running;
use crate::send::{self, Unsent};

pub(crate) fn run(arguments: Replay) -> Result<(), Failure> {
    let Replay { file, server, selection, patience } = arguments;
    running::to_the_end(async move {
        let player = Player::open(&file, selection, true)?;
        let reached = reach::client(&server, &patience);
        let client = &reached.client;
        let mut loss = Loss::of(client);
        client.connect().await?;
        reached.or_other_wire(send::deliver(client, &mut loss, queue(client, player))).await?;
        client.close().await;
        Ok(())
    })
}

async fn queue(client: &Client, mut player: Player) -> Result<(), Unsent> {
    while let Some(entry) = player.next().await? {
        client.send_raw_async(&entry.topic, &*entry.message).await?;
    }
    Ok(())
}
