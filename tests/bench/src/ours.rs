//! The engine as a contestant: a plan as the worker makes it, all parts of it on as many threads as there are cores.

use crate::Outcome;
use crate::cases::Case;
use crate::measure::{Cost, measured};
use crate::objects::LocalObjects;
use crate::store::{BUCKETS, Store, Table};
use domain::fields::Projection;
use domain::filter::{EventList, ProfileFilter};
use domain::id::{BatchId, JobId};
use domain::instant::Millis;
use domain::plan::{
    DataFile, PLAN_VERSION, Pin, Plan, PlannedPart, PlannedSource, PlannedTarget, TableFiles, TableName, compose_parts,
    part_file,
};
use domain::ports::objects::Location;
use domain::registry::{ColumnNames, DatasetKind, IdentityGraph, MergePolicy};
use domain::schema::Schema;
use domain::tenant::Tenant;
use domain::union::{Input, export_schema};
use domain::validation::MergeNeeds;
use engine::{PartTask, Settings, Step, export_part};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// The bucket that the store is.
const LAKE: &str = "lake";
/// The bucket that files are exported to.
const OUT: &str = "out";

/// How it is known of a table that stands alone that each profile is one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Its owner says so.
    Promised,
    /// An earlier job has seen it of each file.
    Seen,
    /// It is not known.
    Nothing,
}

/// Exports a case into a folder.
pub fn run(case: &Case, store: &Store, out: &Path, known: Known, threads: usize) -> Outcome<Cost> {
    let plan = plan(case, store, known)?;
    let objects = LocalObjects::new([(LAKE, store.root.clone()), (OUT, out.to_owned())]);
    measured(|| export(&plan, &objects, threads))
}

/// All parts, `threads` at a time.
fn export(plan: &Plan, objects: &LocalObjects, threads: usize) -> Outcome<()> {
    let next = AtomicU32::new(0);
    let work = || -> Outcome<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number as usize >= plan.parts.len() {
                return Ok(());
            }
            // As the worker is given it, not as it is planned.
            let part = plan.part(number, 1).ok_or("no such part")?;
            runtime.block_on(export_one(plan, number, &part, objects))?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })
}

async fn export_one(plan: &Plan, number: u32, part: &PlannedPart, objects: &LocalObjects) -> Outcome<()> {
    let task = PartTask { plan, part, settings: Settings::default() };
    let file_at = |batch: &BatchId, n| Location::new(OUT, part_file(number, 1, "bench", batch, n));
    export_part(objects, &task, file_at, |_| Step::Continue).await?;
    Ok(())
}

/// The plan of a case, as the worker's planner makes it of the tables.
fn plan(case: &Case, store: &Store, known: Known) -> Outcome<Plan> {
    let unique_profiles = known == Known::Promised && case.tables.len() == 1;
    let sources: Vec<_> = case.tables.iter().map(|table| source(store, *table, unique_profiles)).collect();
    let mut tables = case.tables.iter().map(|table| files(store, *table)).collect::<Outcome<Vec<_>>>()?;
    for table in tables.iter_mut().filter(|_| known == Known::Seen) {
        table.distinct = table.data.iter().map(|file| file.location.clone()).collect();
    }
    // A part for each bucket, also where any run of files would do.
    let needs = if unique_profiles { MergeNeeds::Nothing } else { MergeNeeds::Buckets(BUCKETS) };
    Ok(Plan {
        version: PLAN_VERSION,
        tenant: Tenant::new("BENCH@AdobeOrg", "prod").ok_or("no tenant")?,
        job_id: JobId::new(Millis(0), 1),
        target: target(&sources)?,
        sources,
        merge_policy: MergePolicy { identity_graph: IdentityGraph::Pdg, ..MergePolicy::built_in() },
        projection: Projection::parse(case.fields),
        filter: ProfileFilter {
            segments: case.segments(&store.parameters),
            window: case.window(),
            ..ProfileFilter::default()
        },
        events: case.tables.contains(&Table::Events).then(EventList::default),
        batches: case.batches(),
        segment_per_batch: case.segment_per_batch(),
        parts: compose_parts(tables, needs, 1),
    })
}

fn kind(table: Table) -> DatasetKind {
    if table == Table::Events { DatasetKind::Event } else { DatasetKind::Profile }
}

fn table_name(table: &str) -> TableName {
    TableName { database: "bench".into(), table: table.into() }
}

fn source(store: &Store, table: Table, unique_profiles: bool) -> PlannedSource {
    let name = table.name();
    let pin = Pin {
        dataset_id: name.into(),
        table: table_name(name),
        table_uuid: name.into(),
        snapshot_id: Some(1),
        schema_id: None,
    };
    let (schema, columns) = (table.schema(&store.parameters), ColumnNames::default());
    let (former, name_mapping) = (Vec::new(), None);
    PlannedSource { kind: kind(table), pin, schema, former, name_mapping, columns, unique_profiles }
}

fn target(sources: &[PlannedSource]) -> Outcome<PlannedTarget> {
    let inputs = |kind| {
        let of_kind = sources.iter().filter(move |source| source.kind == kind);

        of_kind.map(input).collect::<Vec<_>>()
    };
    let mut conflicts = Vec::new();
    let schema: Schema = export_schema(&inputs(DatasetKind::Profile), &inputs(DatasetKind::Event), &mut conflicts);
    match conflicts.first() {
        Some(conflict) => Err(conflict.what.clone().into()),
        None => Ok(PlannedTarget {
            dataset_id: "export".into(),
            table: table_name("export"),
            table_uuid: "export".into(),
            schema,
            spec_id: 0,
            data_prefix: format!("s3://{OUT}/"),
        }),
    }
}

fn input(source: &PlannedSource) -> Input<'_> {
    Input { id: &source.pin.dataset_id, columns: &source.columns, schema: &source.schema }
}

fn files(store: &Store, table: Table) -> Outcome<TableFiles> {
    let file = |bucket: u32| -> Outcome<DataFile> {
        let key = table.file(bucket);
        let file = File::open(store.root.join(&key))?;
        let bytes = file.metadata()?.len();
        let rows = SerializedFileReader::new(file)?.metadata().file_metadata().num_rows() as u64;
        let location = Location::new(LAKE, key).to_string();
        let (split_offsets, deletes) = (Vec::new(), Vec::new());
        Ok(DataFile { source: 0, location, bytes, rows, bucket: Some(bucket), range: None, split_offsets, deletes })
    };
    Ok(TableFiles { data: (0..BUCKETS).map(file).collect::<Outcome<_>>()?, ..TableFiles::default() })
}
