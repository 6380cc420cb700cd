//! Whose tokens the authorizer takes, with each value of `Auth`.

use crate::template::{Template, references};
use edge::settings::{AUTH_AUDIENCE, AUTH_CLIENT_CLAIM, AUTH_ISSUER, AUTH_JWKS, read_from};
use local::template::{Place, Template as Deployed, TemplateError};
use serde_json::json;

/// The settings that say whose tokens are taken.
const SETTINGS: &[&str] = &[AUTH_JWKS, AUTH_CLIENT_CLAIM, AUTH_ISSUER, AUTH_AUDIENCE];

/// An issuer of somebody's own. What is said of it counts with `jwks` only.
const OWN: &[(&str, &str)] = &[
    ("AuthJwks", "https://issuer.example/keys"),
    ("AuthIssuer", "https://issuer.example/"),
    ("AuthAudience", "jobs"),
    ("AuthClientClaim", "azp"),
];

/// What the authorizer makes of its settings: the key set, the claim that names the client, the only `iss`, and what
/// must be among `aud`.
type Taken<T> = (T, T, Option<T>, Option<T>);

/// Of Cognito's access tokens: the pool's keys and `iss`, and no `aud`, which they lack.
const COGNITO: Taken<&str> = (
    "https://cognito-idp.ap-south-2.amazonaws.com/UserPool/.well-known/jwks.json",
    "client_id",
    Some("https://cognito-idp.ap-south-2.amazonaws.com/UserPool"),
    None,
);

/// `Auth`, parameters beside it, and what is taken then.
const MODES: [(&str, &[(&str, &str)], Taken<&str>); 5] = [
    ("cognito", &[], COGNITO),
    ("cognito", OWN, COGNITO),
    // No key, so no token.
    ("jwks", &[], (r#"{"keys":[]}"#, "client_id", None, None)),
    ("jwks", OWN, ("https://issuer.example/keys", "azp", Some("https://issuer.example/"), Some("jobs"))),
    // Adobe's tokens carry neither `iss` nor `aud`.
    ("ims", OWN, ("https://ims-na1.adobelogin.com/ims/keys", "client_id", None, None)),
];

/// The stack that a template comes to with some of its parameters given.
pub fn deployed(template: &Template, parameters: &[(&str, &str)]) -> Result<Deployed, TemplateError> {
    let place = Place {
        region: "ap-south-2".into(),
        account: "123456789012".into(),
        stack: "stack".into(),
        sqs_url: "http://127.0.0.1:1".into(),
        gateway_url: "http://127.0.0.1:2".into(),
    };
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Deployed::read(&template.text, &place, &parameters.collect())
}

/// What the authorizer takes, its variables read as it reads them.
fn taken(template: &Template, auth: &str, parameters: &[(&str, &str)]) -> Result<Taken<String>, String> {
    let parameters = [&[("Auth", auth)][..], parameters].concat();
    let deployed = deployed(template, &parameters).map_err(|error| error.to_string())?;
    let given = &deployed.functions["Authorizer"].environment;
    let taken = read_from(
        SETTINGS,
        |name| given.get(name).cloned(),
        |s| (s.text(AUTH_JWKS), s.text(AUTH_CLIENT_CLAIM), s.optional(AUTH_ISSUER), s.optional(AUTH_AUDIENCE)),
    );
    taken.map_err(|error| error.to_string())
}

fn problems(template: &Template) -> Vec<String> {
    let mut problems = Vec::new();
    for (auth, parameters, (keys, claim, issuer, audience)) in MODES {
        let wanted = (keys.to_owned(), claim.to_owned(), issuer.map(str::to_owned), audience.map(str::to_owned));
        let found = taken(template, auth, parameters);
        if found.as_ref() != Ok(&wanted) {
            problems.push(format!("with {auth} the authorizer takes {found:?}, not {wanted:?}"));
        }
    }
    let auth = template.at("/Parameters/Auth");
    if auth["Default"] != "cognito" || auth["AllowedValues"] != json!(["cognito", "jwks", "ims"]) {
        problems.push("Auth has other values, or another default".to_owned());
    }
    problems.extend(pool_problems(template));
    problems.extend(client_problems(template));
    problems
}

/// The user pool and what belongs to it are there with `cognito`, and then only.
fn pool_problems(template: &Template) -> Vec<String> {
    let resources = template.at("/Resources").as_object().unwrap();
    let of_cognito = |id: &String| {
        let kind = template.at(&format!("/Resources/{id}/Type")).as_str();
        kind.is_some_and(|kind| kind.starts_with("AWS::Cognito::"))
    };
    let pool = resources.iter().filter(|(id, _)| of_cognito(id));
    let outputs = template.at("/Outputs").as_object().unwrap().iter();
    let outputs = outputs.filter(|(_, output)| references(&output["Value"]).iter().any(of_cognito));
    let always = pool.chain(outputs).filter(|(_, it)| it["Condition"] != "UseCognito");
    always.map(|(id, _)| format!("{id} is there without cognito, too")).collect()
}

/// The first client gets tokens for itself by a secret, of a scope that the pool has.
fn client_problems(template: &Template) -> Vec<String> {
    let client = template.at("/Resources/FirstClient/Properties");
    let scopes = template.at("/Resources/ApiScope/Properties");
    let scope = [&scopes["Identifier"], &scopes["Scopes"][0]["ScopeName"]].map(|it| it.as_str().unwrap_or_default());
    let wanted = [
        ("GenerateSecret", json!(true)),
        ("AllowedOAuthFlowsUserPoolClient", json!(true)),
        ("AllowedOAuthFlows", json!(["client_credentials"])),
        ("AllowedOAuthScopes", json!([scope.join("/")])),
        ("UserPoolId", json!({ "Ref": "UserPool" })),
    ];
    let wrong = wanted.into_iter().filter(|(name, value)| client[*name] != *value);
    wrong.map(|(name, value)| format!("the first client's {name} is not {value}")).collect()
}

#[test]
fn with_each_auth_the_authorizer_takes_the_tokens_of_that_issuer() {
    assert_eq!(problems(&Template::real()), Vec::<String>::new());
}

#[test]
fn an_issuer_that_is_described_wrongly_is_noticed() {
    for (old, new, problem) in [
        ("/.well-known/jwks.json", "/jwks.json", "with cognito"),
        (
            "            - !Sub https://cognito-idp.${AWS::Region}.${AWS::URLSuffix}/${UserPool}\n",
            "            - \"\"\n",
            "with cognito",
        ),
        ("idp.${AWS::Region}.", "idp.us-east-1.", "with cognito"),
        ("UseCognito: !Equals [!Ref Auth, cognito]", "UseCognito: !Equals [!Ref Auth, ims]", "with ims"),
        ("adobelogin.com/ims/keys", "adobelogin.com/ims/token", "with ims"),
        ("!If [UseJwks, !Ref AuthAudience, \"\"]", "!Ref AuthAudience", "with cognito"),
        ("!If [UseJwks, !Ref AuthClientClaim, client_id]", "!Ref AuthClientClaim", "with ims"),
        ("!If [UseJwks, !Ref AuthClientClaim, client_id]", "\" \"", "AUTH_CLIENT_CLAIM is not set"),
        ("[UseJwks, !Ref AuthIssuer, \"\"]", "[UseJwks, \"\", \"\"]", "with jwks"),
        ("    Default: client_id\n", "    Default: azp\n", "with jwks"),
        ("    Default: cognito\n", "    Default: jwks\n", "another default"),
        ("[cognito, jwks, ims]", "[cognito, jwks, ims, okta]", "Auth has other values"),
        ("UserPoolDomain\n    Condition: UseCognito\n", "UserPoolDomain\n", "UserPoolDomain is there without cognito"),
        ("  TokenUrl:\n    Condition: UseCognito\n", "  TokenUrl:\n", "TokenUrl is there without cognito"),
        ("[export/jobs]", "[export/job]", "the first client's AllowedOAuthScopes"),
        ("[client_credentials]", "[code]", "the first client's AllowedOAuthFlows is not"),
    ] {
        let found = problems(&Template::edited(old, new));
        assert!(found.iter().any(|it| it.contains(problem)), "{old} → {new}: {found:?}");
    }
}
