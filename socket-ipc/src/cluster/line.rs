//! A message on its way to other nodes: written once, for the clients of this node and for NATS.

use memchr::memmem;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::SendError;
use crate::server::ServerHandle;
use crate::wire::Wire;

/// What is between a topic and its message in an envelope. A quotation mark of the topic itself is escaped.
const BEFORE_MESSAGE: &[u8] = b"\",\"message\":";

/// What is behind the message.
const BEHIND_MESSAGE: &[u8] = b"}\n";

pub(super) struct Line {
    /// As the clients of this node get it.
    pub(super) local: Vec<u8>,
    /// As the other nodes get it, where that is not the same.
    of_nodes: Option<Vec<u8>>,
}

impl Line {
    pub(super) fn of<M: Serialize + ?Sized>(
        server: &ServerHandle,
        topic: &str,
        message: &M,
    ) -> Result<Self, SendError> {
        let (local, wire) = (server.encode(topic, message)?, server.limits().wire);
        if wire == Wire::JSON_LINES {
            return Ok(Self { local, of_nodes: None });
        }
        let envelope = local.strip_suffix(wire.delimiter().as_bytes()).unwrap_or(&local);
        let mut of_nodes = Vec::with_capacity(local.len());
        // Never an error: it was just written.
        if let Ok(envelope) = wire.decode(envelope)
            && let Ok(text) = serde_json::from_str::<&RawValue>(envelope.message.as_str())
        {
            Wire::JSON_LINES
                .encode(&envelope.topic, text, &mut of_nodes)
                .map_err(|error| SendError::encode(topic, error))?;
        }
        Ok(Self { local, of_nodes: Some(of_nodes) })
    }

    /// As the other nodes get it: a line of JSON.
    pub(super) fn of_nodes(&self) -> &[u8] {
        self.of_nodes.as_deref().unwrap_or(&self.local)
    }

    /// The message alone.
    pub(super) fn message(&self) -> &[u8] {
        let line = self.of_nodes();
        let begin = memmem::find(line, BEFORE_MESSAGE).map_or(0, |at| at + BEFORE_MESSAGE.len());
        line[begin..].strip_suffix(BEHIND_MESSAGE).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;

    #[test]
    fn message_is_found_behind_every_topic() {
        for wire in [Wire::JSON_LINES, Wire::NODE_0_4, Wire::NODE_0_1] {
            let server = Server::builder("a").wire(wire).build();
            for topic in ["a", "\",\"message\":", "a\\", "a\\\"", "\n", "message"] {
                let line = Line::of(&server.handle(), topic, &("x", 5)).unwrap();
                assert_eq!(line.message(), b"[\"x\",5]", "{topic}");
                let nodes = line.of_nodes().strip_suffix(b"\n").unwrap();
                assert_eq!(Wire::JSON_LINES.decode(nodes).unwrap().topic, topic);
                let local = line.local.strip_suffix(wire.delimiter().as_bytes()).unwrap();
                assert_eq!(wire.decode(local).unwrap().topic, topic);
            }
        }
    }
}
