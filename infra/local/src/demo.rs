//! The first run: sample data where there is none, the sample registry, and one true export over HTTP; then how to go on,
//! with requests for two more exports that differ.

use admin::readback::{self, ReadBack};
use admin::sample::{self, Sample};
use admin::stack::Place;
use admin::{Failure, cli, jobs, registry};
use domain::plan::TableName;
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
/// Time between two looks at the job.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Rows of the result that are shown.
const SHOWN_ROWS: usize = 5;
/// Widest column of the table that is shown, in characters.
const SHOWN_CHARS: usize = 34;

/// What the demo works with: the same as the CLI does.
pub struct Demo {
    place: admin::stack::Stack,
}

/// What came out of the export.
pub struct Exported {
    /// The job as the API shows it at its end.
    pub job: Value,
    /// The export dataset's table.
    pub table: TableName,
    /// What stands in the dataset.
    pub back: ReadBack,
    /// From POST to the terminal status.
    pub took: Duration,
}

impl Demo {
    /// The demo on a running stack that is wholly described by its `stack.json`.
    pub fn on(stack: &Stack) -> Result<Self, Failure> {
        let file = stack.data().join("stack.json");
        Ok(Self { place: admin::stack::Stack::find(Place { stack: Some(file), ..Place::default() })? })
    }

    /// Applies the sample registry and creates the sample data, each where it is not there yet. Tells what was created now, and
    /// how long it took.
    pub async fn prepare(&mut self) -> Result<(Vec<String>, Duration), Failure> {
        self.apply().await?;
        let started = Instant::now();
        let (tables, objects) = (self.place.tables().await?, self.place.objects().await);
        let mut created = Vec::new();
        for id in [sample::profile_dataset()?, sample::crm_dataset()?, sample::event_dataset()?] {
            let dataset = self.place.dataset(&id).await?;
            if let Some(loaded) = sample::load(&Sample::default(), &dataset, false, &tables, &objects).await? {
                created.push(format!("{}: {loaded}", dataset.name));
            }
        }
        if !created.is_empty() {
            // The registry keeps a copy of each table's schema, and one has grown.
            self.apply().await?;
        }
        Ok((created, started.elapsed()))
    }

    async fn apply(&mut self) -> Result<(), Failure> {
        let (store, tables) = (self.place.registry().await?, self.place.tables().await?);
        let file = registry::RegistryFile::read(sample::REGISTRY)?;
        let plan = registry::plan(&file, &store, &tables, &self.place.warehouse()?).await?;
        plan.carry_out(&store, &tables).await
    }

    /// Submits an export of three audiences, follows it to its end, and reads back what it left in the dataset.
    pub async fn export(&mut self) -> Result<Exported, Failure> {
        let api = self.place.api()?;
        let started = Instant::now();
        let job = api.create(&sample_request()?).await?;
        let id = job["id"].as_u64().ok_or_else(|| Failure::say("the API gave a job without an id."))?;
        println!("Submitted export job {id}.");
        let bar = cli::progress_bar();
        let job = jobs::watch(&api, id, LOOK_EVERY, |job| cli::show(&bar, job)).await?;
        bar.abandon();
        let took = started.elapsed();
        let table = self.place.dataset(&sample::export_dataset()?).await?.table;
        let batch = job["destination"]["batchId"].as_str().unwrap_or_default();
        let (tables, objects) = (self.place.tables().await?, self.place.objects().await);
        let back = readback::batch(&tables, &objects, &table, batch, SHOWN_ROWS).await?;
        Ok(Exported { job, table, back, took })
    }
}

/// The request that the demo sends: the members of three segments, once each.
pub fn sample_request() -> Result<Value, Failure> {
    Ok(json!({
        "fields": "profileId, person.name, personalEmail.address, loyalty.tier, identityMap",
        "schema": { "name": "_xdm.context.profile" },
        "filter": { "segments": segments(&[2, 8, 14])? },
        "destination": { "datasetId": sample::export_dataset()? },
    }))
}

/// A batch for each of three segments, with what their members bought and saw.
fn batches_request() -> Result<Value, Failure> {
    Ok(json!({
        "fields": "profileId, personalEmail.address, crm.segment",
        "additionalFields": { "eventList": { "fields": "eventType, timestamp, commerce.order, productListItems.name" } },
        "schema": { "name": "_xdm.context.profile" },
        "filter": { "segments": segments(&[20, 30, 40])? },
        "destination": { "datasetId": sample::export_dataset()?, "segmentPerBatch": true },
    }))
}

/// Everybody with every field, where the CRM's word goes before the newer one.
fn everything_request() -> Result<Value, Failure> {
    Ok(json!({
        "mergePolicy": { "id": sample::crm_first_policy()? },
        "schema": { "name": "_xdm.context.profile" },
        "destination": { "datasetId": sample::export_dataset()? },
    }))
}

/// The sample's segments of these ranks, as a filter names them.
fn segments(ranks: &[usize]) -> Result<Vec<Value>, Failure> {
    let all = sample::sample_segments()?;
    Ok(ranks.iter().filter_map(|rank| all.get(*rank)).map(|id| json!({ "segmentId": id })).collect())
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
            _ => {
                Err(format!("The dataset holds {} rows of the batch, and the job counts {counted:?}.", self.back.rows))
            }
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
    let jobs = format!("{}/export/jobs", stack.url());
    println!("\nIn another shell (Base URL: {}):\n\nTOKEN='{token}'", stack.url());
    println!(
        "api() {{ curl -s -H \"Authorization: Bearer $TOKEN\" -H 'x-api-key: {API_KEY}' -H 'x-gw-ims-org-id: {ORGANIZATION}' \
         -H 'x-sandbox-name: {SANDBOX}' -H 'Content-Type: application/json' \"$@\"; echo; }}\n"
    );
    println!("api '{jobs}?limit=2'; api {jobs}/{id}; api -X DELETE {jobs}/{id}");
    let requests = [
        ("Three audiences in one batch, as above", sample_request()?),
        ("A batch for each of three audiences, with their events", batches_request()?),
        ("Everybody with every field, where the CRM's word goes before a newer one", everything_request()?),
    ];
    for (what, request) in requests {
        println!("# {what}:\napi {jobs} -d '{request}'");
    }
    print_python(stack, table);
    println!(
        "\nEverything else stands in {}/stack.json. Ctrl-C stops the stack; its state stays.",
        stack.data().display()
    );
    Ok(())
}

fn print_python(stack: &Stack, table: &TableName) {
    let emulators = stack.emulators();
    println!("\nThe dataset, with PyIceberg (pip install 'pyiceberg[glue,pyarrow]'):\n");
    println!("from pyiceberg.catalog.glue import GlueCatalog");
    println!(
        "catalog = GlueCatalog('local', **{{'glue.endpoint': '{}', 's3.endpoint': '{}', 'client.region': '{REGION}',",
        emulators.glue.url(),
        emulators.s3.url()
    );
    println!("    'client.access-key-id': '{ACCESS_KEY}', 'client.secret-access-key': '{SECRET_KEY}'}})");
    println!("print(catalog.load_table('{table}').scan(limit=5).to_arrow().to_pylist())");
}
