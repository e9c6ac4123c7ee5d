//! `request --nats`: a request to a node of a domain that offers its topic, and its reply or the items of its stream.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::value::RawValue;
use socket_ipc::cluster::visitor::VisitError;
use socket_ipc::{ErrorReply, RawMessage, RequestError};

use crate::arguments::Request;
use crate::failure::Failure;
use crate::nats::Domain;
use crate::output::{self, Printer, Reader};
use crate::request;
use crate::running::{self, Told};

pub(crate) fn run(arguments: Request) -> Result<(), Failure> {
    let Request { server, topic, request, count, timeout, pretty, patience, nats } = arguments;
    let domain = Domain::of(&server, &nats, patience.connect_timeout, patience.retry)?;
    let message = request::read(request)?;
    let call = Call { domain, topic, message, count, timeout, pretty };
    match running::to_the_end(call.single())? {
        Some(reply) => output::print(&Reader::find().json(reply.as_str(), pretty)),
        None => call.stream(),
    }
}

/// What is requested, and of which domain.
struct Call {
    domain: Domain,
    topic: String,
    message: Box<RawValue>,
    /// How many items of a stream to print.
    count: Option<u64>,
    timeout: Duration,
    pretty: bool,
}

impl Call {
    /// The reply; `None` where the topic replies with a stream only, and nothing has run.
    async fn single(&self) -> Result<Option<RawMessage<'static>>, Failure> {
        let mut told = Told::new()?;
        let cancelled = || Failure::other(format!("a signal ended the request of `{}`", self.topic));
        let visitor = tokio::select! {
            visitor = self.domain.connect() => visitor?,
            () = told.next() => return Err(cancelled()),
        };
        let mut request = visitor.request(&self.topic, &self.message, self.timeout).await?;
        let outcome = tokio::select! {
            outcome = request.outcome() => Some(outcome),
            () = told.next() => None,
        };
        match outcome {
            Some(Ok(reply)) => Ok(Some(reply)),
            Some(Err(VisitError::Request(RequestError::Rejected { reply, .. })))
                if reply.code() == ErrorReply::STREAM =>
            {
                Ok(None)
            }
            Some(Err(error)) => Err(error.into()),
            None => {
                // Without a connection of its own, its end says nothing to the node.
                tokio::select! {
                    () = request.cancel() => {}
                    () = told.next() => {}
                }
                Err(cancelled())
            }
        }
    }

    /// Prints items as they come, until the stream ends, a signal, or the end of the program that reads them.
    fn stream(self) -> Result<(), Failure> {
        let (printer, broken) = Printer::new();
        let printer = printer.pretty(self.pretty);
        let cancel = Arc::new(OnceLock::new());
        let begun = Arc::clone(&cancel);
        let work = async move {
            let visitor = self.domain.connect().await?;
            let mut items = visitor.request_stream(&self.topic, &self.message, self.timeout).await?;
            let canceller = begun.get_or_init(|| items.canceller());
            for _ in 0..self.count.unwrap_or(u64::MAX) {
                match items.next().await {
                    Some(item) => printer.json(item?.as_str()),
                    None => return Ok(()),
                }
            }
            canceller.cancel().await;
            Ok(())
        };
        // Without a connection of its own, its end says nothing to the node.
        running::until_told(work, broken, async move {
            if let Some(canceller) = cancel.get() {
                canceller.cancel().await;
            }
        })
    }
}
