//! `request`: a request, and its reply.

use crate::arguments::Request;
use crate::failure::Failure;
use crate::json::{self, Given};
use crate::output::{self, Reader};
use crate::{lines, reach, running};

pub(crate) fn run(arguments: Request) -> Result<(), Failure> {
    let request = match arguments.request {
        Given::Text(request) => request,
        Given::Input => json::parse(&lines::all()?)
            .map_err(|reason| Failure::other(format!("standard input: expected JSON: {reason}")))?,
    };
    running::to_the_end(async move {
        let client = reach::client(&arguments.server, &arguments.patience);
        client.connect().await?;
        let reply = client.request_raw(&arguments.topic, &*request).timeout(arguments.timeout).await?;
        output::print(&Reader::find().json(reply.as_str()))?;
        client.close().await;
        Ok(())
    })
}
