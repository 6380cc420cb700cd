//! Tokens that were forged, blown up or stolen.

use super::*;
use aws_lc_rs::{digest, hmac};

#[tokio::test]
async fn tokens_that_their_key_did_not_sign_are_refused() {
    let world = World::new().await;
    let issuer = Signer::issuer();
    let sound = sound_token();
    let (signed, signature) = sound.rsplit_once('.').unwrap();
    let none = json!({"alg": "none", "kid": "issuer-1"});
    let hmac_header = json!({"alg": "HS256", "kid": "issuer-1"});
    let hmac_message = message(&hmac_header, &claims());
    let hmac_with = |secret: &[u8]| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), hmac_message.as_bytes());
        format!("{hmac_message}.{}", BASE64.encode(tag))
    };
    let modulus = issuer.jwk()["n"].as_str().unwrap().to_owned();
    let mut own_key = header();
    own_key["jwk"] = Signer::stranger().jwk();
    let mut own_url = header();
    own_url["jku"] = json!("https://stranger.example/keys");
    let mut critical = header();
    critical["crit"] = json!(["b64"]);
    let digest = BASE64.encode(digest::digest(&digest::SHA256, signed.as_bytes()));
    let forged = [
        ("no algorithm", format!("{}.", message(&none, &claims()))),
        ("no algorithm, old signature", format!("{}.{signature}", message(&none, &claims()))),
        ("no signature", format!("{signed}.")),
        ("only two parts", signed.to_owned()),
        ("four parts", format!("{sound}.x")),
        ("HMAC with the public key's text", hmac_with(modulus.as_bytes())),
        ("HMAC with the public key's bytes", hmac_with(&BASE64.decode(&modulus).unwrap())),
        ("another RSA algorithm", issuer.token(&json!({"alg": "RS512", "kid": "issuer-1"}), &claims())),
        ("a stranger's key under the same id", Signer::stranger().token(&header(), &claims())),
        ("a key of its own in the header", Signer::stranger().token(&own_key, &claims())),
        ("a key set of its own in the header", Signer::stranger().token(&own_url, &claims())),
        ("an algorithm of other casing", issuer.token(&json!({"alg": "rs256", "kid": "issuer-1"}), &claims())),
        ("a probabilistic signature's name", issuer.token(&json!({"alg": "PS256", "kid": "issuer-1"}), &claims())),
        ("an unknown key id", issuer.token(&json!({"alg": "RS256", "kid": "issuer-2"}), &claims())),
        ("a key of another kind", issuer.token(&json!({"alg": "RS256", "kid": "other"}), &claims())),
        ("an extension that must be understood", issuer.token(&critical, &claims())),
        ("claims changed after signing", format!("{}.{signature}", message(&header(), &with(json!({"scope": "all"}))))),
        ("a digest for a signature", format!("{signed}.{digest}")),
        ("characters of no token", sound.replace('.', " . ")),
        ("two tokens", format!("{sound},Bearer {sound}")),
        ("nothing", String::new()),
        ("no JSON inside", issuer.token(&header(), &json!("text"))),
    ];
    for (what, token) in forged {
        assert_eq!(world.on(&token).await, "401013", "{what}");
    }
    assert_eq!(world.on(&sound).await, "allow");
    let basic = json!({"authorization": format!("Basic {sound}"), "x-api-key": "key", "x-gw-ims-org-id": ORGANIZATION});
    assert_eq!(name(&world.judge(basic).await), "401013");
}

#[tokio::test]
async fn an_oversized_token_is_refused_whatever_signed_it() {
    let world = World::new().await;
    let huge = Signer::issuer().token(&header(), &with(json!({"scope": "x".repeat(8 * 1024)})));
    assert_eq!(world.on(&huge).await, "401013");
}

#[tokio::test]
async fn a_token_cannot_be_replayed_for_another_organization_client_or_sandbox() {
    let world = World::new().await;
    let tenant = Tenant::new("OTHER@AdobeOrg", "prod").unwrap();
    world.registry.put_client(&testkit::fixtures::client(&tenant, "neighbour")).await.unwrap();
    let sound = headers(&sound_token());
    assert_eq!(name(&world.judge(sound.clone()).await), "allow");
    let cases = [
        (json!({"x-gw-ims-org-id": "OTHER@AdobeOrg"}), "403025"),
        (json!({"x-gw-ims-org-id": "OTHER@AdobeOrg", "x-api-key": "neighbour"}), "401013"),
        (json!({"x-api-key": "neighbour"}), "401013"),
        (json!({"x-sandbox-name": "staging"}), "403025"),
    ];
    for (changes, wanted) in cases {
        let mut changed = sound.clone();
        for (name, value) in changes.as_object().unwrap() {
            changed[name] = value.clone();
        }
        assert_eq!(name(&world.judge(changed).await), wanted, "{changes}");
    }
}
