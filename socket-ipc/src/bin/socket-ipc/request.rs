//! `request`: a request, and its reply or the items of its stream.

use std::time::Duration;

use serde_json::value::RawValue;
use socket_ipc::{ErrorReply, RequestError};

use crate::arguments::{Patience, Place, Request};
use crate::failure::Failure;
use crate::json::{self, Given};
use crate::output::{self, Printer, Reader};
use crate::{lines, reach, running};

pub(crate) fn run(arguments: Request) -> Result<(), Failure> {
    #[cfg(feature = "nats")]
    if arguments.nats.is_given() {
        return crate::nats_request::run(arguments);
    }
    let Request { server, topic, request, timeout, patience, .. } = arguments;
    let message = read(request)?;
    let call = Call { server, topic, message, timeout, patience };
    match running::to_the_end(call.single())? {
        Outcome::Replied => Ok(()),
        Outcome::IsAStream => call.stream(),
    }
}

/// The request, which may be all of standard input.
pub(crate) fn read(request: Given) -> Result<Box<RawValue>, Failure> {
    match request {
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
    timeout: Duration,
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
        let client = reach::client(&self.server, &self.patience);
        client.connect().await?;
        let outcome = match client.request_raw(&self.topic, &*self.message).timeout(self.timeout).await {
            Ok(reply) => {
                output::print(&Reader::find().json(reply.as_str()))?;
                Outcome::Replied
            }
            Err(RequestError::Rejected { reply, .. }) if reply.code() == ErrorReply::STREAM => {
                Outcome::IsAStream
            }
            Err(error) => return Err(error.into()),
        };
        client.close().await;
        Ok(outcome)
    }

    /// Prints items as they come. A signal ends an endless stream, as does the end of the program that reads it.
    fn stream(self) -> Result<(), Failure> {
        let (printer, broken) = Printer::new();
        let work = async move {
            let client = reach::client(&self.server, &self.patience);
            client.connect().await?;
            let mut items = client.request_stream_raw(&self.topic, &*self.message).timeout(self.timeout);
            while let Some(item) = items.next().await {
                printer.json(item?.as_str());
            }
            client.close().await;
            Ok(())
        };
        // Nothing is queued, so the connection may end with this process.
        running::until_told(work, broken, async {})
    }
}
