//! The names of nodes, and of clients anywhere in a domain.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::subject;

/// A server of a domain: its name, and a random part that tells two servers with one name apart.
///
/// It is made when the server joins; one that joins again has another.
///
/// ```
/// use socket_ipc::cluster::NodeId;
///
/// let node: NodeId = "host-a.1f00dcafe0ddba11".parse()?;
/// assert_eq!(node.name(), "host-a");
/// assert!("host-a.>".parse::<NodeId>().is_err());
/// # Ok::<(), socket_ipc::cluster::NodeIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

/// A text that is no [`NodeId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no node: expected its name, a dot and sixteen hexadecimal digits")]
pub struct NodeIdError {
    text: String,
}

impl NodeId {
    pub(super) fn new(name: &str, random: u64) -> Self {
        Self(format!("{}.{random:016x}", subject::token(name)).into())
    }

    /// The name that the server was given.
    #[must_use]
    pub fn name(&self) -> String {
        subject::decoded(self.name_token()).unwrap_or_default()
    }

    /// The name as a token of a subject.
    pub(super) fn name_token(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// The node that the first two tokens of a subject name, and the tokens behind them.
    pub(super) fn at_start_of(subject: &str) -> Option<(Self, Option<&str>)> {
        let (name, rest) = subject.split_once('.')?;
        let (random, rest) = match rest.split_once('.') {
            None => (rest, None),
            Some((random, rest)) => (random, Some(rest)),
        };
        let is_name =
            !name.is_empty() && subject::decoded(name).is_some_and(|text| subject::token(&text) == name);
        let is_random =
            random.len() == 16 && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_name && is_random).then(|| (Self(subject[..name.len() + 17].into()), rest))
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        match Self::at_start_of(text) {
            Some((node, None)) => Ok(node),
            _ => Err(NodeIdError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeId").field(&self.0).finish()
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A client anywhere in a domain: its node, and its number there.
///
/// It can be part of a message, and names its client for as long as that one is connected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientRef {
    /// The server that the client is connected to.
    pub node: NodeId,
    /// The number of its [`ClientId`](crate::ClientId) there.
    pub client: u64,
}

impl fmt::Display for ClientRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {} of {}", self.client, self.node)
    }
}

/// A node of the domain, as its last beat told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// How many clients are connected to it.
    pub clients: u64,
    /// The topics that it offers.
    pub offers: Vec<String>,
    /// How many broadcasts to all clients it has sent.
    pub broadcasts: u64,
    /// How many of its broadcasts did not arrive here, in all, with those to groups.
    pub lagged: u64,
    /// How many broadcasts of the other nodes did not arrive there, in all.
    pub lag: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_id_of_another_form_is_an_error() {
        let node = NodeId::new("host a.b", 0x1f);
        assert_eq!(node.to_string(), "host%20a%2Eb.000000000000001f");
        assert_eq!((node.name(), node.to_string().parse()), ("host a.b".to_owned(), Ok(node)));
        for text in [
            "",
            "a",
            "a.b",
            ".000000000000001f",
            "*.000000000000001f",
            "a.000000000000001F",
            "a.000000000000001f.b",
        ] {
            assert!(text.parse::<NodeId>().is_err(), "{text}");
        }
    }
}
