//! `request`: a request, and its reply or the items of its stream.

use std::time::Duration;

use serde_json::value::RawValue;
use socket_ipc::{Client, ErrorReply, RequestError};

use crate::arguments::{Patience, Place, Request};
use crate::failure::Failure;
use crate::json::{self, Given};
use crate::output::{self, Printer, Reader};
use crate::{description, lines, reach, running, suggestion, unread_input};

pub(crate) fn run(arguments: Request) -> Result<(), Failure> {
    #[cfg(feature = "nats")]
    if arguments.nats.is_given() {
        return crate::nats_request::run(arguments);
    }
    let Request { server, topic, request, count, timeout, pretty, patience, .. } = arguments;
    let message = read(request)?;
    let call = Call { server, topic, message, count, timeout, pretty, patience };
    match running::to_the_end(call.single())? {
        Outcome::Replied => Ok(()),
        Outcome::IsAStream => call.stream(),
    }
}

/// The request, which may be all of standard input.
pub(crate) fn read(request: Option<Given>) -> Result<Box<RawValue>, Failure> {
    match unread_input::or_null(request)? {
        Given::Text(message) => Ok(message),
        Given::Input => json::parse(&lines::all()?)
            .map_err(|reason| Failure::other(format!("standard input: expected JSON: {reason}"))),
    }
}

/// What is requested, and of which server.
struct Call {
    server: Place,
    topic: String,
    message: Box<RawValue>,
    /// How many items of a stream to print.
    count: Option<u64>,
    timeout: Duration,
    pretty: bool,
    patience: Patience,
}

/// What came of a request for a single reply.
enum Outcome {
    /// The reply is printed.
    Replied,
    /// The topic replies with a stream only, and nothing has run.
    IsAStream,
}

impl Call {
    async fn single(&self) -> Result<Outcome, Failure> {
        let reached = reach::client(&self.server, &self.patience);
        reached.client.connect().await?;
        let outcome = reached.or_other_wire(self.reply(&reached.client)).await?;
        reached.client.close().await;
        Ok(outcome)
    }

    async fn reply(&self, client: &Client) -> Result<Outcome, Failure> {
        match client.request_raw(&self.topic, &*self.message).timeout(self.timeout).await {
            Ok(reply) => {
                output::print(&Reader::find().json(reply.as_str(), self.pretty))?;
                Ok(Outcome::Replied)
            }
            Err(RequestError::Rejected { reply, .. }) if reply.code() == ErrorReply::STREAM => {
                Ok(Outcome::IsAStream)
            }
            Err(error @ RequestError::NoResponder { .. }) => {
                let described = description::describe(client, self.timeout).await;
                let described = described.ok().and_then(|reply| description::read(&reply).ok());
                let instead = described.map(|described| suggestion::in_place_of(&described, &self.topic));
                Err(Failure::from(error).with(&instead.unwrap_or_default()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Prints items as they come. A signal ends an endless stream, as does the end of the program that reads it.
    fn stream(self) -> Result<(), Failure> {
        let (printer, broken) = Printer::new();
        let printer = printer.pretty(self.pretty);
        let work = async move {
            let reached = reach::client(&self.server, &self.patience);
            reached.client.connect().await?;
            reached.or_other_wire(self.items(&reached.client, &printer)).await?;
            reached.client.close().await;
            Ok(())
        };
        // Nothing is queued, so the connection may end with this process.
        running::until_told(work, broken, async {})
    }

    async fn items(&self, client: &Client, printer: &Printer) -> Result<(), Failure> {
        let mut items = client.request_stream_raw(&self.topic, &*self.message).timeout(self.timeout);
        for _ in 0..self.count.unwrap_or(u64::MAX) {
            let Some(item) = items.next().await else { break };
            printer.json(item?.as_str());
        }
        // A stream that goes on is cancelled as it is dropped.
        Ok(())
    }
}
