//! `request --nats`: a request to a node of a domain that offers its topic, and its reply.

use crate::arguments::Request;
use crate::failure::Failure;
use crate::nats::Domain;
use crate::output::{self, Reader};
use crate::request;
use crate::running::{self, Told};

pub(crate) fn run(arguments: Request) -> Result<(), Failure> {
    let Request { server, topic, request, timeout, patience, nats } = arguments;
    let domain = Domain::of(&server, &nats, patience.connect_timeout, patience.retry)?;
    let message = request::read(request)?;
    running::to_the_end(async move {
        let mut told = Told::new()?;
        let cancelled = || Failure::other(format!("a signal ended the request of `{topic}`"));
        let visitor = tokio::select! {
            visitor = domain.connect() => visitor?,
            () = told.next() => return Err(cancelled()),
        };
        let mut request = visitor.request(&topic, &message, timeout).await?;
        let reply = tokio::select! {
            reply = request.outcome() => Some(reply?),
            () = told.next() => None,
        };
        match reply {
            Some(reply) => output::print(&Reader::find().json(reply.as_str())),
            None => {
                // Without a connection of its own, its end says nothing to the node.
                tokio::select! {
                    () = request.cancel() => {}
                    () = told.next() => {}
                }
                Err(cancelled())
            }
        }
    })
}
