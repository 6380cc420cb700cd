//! Everything outside of one seed: tenants with their tables, the twins, and what may happen to them.

use crate::dice::Dice;
use crate::machine::Machine;
use crate::rows::{ROW_BYTES, Rows};
use crate::weather::Storm;
use domain::plan::{DataFile, TableName};
use domain::ports::Clock;
use domain::ports::lake::TableState;
use domain::registry::{Dataset, DatasetKind, Registry};
use domain::schema::{Field, Kind};
use domain::tenant::Tenant;
use export_worker::Settings;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use testkit::{ManualClock, MemoryJobs, MemoryLake, MemoryObjects, MemoryQueue, MemoryRegistry, fixtures};

/// How long what a job left behind is left alone, in seconds.
pub const GRACE_SECONDS: u32 = 600;
/// Tries of a part or of planning after which a job fails.
pub const MAX_ATTEMPTS: u32 = 5;
/// Buckets of a tenant whose profiles are merged.
const BUCKETS: u32 = 4;

/// The world.
pub struct World {
    pub dice: Dice,
    pub storm: Arc<Storm>,
    pub clock: ManualClock,
    pub jobs: MemoryJobs,
    pub lake: MemoryLake,
    pub objects: MemoryObjects,
    pub queue: MemoryQueue,
    pub registry: MemoryRegistry,
    /// Parts begun of which earlier jobs knew that nothing in them is to be merged.
    pub known_distinct: Arc<AtomicUsize>,
    pub tenants: Vec<Tenant>,
    /// Files that sources have got so far.
    files: Cell<usize>,
    /// Columns that sources have got so far.
    columns: Cell<i32>,
    /// Seconds that a lease lasts.
    pub lease: u32,
    /// Seconds after which a part is split.
    pub split_after: u32,
    /// Jobs of a tenant that may run at a time.
    max_running_jobs: usize,
    /// The part sizes of the releases that run side by side.
    part_bytes: [u64; 2],
}

impl World {
    /// A world of that seed: the first tenant's rows stand alone, the second's are merged by buckets, and so on.
    pub fn new(dice: &Dice, tenants: usize) -> Self {
        let losses = *dice.one_of(&[0, 5, 20, 60]).unwrap_or(&0);
        let storm = Arc::new(Storm::new(dice.clone(), losses));
        let objects = MemoryObjects::under(storm.clone());
        let world = Self {
            storm: storm.clone(),
            clock: ManualClock::at(fixtures::NOW),
            jobs: MemoryJobs::under(storm.clone()),
            lake: MemoryLake::under(storm.clone(), objects.clone()),
            objects,
            queue: MemoryQueue::under(storm.clone()),
            registry: MemoryRegistry::default(),
            known_distinct: Arc::default(),
            tenants: (0..tenants).map(|n| Tenant::new(&format!("ORG{n}@AdobeOrg"), "prod").unwrap()).collect(),
            files: Cell::new(0),
            columns: Cell::new(0),
            lease: *dice.one_of(&[1, 30, 120]).unwrap_or(&120),
            split_after: *dice.one_of(&[5, 60, 900]).unwrap_or(&900),
            max_running_jobs: *dice.one_of(&[1_000, 1_000, 2]).unwrap_or(&1_000),
            part_bytes: [dice.from(20, 200) as u64, dice.from(20, 200) as u64],
            dice: dice.clone(),
        };
        let founded = |registry: MemoryRegistry, n: usize| registry.and(&world.tenants[n], world.found(n));
        let registry = (0..tenants).fold(MemoryRegistry::default(), founded).under(storm);
        Self { registry, ..world }
    }

    /// A calm world in which a job has three parts, and its source a column that the export table lacks.
    pub fn plain() -> Self {
        let world = Self::calm(3);
        world.grow(0);
        world
    }

    /// A calm world in which a job has so many parts.
    pub fn calm(parts: usize) -> Self {
        Self::of_parts(&[parts])
    }

    /// A calm world in which a job of the first tenant has so many parts, one of the second so many, and so on.
    pub fn of_parts(parts: &[usize]) -> Self {
        let dice = Dice::new(0);
        let usual = Self::new(&dice, parts.len());
        let world = Self { lease: 30, split_after: 900, part_bytes: [100; 2], max_running_jobs: 1_000, ..usual };
        world.storm.calm_down();
        for (tenant, parts) in (0..).zip(parts) {
            let files = (0..*parts).map(|at| world.file(at, 8, 4, is_merged(tenant))).collect();
            world.lake.commit(&world.table(tenant, "profiles"), files);
        }
        world
    }

    /// Makes a tenant's tables; what it has registered.
    fn found(&self, n: usize) -> Registry {
        let tenant = &self.tenants[n];
        let mut registry = fixtures::registry();
        for dataset in &mut registry.datasets {
            dataset.table = TableName { database: format!("tenant{n}"), table: dataset.id.clone() };
            if is_merged(n) && dataset.kind == DatasetKind::Profile {
                dataset.unique_profiles = false;
                dataset.copy.as_mut().unwrap().buckets = Some(BUCKETS);
            }
            self.create_table(tenant, dataset);
        }
        self.write_profiles(&registry);
        registry
    }

    fn create_table(&self, tenant: &Tenant, dataset: &Dataset) {
        let location = format!("s3://lake/{}{}", tenant.object_prefix(), dataset.id);
        let copy = dataset.copy.clone().unwrap();
        self.lake.put(&dataset.table, TableState { copy, snapshot_id: None, location });
    }

    /// A process that runs now: of either release, its clock as it happens to go.
    pub fn machine(&self) -> Machine {
        let ahead = if self.dice.chance(200) { self.dice.from(0, 240) as i64 - 120 } else { 0 };
        Machine {
            jobs: self.jobs.clone(),
            lake: self.lake.clone(),
            objects: self.objects.clone(),
            engine: Rows { objects: self.objects.clone(), known: self.known_distinct.clone() },
            queue: self.queue.clone(),
            registry: self.registry.clone(),
            clock: self.clock.ahead(ahead),
            random: self.dice.random().clone(),
            settings: Settings {
                state_bucket: "state".into(),
                lease_seconds: self.lease,
                max_attempts: MAX_ATTEMPTS,
                part_target_bytes: self.part_bytes[self.dice.below(2)],
                split_after_seconds: self.split_after,
                collect_grace_seconds: GRACE_SECONDS,
            },
            limits: create_export_job::Settings { max_running_jobs: self.max_running_jobs },
        }
    }

    pub fn now(&self) -> i64 {
        self.clock.now().0
    }

    /// A tenant's table of that name.
    pub fn table(&self, tenant: usize, name: &str) -> TableName {
        TableName { database: format!("tenant{tenant}"), table: name.into() }
    }

    /// A table's owner writes to it.
    pub fn write(&self, tenant: usize) {
        match self.dice.below(2) {
            0 => self.lake.commit(&self.table(tenant, "exports"), Vec::new()),
            _ => self.lake.commit(&self.table(tenant, "profiles"), self.live_files(is_merged(tenant))),
        }
    }

    /// A source gets a column that the export table lacks.
    pub fn grow(&self, tenant: usize) {
        self.columns.set(self.columns.get() + 1);
        let (n, kind) = (self.columns.get(), Kind::Primitive("string".into()));
        let column = Field { id: 1_000 + n, name: format!("column{n}"), required: false, kind };
        self.lake.add_column(&self.table(tenant, "profiles"), column);
    }

    /// The export table takes no commit for a while, or takes them again.
    pub fn refuse(&self, tenant: usize, why: Option<&str>) {
        self.lake.refuse(&self.table(tenant, "exports"), why);
    }

    /// The export table is dropped and made anew.
    pub fn recreate(&self, tenant: usize) {
        let mut dataset = fixtures::export_dataset();
        dataset.table = self.table(tenant, "exports");
        self.files.set(self.files.get() + 1);
        dataset.copy.as_mut().unwrap().table_uuid = format!("44444444-0000-4000-8000-{:012}", self.files.get());
        self.create_table(&self.tenants[tenant], &dataset);
    }

    fn write_profiles(&self, registry: &Registry) {
        for dataset in registry.datasets.iter().filter(|d| d.kind == DatasetKind::Profile) {
            self.lake.commit(&dataset.table, self.live_files(!dataset.unique_profiles));
        }
    }

    /// New files for a source, some rows each.
    fn live_files(&self, bucketed: bool) -> Vec<DataFile> {
        let files = self.dice.from(0, 5);
        let rows = || (self.dice.from(1, 20) as u64, self.dice.from(1, 8) as u64);
        (0..files).map(|at| (at, rows())).map(|(at, (rows, group))| self.file(at, rows, group, bucketed)).collect()
    }

    fn file(&self, at: usize, rows: u64, group: u64, bucketed: bool) -> DataFile {
        self.files.set(self.files.get() + 1);
        DataFile {
            source: 0,
            location: format!("s3://sources/{}.parquet", self.files.get()),
            bytes: 4 + rows * ROW_BYTES,
            rows,
            bucket: bucketed.then_some(at as u32 % BUCKETS),
            range: None,
            split_offsets: (0..rows.div_ceil(group)).map(|n| 4 + n * group * ROW_BYTES).collect(),
            deletes: Vec::new(),
        }
    }
}

/// Whether a tenant's rows are merged by buckets.
fn is_merged(tenant: usize) -> bool {
    tenant % 2 == 1
}
