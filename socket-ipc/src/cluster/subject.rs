//! Topics, names and clients as NATS subjects, and back.
//!
//! Letters, digits, `-` and `_` stay as they are; every other byte is written as `%XX`. A topic keeps its inner dots,
//! so that a NATS program can subscribe to a part of the topics; everything else is one token.

use std::fmt::Write as _;

use super::node::NodeId;

/// The topic as the end of a subject.
pub(super) fn of_topic(topic: &str) -> String {
    encoded(topic, true)
}

/// The name as one token of a subject.
pub(super) fn token(name: &str) -> String {
    encoded(name, false)
}

/// The name of a group as one token of a subject. That of an empty name is `%`, which no other one becomes.
fn group_token(name: &str) -> String {
    if name.is_empty() { EMPTY.to_owned() } else { token(name) }
}

/// A token that stands for none.
const EMPTY: &str = "%";

fn encoded(text: &str, keeps_inner_dots: bool) -> String {
    let bytes = text.as_bytes();
    let mut subject = String::with_capacity(bytes.len() + 8);
    for (at, &byte) in bytes.iter().enumerate() {
        let is_inner_dot = || byte == b'.' && at > 0 && at + 1 < bytes.len() && bytes[at - 1] != b'.';
        if is_plain(byte) || keeps_inner_dots && is_inner_dot() {
            subject.push(char::from(byte));
        } else {
            // Writing to a string never fails.
            let _ = write!(subject, "%{byte:02X}");
        }
    }
    subject
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The text that an encoded one stands for. `None` for text that no encoding has: each text has one form only.
pub(super) fn decoded(subject: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(subject.len());
    let mut rest = subject.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            rest = after;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    let is_the_form = |keeps_dots| encoded(&text, keeps_dots) == subject;
    (is_the_form(true) || is_the_form(false)).then_some(text)
}

/// The subjects of one domain, as one of its nodes uses them.
#[derive(Debug)]
pub(super) struct Subjects {
    domain: String,
    node: NodeId,
}

/// What a subject under `D.i.N` is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inbox {
    /// A reply, or a sign of life, to the request with this number.
    Reply(u64),
    /// What a requester says of a request that this node took.
    Control(u64),
}

impl Subjects {
    pub(super) fn new(domain: &str, node: NodeId) -> Self {
        Self { domain: token(domain), node }
    }

    /// The broadcasts and beats of all nodes.
    pub(super) fn broadcasts(&self) -> String {
        format!("{}.b.>", self.domain)
    }

    /// The beats of all nodes.
    pub(super) fn beats(&self) -> String {
        format!("{}.b.*.*", self.domain)
    }

    /// The broadcasts of a topic of all nodes.
    pub(super) fn broadcasts_of(&self, topic: &str) -> String {
        format!("{}.b.*.*.{}", self.domain, of_topic(topic))
    }

    /// The beats of this node.
    pub(super) fn beat(&self) -> String {
        format!("{}.b.{}", self.domain, self.node)
    }

    /// The broadcasts of a topic of this node.
    pub(super) fn broadcast(&self, topic: &str) -> String {
        format!("{}.b.{}.{}", self.domain, self.node, of_topic(topic))
    }

    /// The node of a broadcast or a beat, and the topic of a broadcast.
    pub(super) fn read_broadcast(&self, subject: &str) -> Option<(NodeId, Option<String>)> {
        let rest = subject.strip_prefix(&*self.domain)?.strip_prefix(".b.")?;
        let (node, rest) = NodeId::at_start_of(rest)?;
        match rest {
            None => Some((node, None)),
            Some(topic) => Some((node, Some(decoded(topic)?))),
        }
    }

    /// The messages of all nodes to a group, and their counts.
    pub(super) fn group(&self, group: &str) -> String {
        format!("{}.g.*.*.{}.>", self.domain, group_token(group))
    }

    /// The messages of a topic of this node to a group.
    pub(super) fn group_broadcast(&self, group: &str, topic: &str) -> String {
        format!("{}.g.{}.{}.{}", self.domain, self.node, group_token(group), of_topic(topic))
    }

    /// What this node says of its messages to a group.
    pub(super) fn group_beat(&self, group: &str) -> String {
        format!("{}.g.{}.{}.{EMPTY}", self.domain, self.node, group_token(group))
    }

    /// The node and the group of a subject under [`group`](Self::group), and the topic of a message.
    pub(super) fn read_group(&self, subject: &str) -> Option<(NodeId, String, Option<String>)> {
        let rest = subject.strip_prefix(&*self.domain)?.strip_prefix(".g.")?;
        let (node, rest) = NodeId::at_start_of(rest)?;
        let (group, topic) = rest?.split_once('.')?;
        let group =
            if group == EMPTY { String::new() } else { decoded(group).filter(|name| !name.is_empty())? };
        let topic = if topic == EMPTY { None } else { Some(decoded(topic)?) };
        Some((node, group, topic))
    }

    /// The requests of a topic, to any node that offers it.
    pub(super) fn requests(&self, topic: &str) -> String {
        format!("{}.q.{}", self.domain, of_topic(topic))
    }

    /// What is for the clients of this node.
    pub(super) fn own_clients(&self) -> String {
        format!("{}.n.{}.>", self.domain, self.node)
    }

    /// A subject that no node subscribes to, and that a node may publish to.
    pub(super) fn nobody(&self) -> String {
        format!("{}.n.{}", self.domain, self.node)
    }

    /// A message or request for one client.
    pub(super) fn client(&self, node: &NodeId, client: u64, topic: &str) -> String {
        format!("{}.n.{node}.{client}.{}", self.domain, of_topic(topic))
    }

    /// The client and the topic of a subject under [`own_clients`](Self::own_clients).
    pub(super) fn read_client(&self, subject: &str) -> Option<(u64, String)> {
        let rest = subject.strip_prefix(&*self.domain)?.strip_prefix(".n.")?;
        let (node, rest) = NodeId::at_start_of(rest)?;
        let (client, topic) = rest?.split_once('.')?;
        (node == self.node).then_some(())?;
        Some((client.parse().ok()?, decoded(topic)?))
    }

    /// Everything under the inbox of this node.
    pub(super) fn own_inbox(&self) -> String {
        format!("{}.i.{}.>", self.domain, self.node)
    }

    /// Where the replies to a request go. It says which client of this node sends the request; 0 is the server itself.
    pub(super) fn reply(&self, client: u64, number: u64) -> String {
        format!("{}.i.{}.{client}.{number}", self.domain, self.node)
    }

    /// Where a requester says what becomes of a request that this node took.
    pub(super) fn control(&self, number: u64) -> String {
        format!("{}.i.{}.control.{number}", self.domain, self.node)
    }

    /// What a subject under [`own_inbox`](Self::own_inbox) is for.
    pub(super) fn read_inbox(&self, subject: &str) -> Option<Inbox> {
        let (node, rest) = self.split_inbox(subject)?;
        (node == self.node).then_some(())?;
        let (kind, number) = rest.split_once('.')?;
        let number = number.parse().ok()?;
        match kind {
            "control" => Some(Inbox::Control(number)),
            _ => Some(Inbox::Reply(number)),
        }
    }

    /// The node and the client that a reply subject names. `None` for a subject that no node of this domain makes.
    pub(super) fn read_reply(&self, subject: &str) -> Option<(NodeId, u64)> {
        let (node, rest) = self.split_inbox(subject)?;
        let (client, number) = rest.split_once('.')?;
        number.parse::<u64>().ok()?;
        Some((node, client.parse().ok()?))
    }

    /// Whether a subject is a node's inbox for controls.
    pub(super) fn is_control(&self, subject: &str) -> bool {
        let control = || {
            let (_, rest) = self.split_inbox(subject)?;
            rest.strip_prefix("control.")?.parse::<u64>().ok()
        };
        control().is_some()
    }

    fn split_inbox<'s>(&self, subject: &'s str) -> Option<(NodeId, &'s str)> {
        let rest = subject.strip_prefix(&*self.domain)?.strip_prefix(".i.")?;
        let (node, rest) = NodeId::at_start_of(rest)?;
        Some((node, rest?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![r"[ .*>%$\t\-_aZ0/:'\\]{1,8}", r"\PC{1,6}", r"[ab.]{1,4}", r"[a%2E.]{1,6}"]
    }

    fn group() -> impl Strategy<Value = String> {
        prop_oneof![
            text(),
            Just(String::new()),
            Just("%".to_owned()),
            Just("*".to_owned()),
            Just(">".to_owned())
        ]
    }

    proptest! {
        #[test]
        fn topic_comes_back_and_is_a_subject(topic in text()) {
            let subject = of_topic(&topic);
            prop_assert_eq!(decoded(&subject), Some(topic));
            prop_assert!(!subject.starts_with('.') && !subject.ends_with('.') && !subject.contains(".."));
            prop_assert!(subject.bytes().all(|byte| is_plain(byte) || b".%".contains(&byte)));
        }

        #[test]
        fn token_comes_back_without_a_dot(name in text()) {
            let subject = token(&name);
            prop_assert!(!subject.contains('.'));
            prop_assert_eq!(decoded(&subject), Some(name));
        }

        /// No two tuples of domain, node, group and topic have a subject in common, and none has one of another kind.
        #[test]
        fn different_groups_have_different_subjects(
            tuples in prop::collection::vec((text(), text(), group(), text()), 2..30),
        ) {
            let mut seen = HashMap::new();
            for (domain, name, group, topic) in tuples {
                let node = NodeId::new(&name, 7);
                let subjects = Subjects::new(&domain, node.clone());
                let (message, beat) = (subjects.group_broadcast(&group, &topic), subjects.group_beat(&group));
                for (subject, topic) in [(&message, Some(topic.clone())), (&beat, None)] {
                    prop_assert!(!subject.contains("..") && !subject.ends_with('.'));
                    prop_assert!(subject.bytes().all(|byte| is_plain(byte) || b".%".contains(&byte)));
                    let tuple = (domain.clone(), name.clone(), group.clone(), topic.clone());
                    let other = seen.entry(subject.clone()).or_insert_with(|| tuple.clone());
                    prop_assert_eq!(&*other, &tuple);
                    prop_assert_eq!(subjects.read_group(subject), Some((node.clone(), group.clone(), topic)));
                    prop_assert!(subjects.read_broadcast(subject).is_none());
                    // What a node is subscribed to for the group holds the subject: two tokens are any node's.
                    let subscribed = subjects.group(&group);
                    let prefix = subscribed.strip_suffix(">").unwrap().replacen("*.*", &node.to_string(), 1);
                    prop_assert!(subject.starts_with(&prefix) && subject.len() > prefix.len());
                }
            }
        }

        /// No two tuples of domain, node, client and topic have a subject in common.
        #[test]
        fn different_tuples_have_different_subjects(
            tuples in prop::collection::vec((text(), text(), 0..3_u64, text()), 2..30),
        ) {
            let mut seen = HashMap::new();
            for (domain, name, client, topic) in tuples {
                let node = NodeId::new(&name, 7);
                let subjects = Subjects::new(&domain, node.clone());
                let all = [
                    subjects.broadcast(&topic),
                    subjects.beat(),
                    subjects.requests(&topic),
                    subjects.client(&node, client, &topic),
                    subjects.reply(client, 5),
                    subjects.control(client),
                ];
                let made_of = [
                    (&*domain, &*name, 0, &*topic),
                    (&*domain, &*name, 0, ""),
                    (&*domain, "", 0, &*topic),
                    (&*domain, &*name, client, &*topic),
                    (&*domain, &*name, client, "5"),
                    (&*domain, &*name, client, ""),
                ];
                for (kind, (subject, tuple)) in all.into_iter().zip(made_of).enumerate() {
                    let tuple = (kind, tuple.0.to_owned(), tuple.1.to_owned(), tuple.2, tuple.3.to_owned());
                    let other = seen.entry(subject).or_insert_with(|| tuple.clone());
                    prop_assert_eq!(&*other, &tuple);
                }
                prop_assert_eq!(
                    subjects.read_broadcast(&subjects.broadcast(&topic)),
                    Some((node.clone(), Some(topic.clone())))
                );
                prop_assert_eq!(subjects.read_broadcast(&subjects.beat()), Some((node.clone(), None)));
                prop_assert_eq!(
                    subjects.read_client(&subjects.client(&node, client, &topic)),
                    Some((client, topic.clone()))
                );
                prop_assert_eq!(subjects.read_reply(&subjects.reply(client, 5)), Some((node, client)));
                prop_assert_eq!(subjects.read_inbox(&subjects.control(5)), Some(Inbox::Control(5)));
                prop_assert!(subjects.read_reply(&subjects.control(5)).is_none());
            }
        }

        /// Whatever arrives as a subject is read without a panic, and read back as it was.
        #[test]
        fn any_subject_is_read_or_not(subject in r"[a-c.%*>0-9]{0,12}") {
            if let Some(text) = decoded(&subject) {
                prop_assert!([of_topic(&text), token(&text)].contains(&subject));
            }
            let subjects = Subjects::new("a", NodeId::new("b", 1));
            let under = |kind: &str| format!("a.{kind}.{subject}");
            let _ = (subjects.read_broadcast(&under("b")), subjects.read_client(&under("n")));
            let _ = (subjects.read_inbox(&under("i")), subjects.read_reply(&under("i")));
            let _ = subjects.read_group(&under("g"));
            let behind = format!("a.g.b.0000000000000001.{subject}");
            if let Some((_, group, topic)) = subjects.read_group(&behind) {
                let back = topic.map_or_else(|| subjects.group_beat(&group), |topic| subjects.group_broadcast(&group, &topic));
                // A dot of a topic has two forms, of which one is written.
                prop_assert!(back == behind || back.contains("%2E") || behind.contains("%2E"));
            }
        }
    }
}
