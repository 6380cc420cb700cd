//! Tokens as AEP's IMS issues them, signed with a key of one's own: what the local stack, and a deployment that trusts
//! that key's set, accept.

use crate::failure::Failure;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::instant::Millis;
use serde_json::json;
use std::io::{ErrorKind, Write};
use std::path::Path;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// An RSA key and its key set.
#[derive(Debug)]
pub struct LocalKey {
    key: KeyPair,
    key_id: String,
    /// The key set (RFC 7517) that tokens of this key are verified with.
    pub jwks_json: String,
}

/// The key in `dir/key.pem`, made on first use and readable by its owner only.
pub fn local_key(dir: &Path) -> Result<LocalKey, Failure> {
    let path = dir.join("key.pem");
    match std::fs::read_to_string(&path) {
        Ok(_) => return read_key(&path),
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(Failure::file(&path, e)),
    }
    std::fs::create_dir_all(dir).map_err(|e| Failure::file(dir, e))?;
    let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| Failure::say("a key could not be made."))?;
    let der = key.as_der().map_err(|_| Failure::say("a key could not be written."))?;
    // Under a name of its own first, so that nobody ever reads half a key; the link fails where another came first.
    let draft = dir.join(format!("key-{}.pem", uuid::Uuid::new_v4()));
    write_private(&draft, &to_pem(der.as_ref())).map_err(|e| Failure::file(&draft, e))?;
    let linked = std::fs::hard_link(&draft, &path);
    std::fs::remove_file(&draft).map_err(|e| Failure::file(&draft, e))?;
    match linked {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(Failure::file(&path, e)),
        _ => read_key(&path),
    }
}

/// The key of a PEM file (PKCS #8, RSA).
pub fn read_key(path: &Path) -> Result<LocalKey, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, e))?;
    let key = from_pem(&text)
        .and_then(|der| KeyPair::from_pkcs8(&der).ok())
        .ok_or_else(|| Failure::say(format!("{} is no RSA private key in PEM form (PKCS #8).", path.display())))?;
    Ok(LocalKey::new(key))
}

impl LocalKey {
    fn new(key: KeyPair) -> Self {
        let public = PublicKeyComponents::<Vec<u8>>::from(key.public_key());
        let (n, e) = (URL_SAFE_NO_PAD.encode(&public.n), URL_SAFE_NO_PAD.encode(&public.e));
        // RFC 7638: the thumbprint of the key is its id.
        let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, canonical.as_bytes());
        let key_id = URL_SAFE_NO_PAD.encode(digest);
        let set = json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id, "n": n, "e": e}]});
        Self { key, key_id, jwks_json: set.to_string() }
    }

    /// A bearer token (RS256) of a client, good for `expires_in_ms` milliseconds from `created_at` on.
    pub fn token(&self, client_id: &str, created_at: Millis, expires_in_ms: i64) -> Result<String, Failure> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let claims = json!({
            "client_id": client_id,
            "created_at": created_at.0.to_string(),
            "expires_in": expires_in_ms.to_string(),
        });
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| Failure::say("the token could not be signed."))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn to_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", lines.join("\n"))
}

fn from_pem(text: &str) -> Option<Vec<u8>> {
    let body = text.split_once(PEM_BEGIN)?.1.split_once(PEM_END)?.0;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

    fn verified(token: &str, jwks_json: &str) -> Option<serde_json::Value> {
        let set: JwkSet = serde_json::from_str(jwks_json).unwrap();
        let key = set.find(&decode_header(token).unwrap().kid.unwrap())?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        decode(token, &DecodingKey::from_jwk(key).unwrap(), &validation).ok().map(|t| t.claims)
    }

    #[test]
    fn a_token_verifies_against_the_key_set_and_carries_only_imss_claims() {
        let dir = tempfile::tempdir().unwrap();
        let key = local_key(dir.path()).unwrap();
        let token = key.token("segment-export-local", Millis(1_780_272_000_000), 86_400_000).unwrap();
        let expected = json!({
            "client_id": "segment-export-local", "created_at": "1780272000000", "expires_in": "86400000"
        });
        assert_eq!(verified(&token, &key.jwks_json), Some(expected));
        let other = local_key(tempfile::tempdir().unwrap().path()).unwrap();
        assert_eq!(verified(&token, &other.jwks_json), None);
    }

    #[test]
    fn the_key_is_made_once_and_read_ever_after() {
        let dir = tempfile::tempdir().unwrap();
        let auth = dir.path().join("auth");
        let first = local_key(&auth).unwrap();
        let again = local_key(&auth).unwrap();
        assert_eq!(first.jwks_json, again.jwks_json);
        assert_eq!(std::fs::read_dir(&auth).unwrap().count(), 1);
        let token = first.token("a", Millis(0), 1).unwrap();
        assert!(verified(&token, &again.jwks_json).is_some());
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        std::fs::write(&path, "hello").unwrap();
        let error = local_key(dir.path()).unwrap_err().to_string();
        assert!(error.contains("key.pem is no RSA private key"), "{error}");
    }
}
