//! TLS between this node and the NATS server: the certificates, and what a failed handshake means.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::rustls::pki_types::pem::PemObject as _;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore, crypto};
use async_nats::{ConnectError, ConnectOptions};

use super::file::{self, BadFile};

/// The files that the options name. The NATS client reads them again for each connection.
#[derive(Clone, Default)]
pub(super) struct Tls {
    pub(super) roots: Vec<PathBuf>,
    /// The certificate, and its key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Whether the options ask for TLS.
    pub(super) fn is_wanted(&self, urls: &[String]) -> bool {
        let is_tls = |url: &String| url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tls://"));
        !self.roots.is_empty() || self.client.is_some() || urls.iter().any(is_tls)
    }

    /// Reads all files once, because the NATS client does not say which of them it can't use.
    pub(super) fn check(&self) -> Result<(), BadFile> {
        let mut roots = RootCertStore::empty();
        for path in &self.roots {
            let bad = |reason| BadFile { what: "root certificates", path: path.clone(), reason };
            for certificate in certificates(path).map_err(bad)? {
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            }
        }
        let Some((path, key_path)) = &self.client else { return Ok(()) };
        let bad = |reason| BadFile { what: "client certificate", path: path.clone(), reason };
        let bad_key =
            |reason| BadFile { what: "key of the client certificate", path: key_path.clone(), reason };
        let certificates = certificates(path).map_err(bad)?;
        let key = file::read(key_path).map_err(bad_key)?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| bad_key(format!("it holds no private key in PEM form: {error}")))?;
        ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(error.to_string()))?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates, key)
            .map_err(|error| {
                bad_key(format!("it can't be used with the certificate in {}: {error}", path.display()))
            })?;
        Ok(())
    }

    /// Has the NATS client connect with TLS.
    pub(super) fn configure(&self, mut connect: ConnectOptions) -> ConnectOptions {
        // Without one, rustls panics where a program is built with two of them. It is what rustls does by itself
        // where there is but one.
        if crypto::CryptoProvider::get_default().is_none() {
            let _ = crypto::ring::default_provider().install_default();
        }
        for root in &self.roots {
            connect = connect.add_root_certificates(root.clone());
        }
        if let Some((certificate, key)) = &self.client {
            connect = connect.add_client_certificate(certificate.clone(), key.clone());
        }
        // Also where another server of the same NATS is found, or one that offers none.
        connect.require_tls(true)
    }

    /// Why a handshake failed, in terms of the options.
    pub(super) fn reason(&self, error: &ConnectError) -> Option<String> {
        let error = error.source()?.downcast_ref::<std::io::Error>()?;
        let error = error.get_ref()?.downcast_ref::<Error>()?;
        Some(match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                format!("the certificate of the NATS server was issued by none of {}", self.roots_in_words())
            }
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => format!("the certificate of the NATS server is not for the host in its URL: {error}"),
            Error::InvalidCertificate(_) => {
                format!("the certificate of the NATS server is not valid: {error}")
            }
            Error::AlertReceived(alert) => self.alert(*alert),
            Error::InvalidMessage(_) => format!("the NATS server does not speak TLS: {error}"),
            other => format!("TLS with the NATS server failed: {other}"),
        })
    }

    fn roots_in_words(&self) -> String {
        if self.roots.is_empty() {
            return "the roots of this system, and no root of its own was given".to_owned();
        }
        let paths: Vec<_> = self.roots.iter().map(|path| path.display().to_string()).collect();
        format!("the roots in {}", paths.join(", "))
    }

    fn alert(&self, alert: AlertDescription) -> String {
        match &self.client {
            Some((path, _)) => format!(
                "the NATS server refuses the client certificate in {} (TLS alert {alert:?})",
                path.display()
            ),
            None if matches!(
                alert,
                AlertDescription::CertificateRequired | AlertDescription::BadCertificate
            ) =>
            {
                format!(
                    "the NATS server demands a client certificate, and none was given (TLS alert {alert:?})"
                )
            }
            None => format!("the NATS server ended the TLS handshake (TLS alert {alert:?})"),
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = file::read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err("it holds no certificate in PEM form".to_owned()),
        Err(error) => Err(format!("it holds no certificates in PEM form: {error}")),
    }
}
