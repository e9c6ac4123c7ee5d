//! Envelopes in any form: keys in any order, unknown keys, escapes.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::kind::{
    ERROR, EnvelopeKind, ID, MORE, RE, RequestId, STARTED, StreamPart, TRACE, WINDOW, Window,
};
use crate::wire::topic_or_none;

pub(super) struct Parts<'m> {
    pub(super) topic: Cow<'m, str>,
    pub(super) message: Option<&'m RawValue>,
    pub(super) kind: EnvelopeKind,
    pub(super) is_error: bool,
    pub(super) odd_id: Option<&'m str>,
    pub(super) replies_to_none: bool,
    pub(super) stream: StreamPart<'m>,
    pub(super) trace: Option<&'m str>,
}

/// What a key of a reply says of it, where its value is `true`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Nothing,
    Error,
    Started,
    Item,
}

pub(super) struct EnvelopeVisitor {
    pub(super) message_key: &'static str,
}

impl<'m> Visitor<'m> for EnvelopeVisitor {
    type Value = Parts<'m>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a topic")
    }

    fn visit_map<A: MapAccess<'m>>(self, mut map: A) -> Result<Parts<'m>, A::Error> {
        let (mut topic, mut message) = (None, None);
        let (mut id, mut re): (Option<&str>, Option<&str>) = (None, None);
        let (mut says, mut window, mut trace) = (Says::Nothing, None, None);
        while let Some(Text(key)) = map.next_key()? {
            if key == "topic" {
                let Topic(text) = map.next_value()?;
                if topic.replace(text).is_some() {
                    return Err(de::Error::duplicate_field("topic"));
                }
            } else if key == self.message_key {
                // Which of two messages was meant is unknown.
                if message.replace(map.next_value::<&RawValue>()?).is_some() {
                    return Err(de::Error::duplicate_field(self.message_key));
                }
            } else if key == ID || key == RE {
                let (number, name) = if key == ID { (&mut id, ID) } else { (&mut re, RE) };
                if number.replace(map.next_value::<&RawValue>()?.get()).is_some() {
                    return Err(de::Error::duplicate_field(name));
                }
            } else if key == ERROR || key == STARTED || key == MORE {
                // Of several the last counts: that is what is seen at the end of an envelope.
                if map.next_value::<&RawValue>()?.get() == "true" {
                    says = match &*key {
                        ERROR => Says::Error,
                        STARTED => Says::Started,
                        _ => Says::Item,
                    };
                }
            } else if key == WINDOW {
                window = Some(map.next_value::<&RawValue>()?.get());
            } else if key == TRACE {
                trace = Some(map.next_value::<&RawValue>()?.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let topic = topic.ok_or_else(|| de::Error::missing_field("topic"))?;
        let topic = if topic.is_empty() { Cow::Borrowed(topic_or_none("")) } else { topic };
        if id.is_none() && matches!(re, None | Some("null")) {
            let (kind, replies_to_none, stream) = (EnvelopeKind::Message, re.is_some(), StreamPart::None);
            return Ok(Parts {
                topic,
                message,
                kind,
                is_error: false,
                odd_id: None,
                replies_to_none,
                stream,
                trace: None,
            });
        }
        // Invalid ids are ignored, as unknown keys are.
        let kind = EnvelopeKind::of(id.and_then(RequestId::read), re.and_then(RequestId::read));
        let odd_id = id.filter(|_| kind == EnvelopeKind::Message);
        let is_error = says == Says::Error && matches!(kind, EnvelopeKind::Reply(_));
        let stream = match (&kind, window, says) {
            (EnvelopeKind::Request(_), Some(window), _) => {
                Window::read(window).map_or(StreamPart::OddWindow(window), StreamPart::Request)
            }
            (EnvelopeKind::Reply(_), _, Says::Item) => StreamPart::Item,
            (EnvelopeKind::Reply(_), _, Says::Started) => StreamPart::Started,
            _ => StreamPart::None,
        };
        Ok(Parts { topic, message, kind, is_error, odd_id, replies_to_none: false, stream, trace })
    }
}

/// A string, borrowed where it has nothing to unescape.
struct Text<'m>(Cow<'m, str>);

impl<'m> Deserialize<'m> for Text<'m> {
    fn deserialize<D: Deserializer<'m>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor { expected: "a key" }).map(Text)
    }
}

/// A string as the topic of an envelope.
struct Topic<'m>(Cow<'m, str>);

impl<'m> Deserialize<'m> for Topic<'m> {
    fn deserialize<D: Deserializer<'m>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor { expected: "a string as topic" }).map(Topic)
    }
}

struct TextVisitor {
    expected: &'static str,
}

impl<'m> Visitor<'m> for TextVisitor {
    type Value = Cow<'m, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'m str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
