//! `topics`: the topics of a server that describes itself.

use socket_ipc::description::{Direction, TopicDescription};

use crate::arguments::Topics;
use crate::description;
use crate::failure::Failure;
use crate::output::{self, Output, Reader};
use crate::paint::{self, Shown};

pub(crate) fn run(arguments: Topics) -> Result<(), Failure> {
    let Topics { server, timeout, patience } = arguments;
    let reply = description::of(&server, &patience, timeout)?;
    // A reply that is no description is an error, also if only the topics are printed.
    let described = description::read(&reply)?;
    output::print(&match Reader::find() {
        Reader::Program => {
            let topics = description::topics_as_written(&reply)?;
            Output::ForPrograms(topics.iter().map(|topic| paint::json_line(topic.get()) + "\n").collect())
        }
        Reader::Person { colours } => {
            let mut lines = Shown::new(colours);
            described.topics.iter().for_each(|topic| put_line(&mut lines, topic));
            Output::ForPeople(lines)
        }
    })
}

fn put_line(lines: &mut Shown, topic: &TopicDescription) {
    let direction = match topic.direction {
        Direction::TowardServer => "to server",
        Direction::TowardClient => "to client",
    };
    lines.put_styled(direction, paint::TIME);
    lines.put("  ");
    lines.put_topic(&topic.topic);
    if let Some(reply) = &topic.reply {
        lines.put(", reply under ");
        lines.put_topic(reply);
    }
    if topic.stream {
        lines.put(", a stream");
    }
    lines.end_line();
}
