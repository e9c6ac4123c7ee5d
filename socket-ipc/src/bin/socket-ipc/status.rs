//! `status`: whether a server is alive, and who runs it.

use serde::Serialize;

use crate::arguments::Status;
use crate::failure::Failure;
use crate::output::{self, Reader};
use crate::peer::Peer;
use crate::{reach, running};

pub(crate) fn run(arguments: Status) -> Result<(), Failure> {
    running::to_the_end(async move {
        let (client, peer) = reach::client_that_asks_who(&arguments.server, &arguments.patience);
        client.connect().await?;
        let report = Report {
            path: arguments.server.path.display().to_string(),
            alive: true,
            peer: peer.get().cloned(),
        };
        client.close().await;
        output::print(&report.written(Reader::find()))
    })
}

/// What is known of a server that is alive. The shape is documented in the help of `status`.
#[derive(Serialize)]
struct Report {
    path: String,
    alive: bool,
    #[serde(flatten)]
    peer: Option<Peer>,
}

impl Report {
    fn written(&self, reader: Reader) -> String {
        match reader {
            Reader::Program => serde_json::to_string(self).unwrap_or_default() + "\n",
            Reader::Person { .. } => {
                let by = self.peer.as_ref().map_or_else(String::new, |peer| format!(", {peer}"));
                format!("{} is alive{by}\n", self.path)
            }
        }
    }
}
