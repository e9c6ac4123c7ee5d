//! `request`: a question, and its answer.

use crate::arguments::Request;
use crate::failure::Failure;
use crate::json::{self, Given};
use crate::output::{self, Reader};
use crate::{lines, reach, running};

pub(crate) fn run(arguments: Request) -> Result<(), Failure> {
    let question = match arguments.question {
        Given::Text(question) => question,
        Given::Input => json::parse(&lines::all()?)
            .map_err(|reason| Failure::other(format!("standard input: expected JSON: {reason}")))?,
    };
    running::to_the_end(async move {
        let client = reach::client(&arguments.server, &arguments.patience);
        client.connect().await?;
        let answer = client.request_raw(&arguments.topic, &*question).within(arguments.timeout).await?;
        output::print(&Reader::find().json(answer.as_str()))?;
        client.close().await;
        Ok(())
    })
}
