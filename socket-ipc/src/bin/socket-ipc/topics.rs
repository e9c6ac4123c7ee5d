//! `topics`: what a server speaks.

use crate::arguments::Topics;
use crate::description::{self, Description, Direction, Topic};
use crate::failure::Failure;
use crate::output::{self, Reader};
use crate::{paint, running};

pub(crate) fn run(arguments: Topics) -> Result<(), Failure> {
    let Topics { server, timeout, patience } = arguments;
    running::to_the_end(async move {
        let description = description::of(&server, &patience, timeout).await?;
        output::print(&written(&description, Reader::find())?)
    })
}

fn written(description: &Description, reader: Reader) -> Result<String, Failure> {
    let mut text = String::new();
    for (raw, topic) in description.topics()? {
        match reader {
            Reader::Program => text += &reader.json(raw),
            Reader::Person { colours } => text += &line(&topic, colours),
        }
    }
    Ok(text)
}

fn line(topic: &Topic, colours: bool) -> String {
    let named = |name: &str| paint::styled(&paint::topic(name), paint::TOPIC, colours);
    let direction = match topic.direction {
        Direction::ToServer => "to server",
        Direction::ToClient => "to client",
    };
    let direction = paint::styled(direction, paint::TIME, colours);
    match &topic.reply {
        Some(reply) => format!("{direction}  {}, answered by {}\n", named(&topic.topic), named(reply)),
        None => format!("{direction}  {}\n", named(&topic.topic)),
    }
}
