//! What the authorizer found, and how the edge says it: the authorizer always lets requests through, with its verdict in
//! the context, since an HTTP API cannot send bodies of ours from a denying one.

use domain::tenant::Tenant;
use serde_json::{Map, Value, json};

/// Who is calling, and whose data they see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant: the only source of one, never the body.
    pub tenant: Tenant,
    /// The client's id, which is its api key.
    pub client: String,
    /// What it was granted there.
    pub permissions: Vec<String>,
}

/// Why a request goes no further than the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No `Authorization`.
    TokenMissing,
    /// A token that is malformed, not signed by a known key, not in its time, or another client's.
    TokenInvalid,
    /// No `x-api-key`.
    KeyMissing,
    /// An `x-api-key` that is not registered.
    KeyUnknown,
    /// No `x-gw-ims-org-id`.
    OrganizationMissing,
    /// The client may not act for that organization and sandbox; also where no verdict came at all.
    NotGranted,
    /// The registry did not answer, so nobody can say; never let through.
    Unavailable,
}

/// The authorizer's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request may go on.
    Allow(Caller),
    /// It may not.
    Refuse(Refusal),
}

impl Refusal {
    /// Every refusal, in the order in which they are judged.
    pub const ALL: [Self; 7] = [
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::KeyMissing,
        Self::KeyUnknown,
        Self::OrganizationMissing,
        Self::NotGranted,
        Self::Unavailable,
    ];

    /// The verdict's name in the context; AEP's gateway code, where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokenMissing => "403010",
            Self::TokenInvalid => "401013",
            Self::KeyMissing => "403000",
            Self::KeyUnknown => "403003",
            Self::OrganizationMissing => "400003",
            Self::NotGranted => "403025",
            Self::Unavailable => "unavailable",
        }
    }

    /// Status and body as AEP's gateway gives them; `None` where the answer is a problem in the envelope.
    pub fn answer(self) -> Option<(u16, Value)> {
        let (status, message) = match self {
            Self::TokenMissing => (403, "Oauth token is missing."),
            Self::TokenInvalid => (401, "Oauth token is not valid"),
            Self::KeyMissing => (403, "Api Key is required"),
            Self::KeyUnknown => (403, "Api Key is invalid"),
            Self::OrganizationMissing => (400, "Missing header"),
            Self::NotGranted => (403, "Profile is not valid"),
            Self::Unavailable => return None,
        };
        Some((status, json!({ "error_code": self.name(), "message": message })))
    }
}

impl Verdict {
    /// Why the request may not go on; `None` where it may.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Allow(_) => None,
            Self::Refuse(refusal) => Some(*refusal),
        }
    }

    /// The context that travels from the authorizer to the route: strings only, as an HTTP API passes them.
    pub fn to_context(&self) -> Value {
        match self {
            Self::Allow(caller) => json!({
                "verdict": "allow",
                "organization": caller.tenant.organization(),
                "sandbox": caller.tenant.sandbox(),
                "client": caller.client,
                "permissions": caller.permissions.join(","),
            }),
            Self::Refuse(refusal) => json!({
                "verdict": refusal.name(), "organization": "", "sandbox": "", "client": "", "permissions": "",
            }),
        }
    }

    /// Reads the context. No context, an unknown verdict or an unsound tenant is nobody's grant.
    pub fn from_context(context: &Map<String, Value>) -> Self {
        let text = |name: &str| context.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = text("verdict");
        if name != "allow" {
            let refusal = Refusal::ALL.into_iter().find(|r| r.name() == name);
            return Self::Refuse(refusal.unwrap_or(Refusal::NotGranted));
        }
        let permissions = text("permissions").split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect();
        match Tenant::new(text("organization"), text("sandbox")) {
            Some(tenant) => Self::Allow(Caller { tenant, client: text("client").to_owned(), permissions }),
            None => Self::Refuse(Refusal::NotGranted),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn there_and_back(verdict: &Verdict) -> Verdict {
        Verdict::from_context(verdict.to_context().as_object().unwrap())
    }

    #[test]
    fn verdicts_survive_the_context() {
        let caller = |permissions: &[&str]| Caller {
            tenant: Tenant::new("A@AdobeOrg", "prod").unwrap(),
            client: "key".into(),
            permissions: permissions.iter().map(|p| (*p).to_owned()).collect(),
        };
        for allow in [Verdict::Allow(caller(&[])), Verdict::Allow(caller(&["a", "b"]))] {
            assert_eq!(there_and_back(&allow), allow);
        }
        for refuse in Refusal::ALL.map(Verdict::Refuse) {
            assert_eq!(there_and_back(&refuse), refuse);
        }
    }

    #[test]
    fn the_gateways_status_is_the_start_of_its_code() {
        for (refusal, (status, _)) in Refusal::ALL.into_iter().filter_map(|r| Some((r, r.answer()?))) {
            assert_eq!(refusal.name()[..3], status.to_string());
        }
    }

    #[test]
    fn a_context_that_is_not_understood_grants_nothing() {
        let unsound = [
            json!({}),
            json!({"verdict": "Allow", "organization": "A@AdobeOrg", "sandbox": "prod"}),
            json!({"verdict": "allow", "organization": "A#B", "sandbox": "prod"}),
            json!({"verdict": "allow", "sandbox": "prod"}),
            json!({"verdict": true, "organization": "A@AdobeOrg", "sandbox": "prod"}),
        ];
        for context in unsound {
            let verdict = Verdict::from_context(context.as_object().unwrap());
            assert_eq!(verdict, Verdict::Refuse(Refusal::NotGranted), "{context}");
        }
    }
}
