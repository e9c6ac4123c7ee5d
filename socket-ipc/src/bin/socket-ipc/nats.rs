//! Reaching a domain over NATS: the arguments and environment variables for it, and why it can't be reached.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use socket_ipc::Wire;
use socket_ipc::cluster::visitor::{VisitError, Visitor};
use socket_ipc::cluster::{ClusterOptions, JoinError};

use crate::arguments::Place;
use crate::failure::{Failure, Status, say, with_causes};

/// How long to wait before the next attempt to connect.
const PAUSE: Duration = Duration::from_millis(250);

/// A NATS server, and what it lets this program in for.
#[derive(Args, Debug)]
#[command(next_help_heading = "Over NATS")]
pub(crate) struct Nats {
    /// Reach a domain, whose name stands in place of the path, at the URL of a NATS server, or at several
    #[arg(long = "nats", value_name = "URL")]
    urls: Vec<String>,
    /// The user; NATS_PASSWORD has the password
    #[arg(long, requires = "urls", conflicts_with_all = ["creds", "nkey"])]
    user: Option<String>,
    /// A credentials file
    #[arg(long, value_name = "FILE", requires = "urls", conflicts_with = "nkey")]
    creds: Option<PathBuf>,
    /// A file with the seed of an NKey
    #[arg(long, value_name = "FILE", requires = "urls")]
    nkey: Option<PathBuf>,
    /// A file with the roots that the NATS server's certificate may be from
    #[arg(long, value_name = "FILE", requires = "urls")]
    tls_ca: Option<PathBuf>,
    /// A file with the certificate of this program
    #[arg(long, value_name = "FILE", requires = "urls", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// A file with its key
    #[arg(long, value_name = "FILE", requires = "urls", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// An environment variable that is set, and not empty.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str, value: OsString) -> Result<String, Failure> {
    value.into_string().map_err(|_| usage(format!("{name} is not text")))
}

fn usage(text: impl Into<String>) -> Failure {
    Failure::new(Status::Usage, text)
}

impl Nats {
    /// Whether a place is a domain, and not a socket.
    pub(crate) fn is_given(&self) -> bool {
        !self.urls.is_empty()
    }

    /// The options for a domain.
    fn options(&self, domain: &str) -> Result<ClusterOptions, Failure> {
        let (first, others) =
            self.urls.split_first().ok_or_else(|| usage("missing --nats <URL>; --help says more"))?;
        let mut options = ClusterOptions::new(first, domain);
        for url in others {
            options = options.url(url);
        }
        let options = self.with_credentials(options)?;
        let or_variable =
            |given: &Option<PathBuf>, name| given.clone().or_else(|| variable(name).map(PathBuf::from));
        let options = match or_variable(&self.tls_ca, "NATS_CA") {
            Some(path) => options.root_certificates(path),
            None => options,
        };
        match (or_variable(&self.tls_cert, "NATS_CERT"), or_variable(&self.tls_key, "NATS_KEY")) {
            (Some(certificate), Some(key)) => Ok(options.client_certificate(certificate, key)),
            (None, None) => Ok(options),
            (Some(_), None) => Err(usage("NATS_CERT is set without NATS_KEY, the key of that certificate")),
            (None, Some(_)) => Err(usage("NATS_KEY is set without NATS_CERT, the certificate of that key")),
        }
    }

    /// Credentials of the arguments, or else of the environment.
    fn with_credentials(&self, options: ClusterOptions) -> Result<ClusterOptions, Failure> {
        if let Some(path) = &self.creds {
            return Ok(options.credentials_file(path));
        }
        if let Some(path) = &self.nkey {
            return Ok(options.nkey(seed(path)?));
        }
        if let Some(user) = &self.user {
            return Ok(options.user_and_password(user, password("--user")?));
        }
        let set = ["NATS_CREDS", "NATS_NKEY", "NATS_USER", "NATS_TOKEN"];
        let mut set = set.into_iter().filter_map(|name| Some((name, variable(name)?)));
        let Some((name, value)) = set.next() else { return Ok(options) };
        if let Some((other, _)) = set.next() {
            return Err(usage(format!(
                "{name} and {other} are both set: which credentials are meant? Unset one"
            )));
        }
        Ok(match name {
            "NATS_CREDS" => options.credentials_file(value),
            "NATS_NKEY" => options.nkey(seed(Path::new(&value))?),
            "NATS_USER" => options.user_and_password(text(name, value)?, password(name)?),
            _ => options.token(text(name, value)?),
        })
    }
}

fn password(of: &str) -> Result<String, Failure> {
    let password = variable("NATS_PASSWORD")
        .ok_or_else(|| usage(format!("{of} needs the password in the environment, as NATS_PASSWORD")))?;
    text("NATS_PASSWORD", password)
}

/// The seed of an NKey, from its file.
fn seed(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::other(format!("cannot read the seed of an NKey in {}: {error}", path.display()))
    })?;
    Ok(text.trim().to_owned())
}

/// A domain, and how long to wait for it.
pub(crate) struct Domain {
    options: ClusterOptions,
    pub(crate) name: String,
    /// For an attempt at all URLs.
    patience: Duration,
    waits: bool,
}

impl Domain {
    /// The domain in place of a socket.
    pub(crate) fn of(
        place: &Place,
        nats: &Nats,
        connect_timeout: Duration,
        waits: bool,
    ) -> Result<Self, Failure> {
        if place.wire() != Wire::JSON_LINES {
            return Err(usage("--wire is for sockets: over NATS messages are JSON"));
        }
        let name = place.path.to_str().ok_or_else(|| usage("the name of the domain is not text"))?;
        Self::new(nats, name, connect_timeout, waits)
    }

    /// `waits` is whether to wait for a NATS server that is not there.
    pub(crate) fn new(
        nats: &Nats,
        name: &str,
        connect_timeout: Duration,
        waits: bool,
    ) -> Result<Self, Failure> {
        // One that takes no connection must not use up the time of the next.
        let urls = u32::try_from(nats.urls.len()).unwrap_or(u32::MAX);
        let patience = connect_timeout.saturating_mul(urls);
        Ok(Self { options: nats.options(name)?, name: name.to_owned(), patience, waits })
    }

    pub(crate) async fn connect(&self) -> Result<Visitor, Failure> {
        let mut said = String::new();
        loop {
            let attempt = tokio::time::timeout(self.patience, Visitor::connect(&self.options)).await;
            let failure = match attempt {
                Ok(Ok(visitor)) => return Ok(visitor),
                Ok(Err(error @ VisitError::NotThere(_))) => Failure::from(error),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => Failure::new(
                    Status::NoConnection,
                    format!("the NATS server took no connection within {:?}", self.patience),
                ),
            };
            if !self.waits {
                return Err(failure);
            }
            let text = failure.to_string();
            if said != text {
                say(format_args!("{text}; trying again"));
                said = text;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl From<VisitError> for Failure {
    fn from(error: VisitError) -> Self {
        let status = match error {
            VisitError::Request(error) => return error.into(),
            VisitError::NotThere(error) | VisitError::Join(error) => return of_join(error),
            VisitError::LinkDown
            | VisitError::NotAcknowledged { .. }
            | VisitError::Lost { .. }
            | VisitError::ItemsLost { .. } => Status::NoConnection,
            VisitError::Refused(_) | VisitError::NoResponder { .. } => Status::Rejected,
            _ => Status::Other,
        };
        Self::new(status, with_causes(&error))
    }
}

fn of_join(error: JoinError) -> Failure {
    match error {
        JoinError::Name { len, limit, .. } => {
            usage(format!("the name of the domain is {len} bytes long; 1 to {limit} are allowed"))
        }
        JoinError::CredentialsInUrl { host, .. } => usage(format!(
            "the URL of {host} holds credentials, which every user of this machine could see: give them in the \
             environment, as NATS_USER and NATS_PASSWORD or as NATS_TOKEN, or in a file, with --creds or --nkey"
        )),
        JoinError::File { what, path, reason, .. } => {
            Failure::other(format!("the {what} in {}: {reason}", path.display()))
        }
        JoinError::Connect { domain, urls, reason } => Failure::new(
            Status::NoConnection,
            format!("no connection to the domain `{domain}` at {urls}: {reason}"),
        ),
        other => Failure::other(with_causes(&other)),
    }
}
