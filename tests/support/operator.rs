//! An operator of NATS with one account, and the credentials files of its users.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// The operator, and its account.
pub struct Operator {
    operator: KeyPair,
    account: KeyPair,
}

/// A user of the account.
pub struct User(KeyPair);

impl Operator {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account() }
    }

    pub fn user(&self) -> User {
        User(KeyPair::new_user())
    }

    /// The configuration of a NATS server that lets in the users of the account, without the revoked ones.
    pub fn server(&self, revoked: &[&User]) -> String {
        let operator = token(&self.operator, &self.operator, 0, json!({ "type": "operator", "version": 2 }));
        let revoked: serde_json::Map<_, _> =
            revoked.iter().map(|user| (user.0.public_key(), Value::from(now() + 60))).collect();
        let account = json!({
            "type": "account", "version": 2, "revocations": revoked,
            "limits": { "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1,
                        "wildcards": true },
        });
        let account = token(&self.operator, &self.account, 0, account);
        format!(
            "operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {}: \"{account}\" }}\n",
            self.account.public_key()
        )
    }

    /// The credentials file of a user. They expire at `expires`, in seconds since 1970; 0 is never.
    pub fn credentials(&self, user: &User, expires: u64) -> String {
        self.credentials_with_seed_of(user, user, expires)
    }

    /// The same with the seed of another user.
    pub fn credentials_with_seed_of(&self, user: &User, other: &User, expires: u64) -> String {
        let claims = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {},
        });
        let token = token(&self.account, &user.0, expires, claims);
        format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\
             NKEYs are sensitive and should be treated as secrets.\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n\n\
             *************************************************************\n",
            other.0.seed().unwrap()
        )
    }
}

/// Now, in seconds since 1970.
pub fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A token (JWT) of NATS.
fn token(issuer: &KeyPair, subject: &KeyPair, expires: u64, claims: Value) -> String {
    let mut all = json!({
        "jti": "TEST", "iat": now() - 10, "iss": issuer.public_key(), "sub": subject.public_key(), "name": "test",
        "nats": claims,
    });
    if expires > 0 {
        all["exp"] = expires.into();
    }
    let encoded = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encoded(json!({ "typ": "JWT", "alg": "ed25519-nkey" })), encoded(all));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}
