//! The authorizer under attack, and row by row of the contract's table.

mod attacks;
mod memory;
mod remote;

use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use domain::ports::registry::WriteRegistry;
use domain::registry::Grant;
use serde_json::{Value, json};
use std::sync::OnceLock;
use testkit::{Fault, ManualClock, MemoryRegistry};

const NOW: Millis = Millis(1_790_000_000_000);
const ORGANIZATION: &str = "1BD6382559DF0C130A49422D@AdobeOrg";

/// A key pair under a key id.
struct Signer {
    pair: KeyPair,
    id: &'static str,
}

impl Signer {
    /// The issuer's key; keys are slow to make.
    fn issuer() -> &'static Self {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(|| Self::generate("issuer-1"))
    }

    /// Somebody else's key, under the issuer's id.
    fn stranger() -> &'static Self {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(|| Self::generate("issuer-1"))
    }

    fn generate(id: &'static str) -> Self {
        Self { pair: KeyPair::generate(KeySize::Rsa2048).unwrap(), id }
    }

    fn jwk(&self) -> Value {
        let public = PublicKeyComponents::<Vec<u8>>::from(self.pair.public_key());
        json!({"kty": "RSA", "kid": self.id, "n": BASE64.encode(public.n), "e": BASE64.encode(public.e)})
    }

    fn sign(&self, message: &str) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        signature
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        format!("{message}.{}", BASE64.encode(self.sign(&message)))
    }
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "issuer-1", "x5u": "ims.cer", "itt": "at"})
}

/// The claims of an AEP token: an hour old, good for a day.
fn claims() -> Value {
    json!({
        "client_id": "key",
        "type": "access_token",
        "created_at": (NOW.0 - 3_600_000).to_string(),
        "expires_in": "86400000",
        "scope": "openid",
    })
}

/// The claims with some replaced; null removes.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// An authorizer with one client, which may act for `prod` and `dev` of one organization.
struct World {
    registry: MemoryRegistry,
    clock: ManualClock,
    issuer: Issuer<remote::Published>,
    grants: Grants,
}

impl World {
    async fn new() -> Self {
        Self::with_keys(vec![Signer::issuer().jwk(), json!({"kty": "EC", "crv": "P-256", "kid": "other"})]).await
    }

    async fn with_keys(keys: Vec<Value>) -> Self {
        let registry = MemoryRegistry::default();
        let grant = |sandboxes: &[&str], permissions: &[&str]| Grant {
            organization: ORGANIZATION.into(),
            sandboxes: sandboxes.iter().map(|s| (*s).into()).collect(),
            permissions: permissions.iter().map(|p| (*p).into()).collect(),
        };
        let grants = vec![grant(&["prod", "dev"], &["export"]), grant(&["prod"], &["delete", "export"])];
        registry.put_client(&Client { api_key: "key".into(), grants }).await.unwrap();
        registry.put_client(&Client { api_key: "other".into(), grants: Vec::new() }).await.unwrap();
        let keys = Keys::Given(KeySet::parse(&json!({ "keys": keys }).to_string()).unwrap());
        let issuer = Issuer { keys, expected: any() };
        Self { registry, clock: ManualClock::at(NOW), issuer, grants: Grants::default() }
    }

    async fn judge(&self, headers: Value) -> Verdict {
        let headers = serde_json::from_value(headers).unwrap();
        handle(&self.registry, &self.clock, &self.issuer, &self.grants, headers).await
    }

    /// The verdict's name on a token with otherwise sound headers.
    async fn on(&self, token: &str) -> &'static str {
        name(&self.judge(headers(token)).await)
    }
}

/// What AEP's own tokens say: their client, and neither issuer nor audience.
fn any() -> Expected {
    Expected { client_claim: "client_id".into(), issuer: None, audience: None }
}

fn headers(token: &str) -> Value {
    json!({"authorization": format!("Bearer {token}"), "x-api-key": "key", "x-gw-ims-org-id": ORGANIZATION})
}

fn sound_token() -> String {
    Signer::issuer().token(&header(), &claims())
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allow(_) => "allow",
        Verdict::Refuse(refusal) => refusal.name(),
    }
}

#[tokio::test]
async fn a_sound_request_is_allowed_with_tenant_client_and_permissions() {
    let world = World::new().await;
    let verdict = world.judge(headers(&sound_token())).await;
    let wanted = json!({
        "verdict": "allow",
        "organization": ORGANIZATION,
        "sandbox": "prod",
        "client": "key",
        "permissions": "delete,export",
    });
    assert_eq!(verdict.to_context(), wanted);
}

#[tokio::test]
async fn every_row_of_the_table_in_its_order() {
    let world = World::new().await;
    let sound = headers(&sound_token());
    let change = |changes: Value| {
        let mut headers = sound.clone();
        for (name, value) in changes.as_object().unwrap() {
            headers[name] = value.clone();
        }
        headers.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        headers
    };
    let nobody = json!(null);
    let cases = [
        (json!({}), "allow"),
        (json!({"authorization": nobody}), "403010"),
        (json!({"authorization": "  "}), "403010"),
        (json!({"authorization": nobody, "x-api-key": nobody, "x-gw-ims-org-id": nobody}), "403010"),
        (json!({"authorization": "Bearer x", "x-api-key": nobody}), "401013"),
        (json!({"authorization": "Bearer", "x-api-key": nobody}), "401013"),
        (json!({"x-api-key": nobody, "x-gw-ims-org-id": nobody}), "403000"),
        (json!({"x-api-key": ""}), "403000"),
        (json!({"x-api-key": "unknown", "x-gw-ims-org-id": nobody}), "403003"),
        (json!({"x-api-key": "key,key"}), "403003"),
        (json!({"x-api-key": "k".repeat(5_000)}), "403003"),
        (json!({"x-api-key": "other", "x-gw-ims-org-id": nobody}), "401013"),
        (json!({"x-gw-ims-org-id": nobody}), "400003"),
        (json!({"x-gw-ims-org-id": "OTHER@AdobeOrg"}), "403025"),
        (json!({"x-gw-ims-org-id": format!("{ORGANIZATION},{ORGANIZATION}")}), "403025"),
        (json!({"x-gw-ims-org-id": ORGANIZATION.to_lowercase()}), "403025"),
        (json!({"x-gw-ims-org-id": format!("{ORGANIZATION}#prod")}), "403025"),
        (json!({"x-sandbox-name": "dev"}), "allow"),
        (json!({"x-sandbox-name": " "}), "allow"),
        (json!({"x-sandbox-name": "staging"}), "403025"),
        (json!({"x-sandbox-name": "prod,dev"}), "403025"),
        (json!({"x-sandbox-name": "Prod"}), "403025"),
    ];
    for (changes, wanted) in cases {
        assert_eq!(name(&world.judge(change(changes.clone())).await), wanted, "{changes}");
    }
}

#[tokio::test]
async fn a_token_counts_only_in_its_time() {
    let world = World::new().await;
    let now = NOW.0 / 1_000;
    let standard = |changes: Value| {
        let mut claims = json!({"client_id": "key", "iat": now - 10, "exp": now + 10});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let cases = [
        ("AEP's", claims(), "allow"),
        ("AEP's with numbers", with(json!({"created_at": NOW.0 - 1_000, "expires_in": 2_000})), "allow"),
        ("AEP's in its last millisecond", with(json!({"created_at": NOW.0 - 1_000, "expires_in": 1_001})), "allow"),
        ("AEP's at its end", with(json!({"created_at": NOW.0 - 1_000, "expires_in": 1_000})), "401013"),
        ("AEP's of tomorrow", with(json!({"created_at": (NOW.0 + 86_400_000).to_string()})), "401013"),
        ("a clock within the skew", with(json!({"created_at": NOW.0 + 60_000})), "allow"),
        ("a clock beyond it", with(json!({"created_at": NOW.0 + 60_001})), "401013"),
        ("AEP's without a length", with(json!({"expires_in": null})), "401013"),
        ("AEP's without a start", with(json!({"created_at": null})), "401013"),
        ("AEP's with a text", with(json!({"expires_in": "long"})), "401013"),
        ("AEP's with an endless length", with(json!({"expires_in": "inf"})), "401013"),
        ("AEP's with no number", with(json!({"expires_in": "nan"})), "401013"),
        ("AEP's beyond all numbers", with(json!({"expires_in": 1e300})), "401013"),
        ("AEP's before its own start", with(json!({"expires_in": "-1"})), "401013"),
        ("a refresh token", with(json!({"type": "refresh_token"})), "401013"),
        ("an id token", with(json!({"token_use": "id"})), "401013"),
        ("an access token of Cognito", with(json!({"token_use": "access"})), "allow"),
        ("nobody's", with(json!({"client_id": ""})), "401013"),
        ("another client's", with(json!({"client_id": "other"})), "401013"),
        ("a number's", with(json!({"client_id": 7})), "401013"),
        ("both kinds, the earlier end", with(json!({"exp": now})), "401013"),
        ("standard", standard(json!({})), "allow"),
        (
            "standard with fractions and text",
            standard(json!({"exp": format!("{}.5", now), "iat": now as f64})),
            "allow",
        ),
        ("standard at its end", standard(json!({"exp": now})), "401013"),
        ("standard, issued tomorrow", standard(json!({"iat": now + 86_400})), "401013"),
        ("standard, not before tomorrow", standard(json!({"nbf": now + 86_400})), "401013"),
        ("endless", standard(json!({"exp": null})), "401013"),
        ("with an aud and an iss", standard(json!({"aud": "any", "iss": "any"})), "allow"),
    ];
    for (what, claims, wanted) in cases {
        assert_eq!(world.on(&Signer::issuer().token(&header(), &claims)).await, wanted, "{what}");
    }
}

#[tokio::test]
async fn a_token_says_what_its_issuer_is_expected_to_say() {
    let mut world = World::new().await;
    world.issuer.expected =
        Expected { client_claim: "azp".into(), issuer: Some("https://i/".into()), audience: Some("jobs".into()) };
    let sound = with(json!({"azp": "key", "client_id": "other", "iss": "https://i/", "aud": "jobs"}));
    let cases = [
        (json!({}), "allow"),
        (json!({"aud": ["mail", "jobs"]}), "allow"),
        (json!({"aud": "job"}), "401013"),
        (json!({"aud": ["mail"]}), "401013"),
        (json!({"aud": {"jobs": 1}}), "401013"),
        (json!({"aud": null}), "401013"),
        (json!({"iss": "https://i"}), "401013"),
        (json!({"iss": ["https://i/"]}), "401013"),
        (json!({"iss": null}), "401013"),
        (json!({"azp": null}), "401013"),
        (json!({"azp": ["key"]}), "401013"),
        (json!({"azp": "other", "client_id": "key"}), "401013"),
    ];
    for (changes, wanted) in cases {
        let mut claims = sound.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        assert_eq!(world.on(&Signer::issuer().token(&header(), &claims)).await, wanted, "{changes}");
    }
}

#[tokio::test]
async fn the_casing_of_a_headers_name_changes_nothing() {
    let world = World::new().await;
    let shouted = json!({
        "AUTHORIZATION": format!("bearer {}", sound_token()),
        "X-Api-Key": "key",
        "X-GW-IMS-Org-Id": ORGANIZATION,
        "X-Sandbox-Name": "dev",
    });
    assert_eq!(world.judge(shouted).await.to_context()["sandbox"], "dev");
}

#[tokio::test]
async fn an_only_key_needs_no_id_and_several_do() {
    let without_id = |mut header: Value| {
        header.as_object_mut().unwrap().remove("kid");
        header
    };
    let nameless = Signer::issuer().token(&without_id(header()), &claims());
    let (first, second) = (Signer::issuer().jwk(), json!({"kid": "issuer-0"}));
    let mut other = Signer::stranger().jwk();
    other["kid"] = second["kid"].clone();
    assert_eq!(World::with_keys(vec![first.clone()]).await.on(&nameless).await, "allow");
    assert_eq!(World::with_keys(vec![without_id(first.clone())]).await.on(&sound_token()).await, "allow");
    let several = World::with_keys(vec![other, first]).await;
    assert_eq!(several.on(&nameless).await, "401013");
    assert_eq!(several.on(&sound_token()).await, "allow");
    assert_eq!(World::with_keys(Vec::new()).await.on(&sound_token()).await, "401013");
}

#[test]
fn only_signing_keys_count_and_broken_ones_are_told() {
    let set = |change: Value| {
        let mut key = Signer::issuer().jwk();
        for (name, value) in change.as_object().unwrap() {
            key[name] = value.clone();
        }
        KeySet::parse(&json!({ "keys": [key] }).to_string())
    };
    let verifies = |change: Value| set(change).unwrap().verify(&sound_token()).is_some();
    assert!(verifies(json!({"use": "sig", "alg": "RS256", "x5c": ["…"], "key_ops": ["verify"]})));
    assert!(!verifies(json!({"use": "enc"})));
    assert!(!verifies(json!({"alg": "RS384"})));
    assert!(!verifies(json!({"kty": "oct"})));
    assert!(matches!(set(json!({"n": "§"})), Err(BadKeySet)));
    assert!(matches!(set(json!({"e": ""})), Err(BadKeySet)));
    assert!(matches!(KeySet::parse("[]"), Err(BadKeySet)));
    assert!(matches!(KeySet::parse("{}"), Err(BadKeySet)));
}
