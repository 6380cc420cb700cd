//! What the authorizer remembers of grants, and for how long.

use super::*;

#[tokio::test]
async fn a_grant_is_remembered_for_five_minutes_and_no_longer() {
    let world = World::new().await;
    let token = sound_token();
    assert_eq!(world.on(&token).await, "allow");
    let ungranted = Client { api_key: "key".into(), grants: Vec::new() };
    world.registry.put_client(&ungranted).await.unwrap();
    world.clock.advance_seconds(299);
    assert_eq!(world.on(&token).await, "allow");
    world.clock.advance_seconds(1);
    assert_eq!(world.on(&token).await, "403025");
}

#[tokio::test]
async fn a_remembered_grant_never_outlives_its_token() {
    let world = World::new().await;
    let token = Signer::issuer().token(&header(), &with(json!({"created_at": NOW.0, "expires_in": 60_000})));
    assert_eq!(world.on(&token).await, "allow");
    world.clock.advance_seconds(59);
    assert_eq!(world.on(&token).await, "allow");
    world.clock.advance_seconds(1);
    assert_eq!(world.on(&token).await, "401013");
}

#[tokio::test]
async fn a_grant_is_remembered_for_the_very_same_headers_only() {
    let world = World::new().await;
    let sound = headers(&sound_token());
    assert_eq!(name(&world.judge(sound.clone()).await), "allow");
    let others = [
        ("authorization", "Bearer x", "401013"),
        ("x-api-key", "other", "401013"),
        ("x-gw-ims-org-id", "OTHER@AdobeOrg", "403025"),
        ("x-sandbox-name", "staging", "403025"),
    ];
    for (header, value, wanted) in others {
        let mut changed = sound.clone();
        changed[header] = json!(value);
        assert_eq!(name(&world.judge(changed).await), wanted, "{header}");
    }
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let world = World::new().await;
    let request = json!({
        "authorization": format!("Bearer {}", Signer::issuer().token(&header(), &with(json!({"client_id": "new"})))),
        "x-api-key": "new",
        "x-gw-ims-org-id": ORGANIZATION,
    });
    assert_eq!(name(&world.judge(request.clone()).await), "403003");
    let tenant = Tenant::new(ORGANIZATION, "prod").unwrap();
    world.registry.put_client(&testkit::fixtures::client(&tenant, "new")).await.unwrap();
    assert_eq!(name(&world.judge(request).await), "allow");
}

#[tokio::test]
async fn a_registry_out_of_reach_grants_nothing() {
    let world = World::new().await;
    world.registry.fail_next("client", Fault::BeforeEffect);
    assert_eq!(world.on(&sound_token()).await, "unavailable");
    assert_eq!(world.on(&sound_token()).await, "allow");
}

#[tokio::test]
async fn the_memory_of_grants_is_bounded() {
    let world = World::new().await;
    let caller =
        Caller { tenant: Tenant::new(ORGANIZATION, "prod").unwrap(), client: "key".into(), permissions: vec![] };
    let keys: Vec<String> = (0..2_500).map(|n| n.to_string()).collect();
    let asked = |key| Asked { authorization: "", api_key: key, organization: "", sandbox: "" };
    for key in &keys {
        world.grants.remember(&asked(key), &caller, NOW.plus_seconds(9), NOW);
    }
    let kept = keys.iter().filter(|key| world.grants.remembered(&asked(key), NOW).is_some()).count();
    assert_eq!(kept, 500);
}
