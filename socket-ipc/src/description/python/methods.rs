//! What of the client depends on the topics: its methods, the exceptions with typed errors, and tables.

use std::fmt::Write;

use serde_json::Value;

use super::printer::Printer;
use super::text::{docstring, documentation, quoted};
use super::types::MAX_LINE_LEN;
use super::{Direction, Roots, TopicDescription, name_for, type_name};

#[derive(Default)]
pub(super) struct Methods {
    send: Vec<Signature>,
    request: Vec<Signature>,
    stream: Vec<Signature>,
    on: Vec<Signature>,
    respond: Vec<Signature>,
    respond_stream: Vec<Signature>,
    /// The exceptions: the name, the topic, and the type of the error.
    failures: Vec<(String, String, String)>,
    /// For each exception of a request to the server: its topic, and its name.
    failures_of_server: Vec<(String, String)>,
    reply_topics: Vec<(String, String)>,
    reply_topics_of_client: Vec<(String, String)>,
}

/// One topic of a method: what stands behind `self, topic`, and what is returned.
struct Signature {
    topic: String,
    text: String,
    parameters: Vec<String>,
    returns: String,
}

/// A method: its name with `def`, its documentation, the parameters of the method for all topics, and its body.
struct Method {
    definition: &'static str,
    text: &'static str,
    parameters: &'static [&'static str],
    returns: &'static str,
    call: &'static str,
}

const SEND: Method = Method {
    definition: "async def send",
    text: "Sends a message. It waits while the server reads slowly, and returns when the message is on its way.",
    parameters: &["message: Any = None"],
    returns: "None",
    call: "await self._send(topic, message)",
};
const REQUEST: Method = Method {
    definition: "async def request",
    text: "Sends a request, and returns its reply; ``timeout`` is in seconds.\n\nIt raises a ``RequestError``. Cancelling \
           the task, or the timeout, cancels the request: the server\ndrops its responder.",
    parameters: &["message: Any = None", "*", "timeout: Optional[float] = None"],
    returns: "Any",
    call: "await self._request(topic, message, timeout)",
};
const STREAM: Method = Method {
    definition: "def stream",
    text: "Requests a stream, for ``async for``; see ``Stream``.\n\n``window`` is how many bytes may lie unread. Silence \
           for ``idle_timeout`` seconds ends the stream.",
    parameters: &[
        "message: Any = None",
        "*",
        "window: Optional[int] = None",
        "idle_timeout: Optional[float] = None",
    ],
    returns: "Stream[Any]",
    call: "self._stream(topic, message, window, idle_timeout)",
};
const ON: Method = Method {
    definition: "def on",
    text: "Calls ``listener`` with each message of the topic, in their order. Returns a function that ends that.\n\nThe \
           next message waits until an asynchronous listener has returned.",
    parameters: &["listener: Callable[[Any], object]"],
    returns: "Callable[[], None]",
    call: "self._on(topic, listener)",
};
const RESPOND: Method = Method {
    definition: "def respond",
    text: "Has ``responder``, which may be asynchronous, reply to the requests of the server.\n\nTo fail one it raises an \
           ``ErrorReply``, or the exception of the topic with its typed error.",
    parameters: &["responder: Callable[[Any], Any]"],
    returns: "None",
    call: "self._respond(topic, responder)",
};
const RESPOND_STREAM: Method = Method {
    definition: "def respond_stream",
    text: "Has ``responder``, an asynchronous generator, reply to the requests of the server with its items.",
    parameters: &["responder: Callable[[Any], AsyncIterable[Any]]"],
    returns: "None",
    call: "self._respond(topic, responder)",
};

impl Methods {
    pub(super) fn add<'s>(&mut self, topic: &TopicDescription, roots: &'s Roots, printer: &mut Printer<'s>) {
        let name = name_for(&topic.topic);
        let message = printer.type_of(&roots.message, &name, None);
        let back = printer.type_of(&roots.back, &format!("{name}Reply"), None);
        let error =
            roots.error.as_ref().map(|error| printer.type_of(error, &format!("{name}Error"), None).text());
        let is_request = topic.stream || topic.reply.is_some();
        let (given, back) = (message.text(), back.text());
        let message = format!("message: {given}{}", if given == "None" { " = None" } else { "" });
        let referred = roots.message.get("$ref").and_then(Value::as_str).and_then(type_name);
        let text = referred.and_then(|name| printer.types.get(name)).map(documentation).unwrap_or_default();
        let signature = |parameters: Vec<String>, returns: String| Signature {
            topic: quoted(&topic.topic),
            text: text.clone(),
            parameters,
            returns,
        };
        let owned = |parameters: &[&str]| parameters.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let toward_server = topic.direction == Direction::TowardServer;
        match (toward_server, topic.stream, is_request) {
            (true, true, _) => {
                let parameters = [vec![message], owned(&STREAM.parameters[1..])].concat();
                self.stream.push(signature(parameters, format!("Stream[{back}]")));
            }
            (true, _, true) => {
                let parameters = [vec![message], owned(&REQUEST.parameters[1..])].concat();
                self.request.push(signature(parameters, back));
            }
            (true, _, false) => self.send.push(signature(vec![message], "None".to_owned())),
            (false, true, _) => {
                let responder = format!("responder: Callable[[{given}], AsyncIterable[{back}]]");
                self.respond_stream.push(signature(vec![responder], "None".to_owned()));
            }
            (false, _, true) => {
                let responder = format!("responder: Callable[[{given}], Union[{back}, Awaitable[{back}]]]");
                self.respond.push(signature(vec![responder], "None".to_owned()));
            }
            (false, _, false) => {
                let listener = format!("listener: Callable[[{given}], object]");
                self.on.push(signature(vec![listener], ON.returns.to_owned()));
            }
        }
        if let Some(error) = error {
            let name = printer.unique(&format!("{name}Failed"));
            if toward_server {
                self.failures_of_server.push((quoted(&topic.topic), name.clone()));
            }
            self.failures.push((name, topic.topic.clone(), error));
        }
        if let Some(reply) = topic.reply.as_ref().filter(|reply| !topic.stream && **reply != topic.topic) {
            let reply = (quoted(&topic.topic), quoted(reply));
            if toward_server { &mut self.reply_topics } else { &mut self.reply_topics_of_client }.push(reply);
        }
    }

    /// The methods, as the body of the class has them.
    pub(super) fn methods(&self) -> String {
        let all = [
            (&SEND, &self.send),
            (&REQUEST, &self.request),
            (&STREAM, &self.stream),
            (&ON, &self.on),
            (&RESPOND, &self.respond),
            (&RESPOND_STREAM, &self.respond_stream),
        ];
        all.iter().map(|(method, signatures)| method.of(signatures)).collect()
    }

    /// The exceptions that carry typed errors.
    pub(super) fn failures(&self) -> String {
        let mut text = String::new();
        for (name, topic, error) in &self.failures {
            let _ = writeln!(text, "class {name}(RequestFailed):");
            docstring(&mut text, "    ", &format!("The typed error of the request `{topic}`."));
            let _ = write!(text, "\n    topic = {}\n    error: {error}\n\n", quoted(topic));
            let _ = write!(
                text,
                "    def __init__(self, error: {error}, text: str = \"\") -> None:\n        super().__init__(error, text)\n\n\n"
            );
        }
        table(&mut text, "_FAILURES: dict[str, type[RequestFailed]]", &self.failures_of_server);
        text
    }

    /// What the client looks up by the topic.
    pub(super) fn tables(&self) -> String {
        let mut text = String::new();
        table(&mut text, "_REPLY_TOPICS: dict[str, str]", &self.reply_topics);
        table(&mut text, "_REPLY_TOPICS_OF_CLIENT: dict[str, str]", &self.reply_topics_of_client);
        let streams: Vec<_> = self.respond_stream.iter().map(|signature| signature.topic.as_str()).collect();
        let _ = writeln!(text, "_STREAMS_OF_CLIENT: frozenset[str] = frozenset([{}])", streams.join(", "));
        text
    }
}

fn table(text: &mut String, name: &str, entries: &[(String, String)]) {
    if entries.is_empty() {
        let _ = writeln!(text, "{name} = {{}}");
        return;
    }
    let _ = writeln!(text, "{name} = {{");
    for (key, value) in entries {
        let _ = writeln!(text, "    {key}: {value},");
    }
    text.push_str("}\n");
}

impl Method {
    fn of(&self, signatures: &[Signature]) -> String {
        let mut text = String::new();
        match signatures {
            [] => return text,
            [signature] => {
                text.push_str(&self.head(&signature.parameters, &signature.topic, &signature.returns));
                self.body(&mut text, &signature.returns);
            }
            signatures => {
                for signature in signatures {
                    text.push_str("    @overload\n");
                    text.push_str(&self.head(&signature.parameters, &signature.topic, &signature.returns));
                    if signature.text.is_empty() {
                        text.push_str(" ...\n\n");
                    } else {
                        text.push('\n');
                        docstring(&mut text, "        ", &signature.text);
                        text.push('\n');
                    }
                }
                let parameters: Vec<_> = self.parameters.iter().map(|it| (*it).to_owned()).collect();
                text.push_str(&self.line("topic: str", &parameters, self.returns));
                self.body(&mut text, self.returns);
            }
        }
        text.push('\n');
        text
    }

    fn head(&self, parameters: &[String], topic: &str, returns: &str) -> String {
        self.line(&format!("topic: Literal[{topic}]"), parameters, returns)
    }

    fn line(&self, topic: &str, parameters: &[String], returns: &str) -> String {
        let parameters = [vec!["self".to_owned(), topic.to_owned()], parameters.to_vec()].concat();
        let line = format!("    {}({}) -> {returns}:", self.definition, parameters.join(", "));
        if line.chars().count() + 4 <= MAX_LINE_LEN {
            return line;
        }
        // As formatters of Python divide it.
        let divided = parameters.join(", ");
        let divided = match 8 + divided.chars().count() <= MAX_LINE_LEN {
            true => divided,
            false => format!("{},", parameters.join(",\n        ")),
        };
        format!("    {}(\n        {divided}\n    ) -> {returns}:", self.definition)
    }

    fn body(&self, text: &mut String, returns: &str) {
        text.push('\n');
        docstring(text, "        ", self.text);
        let _ = match returns {
            "None" => writeln!(text, "        {}", self.call),
            // Of a value of any type the checker does not believe that it is of this one.
            _ if returns != self.returns && self.returns == "Any" => {
                writeln!(text, "        reply: {returns} = {}\n        return reply", self.call)
            }
            _ => writeln!(text, "        return {}", self.call),
        };
    }
}
