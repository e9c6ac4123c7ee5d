//! The options of a node.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::credentials::Credentials;
use super::error::JoinError;
use super::tls::Tls;

/// How a server joins a domain: where NATS is, and within which bounds.
///
/// ```
/// use socket_ipc::cluster::ClusterOptions;
/// use std::time::Duration;
///
/// let options = ClusterOptions::new("nats://10.0.0.1:4222", "jobs")
///     .url("nats://10.0.0.2:4222")
///     .name("host-a")
///     .user_and_password("host-a", "secret")
///     .silence(Duration::from_secs(5));
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a server joins with them"]
pub struct ClusterOptions {
    pub(super) urls: Vec<String>,
    pub(super) domain: String,
    pub(super) name: String,
    pub(super) credentials: Credentials,
    pub(super) tls: Tls,
    pub(super) silence: Duration,
    pub(super) outgoing_len: usize,
    pub(super) incoming_len: usize,
    pub(super) max_requests: usize,
    pub(super) accepts_foreign_inboxes: bool,
}

/// The longest name of a domain or a node, in bytes.
const NAME_LEN: usize = 128;

impl ClusterOptions {
    /// Begins the options with the URL of a NATS server and the domain.
    ///
    /// A domain is an account of topics: servers of two domains share a NATS server without meeting. A URL is
    /// `nats://HOST:PORT`, without credentials, or `tls://HOST:PORT`, which has all connections encrypted, those to other
    /// URLs included. The certificate of the NATS server has to be for HOST. TLS is version 1.3.
    pub fn new(url: impl Into<String>, domain: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            domain: domain.into(),
            name: "node".to_owned(),
            credentials: Credentials::None,
            tls: Tls::default(),
            silence: Duration::from_secs(3),
            outgoing_len: 8 * 1024 * 1024,
            incoming_len: 64 * 1024 * 1024,
            max_requests: 8192,
            accepts_foreign_inboxes: false,
        }
    }

    /// Adds the URL of another server of the same NATS, for when those before it are down.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Sets the name of this node: `node` unless set. Its permissions in NATS are for this name. Of one name, 256 nodes
    /// that are up are known to the others.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the user and the password.
    pub fn user_and_password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Credentials::User(user.into(), password.into());
        self
    }

    /// Sets the token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Credentials::Token(token.into());
        self
    }

    /// Sets the seed of an NKey, which begins with `SU`. It never leaves this process.
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.credentials = Credentials::NKey(seed.into());
        self
    }

    /// Sets a credentials file, as `nsc generate creds` writes it: the JWT of a user, and its seed, which never leaves this
    /// process.
    ///
    /// The file is read for each connection, so that renewed credentials take effect without a restart. One that can't be
    /// used is an error of [`join`](super::Cluster::join), and later an event
    /// ([`Error`](super::ClusterEvent::Error)).
    ///
    /// ```
    /// # use socket_ipc::cluster::ClusterOptions;
    /// let options = ClusterOptions::new("tls://nats.example.org:4222", "jobs")
    ///     .credentials_file("/etc/jobs/host-a.creds")
    ///     .root_certificates("/etc/jobs/root.pem")
    ///     .client_certificate("/etc/jobs/host-a.pem", "/etc/jobs/host-a.key");
    /// ```
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Credentials::File(path.into());
        self
    }

    /// Trusts NATS servers whose certificates were issued by one of the roots in this PEM file, in place of the roots that
    /// the system trusts. It may be called for several files.
    ///
    /// All connections are encrypted then, whatever their URLs begin with. The file is read for each connection.
    pub fn root_certificates(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.roots.push(path.into());
        self
    }

    /// Sets the certificate that this node shows to the NATS server, and its private key: two PEM files, which may be one.
    ///
    /// All connections are encrypted then, whatever their URLs begin with. The files are read for each connection.
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.client = Some((certificate.into(), key.into()));
        self
    }

    /// Sets for how long a node may give no sign of life: 3 s unless set, at least 1.5 s.
    ///
    /// Every node gives one each second. A node that is silent for longer is gone
    /// ([`NodeDown`](super::ClusterEvent::NodeDown)), and the requests that it has are
    /// [`Lost`](super::ClusterError::Lost).
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence.max(Duration::from_millis(1500));
        self
    }

    /// Sets how much may wait for the NATS server, in bytes: 8 MiB unless set.
    ///
    /// Beyond it, `broadcast` fails with [`QueueFull`](super::BroadcastError::QueueFull), and `broadcast_async` waits.
    pub fn outgoing_len(mut self, bytes: usize) -> Self {
        self.outgoing_len = bytes;
        self
    }

    /// Sets how much of the other nodes' broadcasts and beats may wait for room at the clients of this one, in bytes: 64 MiB
    /// unless set.
    ///
    /// Beyond it broadcasts are dropped, and counted by [`Lagged`](super::ClusterEvent::Lagged).
    pub fn incoming_len(mut self, bytes: usize) -> Self {
        self.incoming_len = bytes;
        self
    }

    /// Sets how many requests to other nodes may be pending at once: 8192 unless set.
    pub fn max_requests(mut self, requests: usize) -> Self {
        self.max_requests = requests;
        self
    }

    /// Lets programs without this library send requests to the topics that this node offers. Off unless called.
    ///
    /// Their replies go to subjects beginning with `_INBOX.`, as every NATS client makes them. The account of this node
    /// needs the permission to publish there.
    pub fn accept_foreign_inboxes(mut self) -> Self {
        self.accepts_foreign_inboxes = true;
        self
    }

    pub(super) fn check(&self) -> Result<(), JoinError> {
        for (what, name) in [("domain", &self.domain), ("node", &self.name)] {
            if name.is_empty() || name.len() > NAME_LEN {
                return Err(JoinError::Name { what, len: name.len(), limit: NAME_LEN });
            }
        }
        if self.urls.is_empty() {
            return Err(JoinError::NoUrl { domain: self.domain.clone() });
        }
        for url in &self.urls {
            let behind_scheme = url.split_once("://").map_or(&**url, |(_, rest)| rest);
            let authority = behind_scheme.split(['/', '?', '#']).next().unwrap_or_default();
            if let Some((_, host)) = authority.rsplit_once('@') {
                return Err(JoinError::CredentialsInUrl {
                    domain: self.domain.clone(),
                    host: host.to_owned(),
                });
            }
        }
        Ok(())
    }
}

// Not derived: it would show the password.
impl fmt::Debug for ClusterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterOptions")
            .field("urls", &self.urls)
            .field("domain", &self.domain)
            .field("name", &self.name)
            .field("silence", &self.silence)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_with_credentials_is_an_error_that_does_not_show_them() {
        for url in
            ["nats://user:secret@host:4222", "user:secret@host", "nats://secret@host/x", "tls://a:b@c@host"]
        {
            let error = ClusterOptions::new(url, "jobs").check().unwrap_err();
            let text = error.to_string();
            assert!(text.contains("host") && text.contains("`user_and_password`"), "{text}");
            assert!(!text.contains("secret") && !text.contains("a:b"), "{text}");
        }
        assert!(ClusterOptions::new("nats://host:4222/@", "jobs").check().is_ok());
    }

    #[test]
    fn name_empty_or_too_long_is_an_error() {
        assert!(matches!(ClusterOptions::new("a", "").check(), Err(JoinError::Name { what: "domain", .. })));
        let long = ClusterOptions::new("a", "b").name("n".repeat(129));
        assert!(matches!(long.check(), Err(JoinError::Name { what: "node", len: 129, limit: 128 })));
    }
}
