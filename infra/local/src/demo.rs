//! The first run: sample data where there is none, the sample registry, and one true export over HTTP.

use admin::api::{Api, ApiError, Caller};
use admin::readback::{self, ReadBack};
use admin::sample::{self, Sample};
use admin::{Failure, import, registry};
use aws::{Clients, Endpoints, S3Objects};
use domain::plan::TableName;
use domain::ports::lake::ReadTables;
use domain::ports::registry::ReadRegistry;
use domain::registry::Dataset;
use domain::tenant::Tenant;
use indicatif::{ProgressBar, ProgressStyle};
use lake::{Glue, Lake};
use local::Stack;
use local::emulators::{ACCESS_KEY, REGION, SECRET_KEY};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The client of the sample registry.
pub const API_KEY: &str = "segment-export-local";
/// Its organization.
pub const ORGANIZATION: &str = "1BD6382559DF0C130A49422D@AdobeOrg";
/// Its sandbox.
pub const SANDBOX: &str = "prod";
/// Rows of the result that are shown.
const SHOWN_ROWS: usize = 5;
/// Widest column of the table that is shown, in characters.
const SHOWN_CHARS: usize = 34;

/// What the demo works with.
pub struct Demo {
    clients: Clients,
    lake: Lake<S3Objects>,
    registry_table: String,
    warehouse: String,
    api: Api,
}

/// What came out of the export.
pub struct Exported {
    /// The job as the API shows it at its end.
    pub job: Value,
    /// What stands in the dataset.
    pub back: ReadBack,
    /// From POST to the terminal status.
    pub took: Duration,
}

impl Demo {
    /// Connects to a running stack as the caller whose token this is.
    pub async fn connect(stack: &Stack, token: &str) -> Result<Self, Failure> {
        let emulators = stack.emulators();
        let clients = Clients::at(&Endpoints {
            dynamodb: emulators.dynamodb.url(),
            s3: emulators.s3.url(),
            sqs: emulators.sqs.url(),
            glue: emulators.glue.url(),
            region: REGION.into(),
            access_key: ACCESS_KEY.into(),
            secret_key: SECRET_KEY.into(),
        })
        .await;
        let credentials = clients.credentials().ok_or_else(|| Failure::say("the local stack has no credentials."))?;
        let lake = Lake::new(Glue::new(REGION, clients.glue_endpoint(), credentials), clients.objects());
        let table = stack.template().tables.first().map(|t| t.name.clone());
        let bucket = stack.template().buckets.iter().find(|b| b.id == "LakeBucket").map(|b| b.name.clone());
        let absent = || Failure::say("the template has no table or no LakeBucket.");
        let caller = Caller {
            token: token.to_owned(),
            api_key: API_KEY.into(),
            organization: ORGANIZATION.into(),
            sandbox: SANDBOX.into(),
        };
        Ok(Self {
            clients,
            lake,
            registry_table: table.ok_or_else(absent)?,
            warehouse: format!("s3://{}", bucket.ok_or_else(absent)?),
            api: Api::new(&stack.url(), &caller),
        })
    }

    /// Applies the sample registry and creates the sample data, each where it is not there yet. Gives the number of
    /// profiles that were created now.
    pub async fn prepare(&self) -> Result<Option<u64>, Failure> {
        let store = self.clients.registry(&self.registry_table);
        let file = registry::RegistryFile::read(sample::REGISTRY)?;
        let plan = registry::plan(&file, &store, &self.lake, &self.warehouse).await?;
        plan.carry_out(&store, &self.lake).await?;
        let profiles = self.dataset(&sample::profile_dataset()?).await?;
        let state = self.lake.look(&profiles.table, &profiles.columns.profile_id).await?;
        if state.snapshot_id.is_some() {
            return Ok(None);
        }
        let rows = Sample::default().batches(&state.copy.schema)?;
        let imported = import::load(&profiles, rows, None, &self.lake, &self.clients.objects()).await?;
        Ok(Some(imported.rows))
    }

    /// Submits an export of three audiences, follows it to its end, and reads back what it left in the dataset.
    pub async fn export(&self) -> Result<Exported, Failure> {
        let started = Instant::now();
        let job = self.api.create(&sample_request()?).await?;
        let id = job["id"].as_u64().ok_or_else(|| Failure::say("the API gave a job without an id."))?;
        println!("Submitted export job {id}.");
        let job = follow(&self.api, id).await?;
        let took = started.elapsed();
        let table = self.dataset(&sample::export_dataset()?).await?.table;
        let batch = job["destination"]["batchId"].as_str().unwrap_or_default();
        let back = readback::batch(&self.lake, &self.clients.objects(), &table, batch, SHOWN_ROWS).await?;
        Ok(Exported { job, back, took })
    }

    /// The table of the export dataset.
    pub async fn export_table(&self) -> Result<TableName, Failure> {
        Ok(self.dataset(&sample::export_dataset()?).await?.table)
    }

    async fn dataset(&self, id: &str) -> Result<Dataset, Failure> {
        let tenant = Tenant::new(ORGANIZATION, SANDBOX).ok_or_else(|| Failure::say("the sample's tenant is unsound."))?;
        let registry = self.clients.registry(&self.registry_table).registry(&tenant).await?;
        registry.dataset(id).cloned().ok_or_else(|| Failure::say(format!("the dataset {id} is not registered.")))
    }
}

/// The request that the demo sends, and that its curl line shows.
pub fn sample_request() -> Result<Value, Failure> {
    let segments = sample::sample_segments()?;
    let chosen: Vec<_> = segments.iter().skip(2).step_by(6).take(3).map(|id| json!({ "segmentId": id })).collect();
    Ok(json!({
        "fields": "profileId, person.name, personalEmail.address, loyalty.tier, identityMap",
        "schema": { "name": "_xdm.context.profile" },
        "filter": { "segments": chosen },
        "destination": { "datasetId": sample::export_dataset()? },
    }))
}

/// Shows a progress bar from the job's own `progress` until the job has ended.
async fn follow(api: &Api, id: u64) -> Result<Value, ApiError> {
    let bar = ProgressBar::new(100);
    if let Ok(style) = ProgressStyle::with_template("  {bar:40} {percent:>3}%  {msg}") {
        bar.set_style(style);
    }
    loop {
        let job = api.get(id).await?;
        let (status, progress) = (job["status"].as_str().unwrap_or_default(), &job["progress"]);
        bar.set_position(progress["percent"].as_u64().unwrap_or_default());
        bar.set_message(format!("{status}, part {} of {}", progress["partsDone"], progress["partsTotal"]));
        if matches!(status, "SUCCEEDED" | "FAILED" | "CANCELLED") {
            bar.abandon();
            return Ok(job);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Exported {
    /// Whether the job SUCCEEDED and the dataset holds exactly the rows that it counts; else the sentence why not.
    pub fn verdict(&self) -> Result<(), String> {
        let (status, counted) = (&self.job["status"], self.job["metrics"]["totalExportedProfileCounter"].as_u64());
        if status != "SUCCEEDED" {
            return Err(format!("The export ended as {status}: {}", self.job["errors"]));
        }
        match counted {
            Some(rows) if rows == self.back.rows => Ok(()),
            _ => Err(format!("The dataset holds {} rows of the batch, and the job counts {counted:?}.", self.back.rows)),
        }
    }

    /// What came out, for a person.
    pub fn print(&self) {
        let back = &self.back;
        println!(
            "{} rows, {} bytes in {} files, batch {}, {:.1} s from POST to {}.",
            back.rows,
            back.bytes,
            back.files,
            self.job["destination"]["batchId"].as_str().unwrap_or_default(),
            self.took.as_secs_f64(),
            self.job["status"].as_str().unwrap_or_default(),
        );
        let cut = |text: &String| match text.chars().count() > SHOWN_CHARS {
            true => text.chars().take(SHOWN_CHARS - 1).chain(['…']).collect(),
            false => text.clone(),
        };
        let lines: Vec<Vec<String>> =
            std::iter::once(&back.columns).chain(&back.sample).map(|line| line.iter().map(cut).collect()).collect();
        let width = |column| lines.iter().map(|l| l.get(column).map_or(0, |t: &String| t.chars().count())).max();
        let widths: Vec<_> = (0..back.columns.len()).map(|c| width(c).unwrap_or(0)).collect();
        for line in &lines {
            let cells: Vec<_> = line.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
            println!("  {}", cells.join("  ").trim_end());
        }
    }
}

/// How to go on: for people with curl, and for people with Python.
pub fn print_how_to_go_on(stack: &Stack, token: &str, table: &TableName, id: u64) -> Result<(), Failure> {
    let url = stack.url();
    let headers = format!(
        "-H \"Authorization: Bearer $TOKEN\" -H 'x-api-key: {API_KEY}' -H 'x-gw-ims-org-id: {ORGANIZATION}' \
         -H 'x-sandbox-name: {SANDBOX}'"
    );
    let emulators = stack.emulators();
    println!("\nBase URL: {url}\n\nTOKEN='{token}'\n");
    println!("curl -s {headers} '{url}/export/jobs?limit=2'");
    println!("curl -s {headers} {url}/export/jobs/{id}");
    println!("curl -s {headers} -H 'Content-Type: application/json' -d '{}' {url}/export/jobs", sample_request()?);
    println!("curl -s -X DELETE {headers} {url}/export/jobs/{id}");
    println!("\nThe dataset, with PyIceberg (pip install 'pyiceberg[glue,pyarrow]'):\n");
    println!("from pyiceberg.catalog.glue import GlueCatalog");
    println!(
        "catalog = GlueCatalog('local', **{{'glue.endpoint': '{}', 's3.endpoint': '{}', 'client.region': '{REGION}',",
        emulators.glue.url(),
        emulators.s3.url()
    );
    println!("    'client.access-key-id': '{ACCESS_KEY}', 'client.secret-access-key': '{SECRET_KEY}'}})");
    println!("print(catalog.load_table('{table}').scan(limit=5).to_arrow().to_pylist())");
    println!("\nEverything else stands in {}/stack.json. Ctrl-C stops the stack; its state stays.", stack.data().display());
    Ok(())
}

