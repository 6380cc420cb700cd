//! Keys that the issuer publishes: when it is asked, and what holds while it does not answer.

use super::*;
use std::sync::Mutex;

/// An issuer that publishes a key set, or does not answer, and counts how often it is asked.
#[derive(Debug, Default)]
pub struct Published {
    set: Mutex<Option<String>>,
    asked: Mutex<u32>,
}

impl FetchKeys for Published {
    async fn fetch(&self) -> Result<String, FetchError> {
        *self.asked.lock().unwrap() += 1;
        self.set.lock().unwrap().clone().ok_or(FetchError::Status(500))
    }
}

impl FetchKeys for &'static Published {
    async fn fetch(&self) -> Result<String, FetchError> {
        Published::fetch(self).await
    }
}

impl Published {
    /// One that publishes these keys, for a test's whole run.
    fn new(keys: &[Value]) -> &'static Self {
        let published: &'static Self = Box::leak(Box::default());
        published.publish(keys);
        published
    }

    fn publish(&self, keys: &[Value]) {
        *self.set.lock().unwrap() = Some(json!({ "keys": keys }).to_string());
    }

    fn fall_silent(&self) {
        *self.set.lock().unwrap() = None;
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }

    fn issuer(&'static self) -> Issuer<&'static Self> {
        Issuer { keys: Keys::Fetched(RemoteKeys::new(self)), expected: any() }
    }
}

/// Whether the issuer's word is taken, so many seconds after the start; "silent" where nobody can say.
async fn after(issuer: &Issuer<&'static Published>, seconds: i64, token: &str) -> &'static str {
    match issuer.judge(token, NOW.plus_seconds(seconds)).await {
        Ok(Some(_)) => "taken",
        Ok(None) => "refused",
        Err(NoKeys) => "silent",
    }
}

/// A token of the issuer's next key, and that key.
fn next() -> (String, Value) {
    let mut key = Signer::stranger().jwk();
    key["kid"] = json!("issuer-2");
    (Signer::stranger().token(&json!({"alg": "RS256", "kid": "issuer-2"}), &claims()), key)
}

#[tokio::test]
async fn the_set_is_fetched_for_the_first_token_and_again_after_an_hour() {
    let published = Published::new(&[Signer::issuer().jwk()]);
    let issuer = published.issuer();
    assert_eq!(published.asked(), 0);
    for (seconds, asked) in [(0, 1), (1, 1), (3_599, 1), (3_600, 2), (3_601, 2)] {
        assert_eq!(after(&issuer, seconds, &sound_token()).await, "taken");
        assert_eq!(published.asked(), asked, "after {seconds} s");
    }
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_forgotten() {
    let (token, key) = next();
    let published = Published::new(&[Signer::issuer().jwk(), json!({"kty": "RSA", "kid": "x", "use": "enc"})]);
    let issuer = published.issuer();
    assert_eq!(after(&issuer, 0, &token).await, "refused");
    published.publish(&[key.clone(), Signer::issuer().jwk()]);
    assert_eq!(after(&issuer, 61, &token).await, "taken");
    published.publish(&[key.clone(), key]);
    assert_eq!(after(&issuer, 62, &sound_token()).await, "taken");
    assert_eq!(after(&issuer, 3_700, &sound_token()).await, "refused");
}

#[tokio::test]
async fn tokens_with_invented_key_ids_ask_the_issuer_once_a_minute() {
    let published = Published::new(&[Signer::issuer().jwk()]);
    let issuer = published.issuer();
    for second in 0..180 {
        let invented = json!({"alg": "RS256", "kid": format!("invented-{second}")});
        assert_eq!(after(&issuer, second, &Signer::stranger().token(&invented, &claims())).await, "refused");
    }
    assert_eq!(published.asked(), 3);
}

#[tokio::test]
async fn what_nobody_can_have_signed_does_not_ask_again() {
    let published = Published::new(&[Signer::issuer().jwk()]);
    let issuer = published.issuer();
    let none = format!("{}.", message(&json!({"alg": "none", "kid": "invented"}), &claims()));
    let forged = Signer::stranger().token(&header(), &claims());
    for token in ["x", "a.b.c", &none, &forged] {
        assert_eq!(after(&issuer, 600, token).await, "refused", "{token}");
    }
    assert_eq!(published.asked(), 1);
}

#[tokio::test]
async fn a_silent_issuers_keys_hold_for_a_day() {
    let published = Published::new(&[Signer::issuer().jwk()]);
    let issuer = published.issuer();
    let token = Signer::issuer().token(&header(), &with(json!({"expires_in": "999999999999"})));
    assert_eq!(after(&issuer, 0, &token).await, "taken");
    published.fall_silent();
    for (seconds, wanted) in [(3_600, "taken"), (86_399, "taken"), (86_400, "silent")] {
        assert_eq!(after(&issuer, seconds, &token).await, wanted, "after {seconds} s");
    }
    published.publish(&[Signer::issuer().jwk()]);
    assert_eq!(after(&issuer, 86_460, &token).await, "taken");
}

#[tokio::test]
async fn an_issuer_that_never_answered_refuses_nobody_and_is_asked_every_five_seconds() {
    let published = Published::new(&[]);
    published.fall_silent();
    let issuer = published.issuer();
    for second in 0..10 {
        assert_eq!(after(&issuer, second, &sound_token()).await, "silent");
    }
    assert_eq!(published.asked(), 2);
    *published.set.lock().unwrap() = Some("<html>".into());
    assert_eq!(after(&issuer, 10, &sound_token()).await, "silent");
    published.publish(&[Signer::issuer().jwk()]);
    assert_eq!(after(&issuer, 15, &sound_token()).await, "taken");
}

#[tokio::test]
async fn a_request_that_nobody_can_judge_is_told_to_come_again() {
    let world = World::new().await;
    let silent = Issuer { keys: Keys::Fetched(RemoteKeys::new(Published::default())), expected: any() };
    let headers = serde_json::from_value(headers(&sound_token())).unwrap();
    let verdict = handle(&world.registry, &world.clock, &silent, &world.grants, headers).await;
    assert_eq!(name(&verdict), "unavailable");
}

#[test]
fn keys_are_given_as_json_or_as_a_url() {
    assert!(matches!(Keys::parse(r#"{"keys":[]}"#), Ok(Keys::Given(_))));
    assert!(matches!(Keys::parse("https://issuer.example/keys"), Ok(Keys::Fetched(_))));
    assert!(Keys::parse("http://issuer.example/keys").unwrap_err().contains("https URL"));
    assert!(Keys::parse("{}").unwrap_err().contains("JSON Web Key Set"));
}
