//! Connecting to the NATS server, and why that fails.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{AuthError, Client, ClientError, ConnectErrorKind, ConnectOptions, Event};

use super::credentials::{self, Credentials};
use super::error::JoinError;
use super::file::BadFile;
use super::node::NodeId;
use super::options::ClusterOptions;
use crate::sync::lock;

/// How many messages the NATS client holds for one subscription. They are taken from there at once.
const SUBSCRIPTION_CAPACITY: usize = 8192;

/// How long the NATS client waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the NATS client says where the NATS server refuses the credentials.
const AUTHORIZATION_VIOLATION: &str = "authorization violation";

/// What it says where the file with the credentials can't be used: the reason was reported before.
const COULD_NOT_SIGN: &str = "failed signing nonce";

/// Whether the NATS server sends this connection what the connection itself publishes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    No,
    Yes,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Unconnected {
    File(BadFile),
    /// The NATS client's reason.
    Nats {
        reason: String,
        /// No NATS server is there, but one may come.
        may_come: bool,
    },
}

impl Unconnected {
    pub(super) fn of_join(self, options: &ClusterOptions) -> JoinError {
        let domain = options.domain.clone();
        match self {
            Self::File(BadFile { what, path, reason }) => JoinError::File { domain, what, path, reason },
            Self::Nats { reason, .. } => JoinError::Connect { domain, urls: options.urls.join(", "), reason },
        }
    }
}

/// Connects to the NATS server. The connection has the name of the node in its log.
pub(super) async fn connect(
    options: &ClusterOptions,
    name: &NodeId,
    echo: Echo,
    on_event: impl Fn(&Event) + Send + Sync + 'static,
) -> Result<Client, Unconnected> {
    check_files(options).await.map_err(Unconnected::File)?;
    let (on_event, reports) = (Arc::new(on_event), Arc::<Reports>::default());
    let connect = match &options.credentials {
        Credentials::None => ConnectOptions::new(),
        Credentials::User(user, password) => {
            ConnectOptions::with_user_and_password(user.clone(), password.clone())
        }
        Credentials::Token(token) => ConnectOptions::with_token(token.clone()),
        Credentials::NKey(seed) => ConnectOptions::with_nkey(seed.clone()),
        Credentials::File(path) => {
            let (reports, on_event) = (Arc::clone(&reports), Arc::clone(&on_event));
            with_credentials_file(path, move |event| {
                if reports.is_new(event) {
                    on_event(event);
                }
            })
        }
    };
    let connect = if options.tls.is_wanted(&options.urls) { options.tls.configure(connect) } else { connect };
    let connect = if echo == Echo::No { connect.no_echo() } else { connect };
    let credentials = options.credentials.clone();
    connect
        .name(name)
        .retain_servers_order()
        .connection_timeout(CONNECT_TIMEOUT)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            let (reports, on_event) = (Arc::clone(&reports), Arc::clone(&on_event));
            let credentials = credentials.clone();
            async move {
                if reports.is_new(&event) {
                    on_event(&explained(event, credentials).await);
                }
            }
        })
        .connect(&options.urls[..])
        .await
        .map_err(|error| unconnected(options, &error))
}

/// Reads the files that the options name once, so that a mistake in one of them has its path.
async fn check_files(options: &ClusterOptions) -> Result<(), BadFile> {
    let (tls, credentials) = (options.tls.clone(), options.credentials.clone());
    let checked = tokio::task::spawn_blocking(move || {
        if let Credentials::File(path) = credentials {
            credentials::check(&path).map_err(|reason| BadFile { what: "credentials", path, reason })?;
        }
        tls.check()
    });
    // An error means that the runtime ends.
    checked.await.unwrap_or(Ok(()))
}

fn with_credentials_file(path: &Path, on_event: impl Fn(&Event) + Send + Sync + 'static) -> ConnectOptions {
    let (path, on_event) = (path.to_owned(), Arc::new(on_event));
    ConnectOptions::with_auth_callback(move |nonce| {
        let (path, on_event) = (path.clone(), Arc::clone(&on_event));
        async move {
            let proof = tokio::task::spawn_blocking(move || credentials::prove(&path, &nonce)).await;
            proof.unwrap_or_else(|error| Err(error.to_string())).map_err(|reason| {
                // The NATS client itself only says `COULD_NOT_SIGN`.
                on_event(&Event::ClientError(ClientError::Other(reason.clone())));
                AuthError::new(reason)
            })
        }
    })
}

/// The first attempts come soon, as the next of several servers may be there.
fn reconnect_delay(attempts: usize) -> Duration {
    match attempts {
        0..2 => Duration::from_millis(50),
        _ => Duration::from_millis(fastrand::u64(200..300)),
    }
}

/// The last error of the NATS client. Each attempt to connect again repeats it.
#[derive(Default)]
struct Reports(Mutex<Option<String>>);

impl Reports {
    fn is_new(&self, event: &Event) -> bool {
        let mut last = lock(&self.0);
        match event {
            Event::ClientError(ClientError::Other(error)) if error == COULD_NOT_SIGN && last.is_some() => {
                false
            }
            Event::ClientError(error) => {
                let error = Some(error.to_string());
                let is_new = *last != error;
                *last = error;
                is_new
            }
            Event::Connected => {
                *last = None;
                true
            }
            _ => true,
        }
    }
}

/// An event of the NATS client, with what can be said here of refused credentials.
async fn explained(event: Event, credentials: Credentials) -> Event {
    match &event {
        Event::ClientError(ClientError::Other(error)) if error == AUTHORIZATION_VIOLATION => {
            let explained = tokio::task::spawn_blocking(move || credentials.refused()).await;
            explained.map_or(event, |text| Event::ClientError(ClientError::Other(text)))
        }
        _ => event,
    }
}

fn unconnected(options: &ClusterOptions, error: &async_nats::ConnectError) -> Unconnected {
    let may_come = matches!(error.kind(), ConnectErrorKind::TimedOut | ConnectErrorKind::Dns)
        || error.kind() == ConnectErrorKind::Io && options.tls.reason(error).is_none();
    let reason = match error.kind() {
        ConnectErrorKind::AuthorizationViolation => options.credentials.refused(),
        ConnectErrorKind::TimedOut => format!("no connection within {CONNECT_TIMEOUT:?}"),
        _ => options.tls.reason(error).unwrap_or_else(|| error.to_string()),
    };
    Unconnected::Nats { reason, may_come }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_errors_are_reported_once_until_there_is_a_connection() {
        let (reports, error) =
            (Reports::default(), |text: &str| Event::ClientError(ClientError::Other(text.to_owned())));
        assert!(reports.is_new(&error("one")) && !reports.is_new(&error("one")));
        assert!(reports.is_new(&Event::Disconnected) && !reports.is_new(&error("one")));
        assert!(reports.is_new(&error("other")) && reports.is_new(&error("one")));
        assert!(reports.is_new(&Event::Connected) && reports.is_new(&error("one")));
    }
}
