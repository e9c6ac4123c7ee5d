//! What the NATS server lets this node in for. A credentials file is read again for each connection, so that a new one
//! takes effect without a restart.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_nats::Auth;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde::Deserialize;

use super::file;

#[derive(Clone)]
pub(super) enum Credentials {
    None,
    User(String, String),
    Token(String),
    NKey(String),
    File(PathBuf),
}

/// What a credentials file holds: who the user is, signed by the account, and the key that proves it.
struct User {
    token: String,
    expires: Option<SystemTime>,
    key: KeyPair,
}

/// What the token of a user says, as far as it matters here.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "sub")]
    public_key: String,
    /// Seconds since 1970; 0 is never.
    #[serde(rename = "exp", default)]
    expires: u64,
}

impl User {
    /// Reads the file. The error is a reason, without the path.
    fn read(path: &Path) -> Result<Self, String> {
        let text = String::from_utf8(file::read(path)?).map_err(|_| "it is not text".to_owned())?;
        let block = |kind: &str| {
            let lines = text.lines().map(str::trim);
            let mut inside =
                lines.skip_while(|line| !(line.contains("BEGIN") && line.contains(kind))).skip(1);
            inside.find(|line| !line.is_empty()).map(str::to_owned)
        };
        let missing = |what: &str| format!("it holds no {what}: `nsc generate creds` writes such a file");
        let token = block("JWT").ok_or_else(|| missing("JWT of a user"))?;
        let seed = block("SEED").ok_or_else(|| missing("seed of a user"))?;
        let claims = claims(&token).ok_or_else(|| missing("readable JWT of a user"))?;
        // The error of the crate could show the seed.
        let key = KeyPair::from_seed(&seed).map_err(|_| missing("readable seed of a user"))?;
        if key.public_key() != claims.public_key {
            return Err("its seed is not that of the user in its JWT".to_owned());
        }
        let expires = (claims.expires > 0).then(|| Duration::from_secs(claims.expires));
        let expires = expires.and_then(|since_1970| SystemTime::UNIX_EPOCH.checked_add(since_1970));
        Ok(Self { token, expires, key })
    }
}

fn claims(token: &str) -> Option<Claims> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok()
}

/// Why a credentials file can't be used; `Ok` if it can.
pub(super) fn check(path: &Path) -> Result<(), String> {
    User::read(path).map(drop)
}

/// Proves who the user of a credentials file is, by signing what the NATS server sent.
pub(super) fn prove(path: &Path, nonce: &[u8]) -> Result<Auth, String> {
    let in_file = |reason: String| format!("the credentials in {}: {reason}", path.display());
    let user = User::read(path).map_err(in_file)?;
    let signature = user.key.sign(nonce).map_err(|error| in_file(error.to_string()))?;
    let mut auth = Auth::new();
    (auth.jwt, auth.signature) = (Some(user.token), Some(signature));
    Ok(auth)
}

impl Credentials {
    /// What can be said here of why the NATS server refuses them.
    pub(super) fn refused(&self) -> String {
        let refused = "the NATS server refuses these credentials (authorization violation)";
        let Self::File(path) = self else { return refused.to_owned() };
        let expires = User::read(path).ok().and_then(|user| user.expires);
        let expired = expires.and_then(|expires| SystemTime::now().duration_since(expires).ok());
        let path = path.display();
        match expired {
            Some(ago) => format!("{refused}: those in {path} expired {} s ago", ago.as_secs()),
            None => format!("{refused}: those in {path} may be revoked, or of another account"),
        }
    }
}
