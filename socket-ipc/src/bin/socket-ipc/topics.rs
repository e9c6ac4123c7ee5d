//! `topics`: what a server speaks.

use socket_ipc::description::{Direction, TopicDescription};

use crate::arguments::Topics;
use crate::failure::Failure;
use crate::output::{self, Reader};
use crate::{description, paint};

pub(crate) fn run(arguments: Topics) -> Result<(), Failure> {
    let Topics { server, timeout, patience } = arguments;
    let answer = description::of(&server, &patience, timeout)?;
    // Also where only the topics themselves are wanted: what is no description is none for anybody.
    let described = description::read(&answer)?;
    let reader = Reader::find();
    let text: String = match reader {
        Reader::Program => {
            description::topics_as_written(&answer)?.iter().map(|topic| reader.json(topic.get())).collect()
        }
        Reader::Person { colours } => described.topics.iter().map(|topic| line(topic, colours)).collect(),
    };
    output::print(&text)
}

fn line(topic: &TopicDescription, colours: bool) -> String {
    let named = |name: &str| paint::styled(&paint::topic(name), paint::TOPIC, colours);
    let direction = match topic.direction {
        Direction::TowardServer => "to server",
        Direction::TowardClient => "to client",
    };
    let direction = paint::styled(direction, paint::TIME, colours);
    match &topic.reply {
        Some(reply) => format!("{direction}  {}, answered by {}\n", named(&topic.topic), named(reply)),
        None => format!("{direction}  {}\n", named(&topic.topic)),
    }
}
