//! Certificates for TLS: an authority of a test's own, and what it issues.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority, and the directory that its files are in.
pub struct Authority {
    directory: PathBuf,
    name: &'static str,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(directory: &Path, name: &'static str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.join(format!("{name}.pem")), certificate.pem()).unwrap();
        Self { directory: directory.to_owned(), name, issuer: Issuer::new(params, key) }
    }

    /// The file of its own certificate.
    pub fn root(&self) -> PathBuf {
        self.directory.join(format!("{}.pem", self.name))
    }

    /// Issues a certificate for a host or an IP address. Returns its file, and that of its key.
    pub fn issue(&self, host: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str| self.directory.join(format!("{} {host}.{end}", self.name));
        std::fs::write(file("pem"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        (file("pem"), file("key"))
    }

    /// The configuration of a NATS server with a certificate of this authority for `host`. It demands the certificates of
    /// its clients where `of_clients` is an authority.
    pub fn server(&self, host: &str, of_clients: Option<&Self>) -> String {
        let (certificate, key) = self.issue(host);
        let verify = of_clients.map_or_else(String::new, |authority| {
            format!("ca_file: \"{}\", verify: true", authority.root().display())
        });
        format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\", {verify} }}",
            certificate.display(),
            key.display()
        )
    }
}
