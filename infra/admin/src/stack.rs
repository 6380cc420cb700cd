//! Which stack a command works on: the one on this machine, as its `stack.json` says, or one in AWS, as the SDK's own
//! environment and configuration say. Flags go before either.

use crate::api::{Api, Caller};
use crate::failure::Failure;
use aws::{Clients, DynamoRegistry, Endpoints, S3Objects};
use domain::ports::registry::ReadRegistry;
use domain::registry::Dataset;
use domain::tenant::Tenant;
use lake::{Glue, Lake};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the stack on this machine says where it is.
const STACK_FILE: &str = ".local/stack.json";
/// Environment variable that holds the bearer token, so that it need not stand on a command line.
const TOKEN_VARIABLE: &str = "EXPORT_API_TOKEN";

/// Flags that say which stack, and for whom.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Place {
    /// The stack.json of a stack on this machine [default: .local/stack.json, if it is there]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "aws")]
    pub stack: Option<PathBuf>,
    /// Work on AWS even if there is a stack on this machine
    #[arg(long, global = true)]
    pub aws: bool,
    /// Organization, e.g. 1BD6382559DF0C130A49422D@AdobeOrg
    #[arg(long, global = true, value_name = "ORG")]
    pub organization: Option<String>,
    /// Sandbox [default: prod]
    #[arg(long, global = true)]
    pub sandbox: Option<String>,
    /// DynamoDB table
    #[arg(long, global = true, value_name = "NAME")]
    pub table: Option<String>,
    /// Where new tables are put, e.g. s3://my-lake
    #[arg(long, global = true, value_name = "URL")]
    pub warehouse: Option<String>,
    /// The API: the ApiUrl output of a deployment
    #[arg(long, global = true, value_name = "URL")]
    pub base_url: Option<String>,
    /// Bearer token [default: $EXPORT_API_TOKEN]
    #[arg(long, global = true)]
    pub token: Option<String>,
    /// Client id
    #[arg(long, global = true, value_name = "KEY")]
    pub api_key: Option<String>,
}

/// What `stack.json` says, as far as commands need it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StackFile {
    base_url: Option<String>,
    token: Option<String>,
    api_key: Option<String>,
    organization: Option<String>,
    sandbox: Option<String>,
    endpoints: Option<EndpointUrls>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    warehouse: Option<String>,
    table_name: Option<String>,
    #[serde(default)]
    tables: BTreeMap<String, String>,
    data: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
struct EndpointUrls {
    dynamodb: String,
    s3: String,
    sqs: String,
    glue: String,
}

/// A stack, found.
#[derive(Clone, Debug)]
pub struct Stack {
    flags: Place,
    file: StackFile,
    clients: Option<Clients>,
}

impl Stack {
    /// Finds the stack; contacts nothing.
    pub fn find(flags: Place) -> Result<Self, Failure> {
        let default = Path::new(STACK_FILE);
        let path = match &flags.stack {
            Some(path) => Some(path.as_path()),
            None => (!flags.aws && default.exists()).then_some(default),
        };
        let file = path.map(read).transpose()?.unwrap_or_default();
        Ok(Self { flags, file, clients: None })
    }

    /// The organization's sandbox that the command is for.
    pub fn tenant(&self) -> Result<Tenant, Failure> {
        let organization = self.organization()?;
        let sandbox = self.sandbox();
        Tenant::new(&organization, &sandbox)
            .ok_or_else(|| Failure::say(format!("{organization} and {sandbox} are no organization and sandbox.")))
    }

    /// The API, for the client whose token is at hand.
    pub fn api(&self) -> Result<Api, Failure> {
        let token = self.flags.token.clone().or_else(|| std::env::var(TOKEN_VARIABLE).ok());
        let caller = Caller {
            token: need(token, &self.file.token, "a token (--token, or in $EXPORT_API_TOKEN)")?,
            api_key: self.api_key()?,
            organization: self.organization()?,
            sandbox: self.sandbox(),
        };
        let base_url = need(self.flags.base_url.clone(), &self.file.base_url, "the API (--base-url)")?;
        Ok(Api::new(&base_url, &caller))
    }

    /// The client's id.
    pub fn api_key(&self) -> Result<String, Failure> {
        need(self.flags.api_key.clone(), &self.file.api_key, "the client (--api-key)")
    }

    /// The folder of the signing key of a stack on this machine.
    pub fn key_folder(&self) -> Option<PathBuf> {
        self.file.data.as_ref().map(|data| data.join("auth"))
    }

    /// Where new tables are put.
    pub fn warehouse(&self) -> Result<String, Failure> {
        let warehouse = need(self.flags.warehouse.clone(), &self.file.warehouse, "the warehouse (--warehouse)")?;
        let bucket = warehouse.strip_prefix("s3://").unwrap_or_default();
        if bucket.trim_end_matches('/').is_empty() {
            return Err(Failure::say(format!("the warehouse {warehouse:?} must be s3://bucket or s3://bucket/key.")));
        }
        Ok(warehouse)
    }

    /// The registry.
    pub async fn registry(&mut self) -> Result<DynamoRegistry, Failure> {
        let only = if self.file.tables.len() == 1 { self.file.tables.values().next() } else { None };
        let known = self.file.table_name.clone().or_else(|| only.cloned());
        let table = need(self.flags.table.clone(), &known, "the DynamoDB table (--table)")?;
        Ok(self.clients().await.registry(&table))
    }

    /// The objects.
    pub async fn objects(&mut self) -> S3Objects {
        self.clients().await.objects()
    }

    /// The tables.
    pub async fn tables(&mut self) -> Result<Lake<S3Objects>, Failure> {
        let clients = self.clients().await;
        let region = clients.region().ok_or_else(|| Failure::say("no region is set; set AWS_REGION."))?;
        let credentials = clients.credentials().ok_or_else(|| Failure::say("there are no AWS credentials."))?;
        Ok(Lake::new(Glue::new(region, clients.glue_endpoint(), credentials), clients.objects()))
    }

    /// A registered dataset of the tenant.
    pub async fn dataset(&mut self, id: &str) -> Result<Dataset, Failure> {
        let tenant = self.tenant()?;
        let registry = self.registry().await?.registry(&tenant).await?;
        registry.dataset(id).cloned().ok_or_else(|| {
            let ids: Vec<_> = registry.datasets.iter().map(|d| d.id.as_str()).collect();
            let known = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
            Failure::say(format!("{tenant} has no dataset {id}; registered: {known}."))
        })
    }

    async fn clients(&mut self) -> Clients {
        if let Some(clients) = &self.clients {
            return clients.clone();
        }
        let clients = match self.endpoints() {
            Some(endpoints) => Clients::at(&endpoints).await,
            None => aws::connect().await,
        };
        self.clients = Some(clients.clone());
        clients
    }

    fn endpoints(&self) -> Option<Endpoints> {
        let urls = self.file.endpoints.clone()?;
        Some(Endpoints {
            dynamodb: urls.dynamodb,
            s3: urls.s3,
            sqs: urls.sqs,
            glue: urls.glue,
            region: self.file.region.clone()?,
            access_key: self.file.access_key_id.clone()?,
            secret_key: self.file.secret_access_key.clone()?,
        })
    }

    fn organization(&self) -> Result<String, Failure> {
        need(self.flags.organization.clone(), &self.file.organization, "the organization (--organization)")
    }

    fn sandbox(&self) -> String {
        self.flags.sandbox.clone().or_else(|| self.file.sandbox.clone()).unwrap_or_else(|| "prod".into())
    }
}

fn read(path: &Path) -> Result<StackFile, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, e))?;
    serde_json::from_str(&text).map_err(|_| Failure::say(format!("{} is no stack.json.", path.display())))
}

fn need(flag: Option<String>, known: &Option<String>, what: &str) -> Result<String, Failure> {
    flag.or_else(|| known.clone()).ok_or_else(|| {
        Failure::say(format!("no stack runs on this machine ({STACK_FILE}) that would tell {what}; give it."))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn stack(json: &str, flags: Place) -> Result<Stack, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.json");
        std::fs::write(&path, json).unwrap();
        Stack::find(Place { stack: Some(path), ..flags })
    }

    #[test]
    fn flags_go_before_the_stack_file() {
        let json = r#"{"organization": "A@AdobeOrg", "warehouse": "s3://lake", "data": "/d", "more": 1}"#;
        let found = stack(json, Place::default()).unwrap();
        assert_eq!(found.tenant().unwrap().to_string(), "A@AdobeOrg#prod");
        assert_eq!(found.warehouse().unwrap(), "s3://lake");
        assert_eq!(found.key_folder(), Some("/d/auth".into()));
        let flags = Place { organization: Some("B@AdobeOrg".into()), sandbox: Some("dev".into()), ..Place::default() };
        assert_eq!(stack(json, flags).unwrap().tenant().unwrap().to_string(), "B@AdobeOrg#dev");
    }

    #[test]
    fn what_is_missing_or_wrong_is_said_in_one_sentence() {
        let found = stack("{}", Place::default()).unwrap();
        assert!(found.tenant().unwrap_err().to_string().contains("--organization"));
        assert!(found.warehouse().unwrap_err().to_string().contains("--warehouse"));
        assert!(stack("[]", Place::default()).unwrap_err().to_string().ends_with("stack.json is no stack.json."));
        let flags = Place { warehouse: Some("file:///x".into()), ..Place::default() };
        assert!(stack("{}", flags).unwrap().warehouse().unwrap_err().to_string().contains("must be s3://"));
        let missing = Place { stack: Some("/nowhere/stack.json".into()), ..Place::default() };
        assert!(Stack::find(missing).unwrap_err().to_string().starts_with("/nowhere/stack.json: "));
    }
}
