//! The store that every contestant reads: three tables, made once from a seed.

pub mod bucket;
mod events;
mod people;
pub mod schema;
pub mod segments;

use crate::Outcome;
use arrow_json::ReaderBuilder;
use bucket::ProfileNumber;
use domain::schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use people::{Audiences, Somebody};
use segments::RARE_MEMBERS;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Iceberg's bucket[16, profileId].
pub const BUCKETS: u32 = 16;
/// Raised whenever other rows come out of the same parameters.
const FORMAT: u32 = 2;
/// Most rows of a row group.
const GROUP_ROWS: usize = 256 * 1024;
/// Rows that are made at a time.
const CHUNK_ROWS: usize = 8 * 1024;
/// The buckets over which the members of the rarest audience are spread.
const RARE_BUCKETS: [usize; 4] = [1, 6, 9, 14];

/// What a store is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Rows of the profile table.
    pub profiles: u32,
    /// Seed of all draws.
    pub seed: u64,
    /// Columns of the profile table beyond the usual ones.
    #[serde(default)]
    pub attributes: usize,
    format: u32,
}

impl Parameters {
    /// A store of so many profiles, with so many attributes besides the usual ones.
    pub fn new(profiles: u32, seed: u64, attributes: usize) -> Self {
        Self { profiles, seed, attributes, format: FORMAT }
    }
}

/// A store on disk.
#[derive(Clone, Debug)]
pub struct Store {
    /// What it is made of.
    pub parameters: Parameters,
    /// Its folder.
    pub root: PathBuf,
}

/// The tables of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Profile fragments.
    Profiles,
    /// The CRM's fragments.
    Crm,
    /// Events.
    Events,
}

impl Table {
    /// The name: of its folder, and of the dataset.
    pub fn name(self) -> &'static str {
        match self {
            Self::Profiles => "profiles",
            Self::Crm => "crm",
            Self::Events => "events",
        }
    }

    /// Its columns in a store of these parameters.
    pub fn schema(self, parameters: &Parameters) -> Schema {
        match self {
            Self::Profiles => schema::profiles(parameters.attributes),
            Self::Crm => schema::crm(),
            Self::Events => schema::events(),
        }
    }

    /// The file of a bucket, below the store's folder.
    pub fn file(self, bucket: u32) -> String {
        format!("{}/bucket-{bucket:02}.parquet", self.name())
    }
}

impl Store {
    /// The store of these parameters under a folder of data; makes it where it is not there yet.
    pub fn at(data: &Path, parameters: Parameters) -> Outcome<Self> {
        let root = data.join("store");
        let marker = root.join("store.json");
        let present = fs::read(&marker).ok().and_then(|text| serde_json::from_slice::<Parameters>(&text).ok());
        let store = Self { parameters, root };
        if present.as_ref() != Some(&store.parameters) {
            if store.root.exists() {
                fs::remove_dir_all(&store.root)?;
            }
            store.generate()?;
            fs::write(&marker, serde_json::to_vec(&store.parameters)?)?;
        }
        Ok(store)
    }

    /// The store that is under a folder of data.
    pub fn open(data: &Path) -> Outcome<Self> {
        let root = data.join("store");
        let parameters = serde_json::from_slice(&fs::read(root.join("store.json"))?)?;
        Ok(Self { parameters, root })
    }

    /// The files of a table, by bucket.
    pub fn files(&self, table: Table) -> Vec<PathBuf> {
        (0..BUCKETS).map(|bucket| self.root.join(table.file(bucket))).collect()
    }

    fn generate(&self) -> Outcome<()> {
        let began = Instant::now();
        eprintln!("Making a store of {} profiles in {} …", self.parameters.profiles, self.root.display());
        for table in [Table::Profiles, Table::Crm, Table::Events] {
            fs::create_dir_all(self.root.join(table.name()))?;
        }
        let buckets = bucket::buckets(self.parameters.seed, self.parameters.profiles);
        let audiences = Audiences::new(self.parameters.seed);
        let next = AtomicUsize::new(0);
        let work = || -> Outcome<()> {
            while let Some(bucket) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < buckets.len()) {
                self.make_bucket(bucket, &buckets[bucket], &audiences)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..crate::cores()).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
        })?;
        eprintln!("Made it in {:.1} s.", began.elapsed().as_secs_f64());
        Ok(())
    }

    fn make_bucket(&self, bucket: usize, profiles: &[ProfileNumber], audiences: &Audiences) -> Outcome<()> {
        let rare = rare_rows(bucket, profiles.len());
        let attributes = schema::attributes(self.parameters.attributes);
        let path = |table: Table| self.root.join(table.file(bucket as u32));
        let somebody = |profile: &ProfileNumber| Somebody::new(self.parameters.seed, *profile);
        let file = |table: Table| TableFile::create(&path(table), &table.schema(&self.parameters));
        let (mut rows, mut crm, mut events) = (file(Table::Profiles)?, file(Table::Crm)?, file(Table::Events)?);
        for (chunk, profiles) in profiles.chunks(CHUNK_ROWS).enumerate() {
            let numbered = profiles.iter().zip(chunk * CHUNK_ROWS..);
            let made = |(profile, row)| somebody(profile).profile(audiences, rare.contains(&row), &attributes);
            rows.write(&numbered.map(made).collect::<Vec<_>>())?;
            let known = profiles.iter().map(somebody).filter(|it| it.in_crm);
            crm.write(&known.map(Somebody::crm_record).collect::<Vec<_>>())?;
            let of_profile = |profile: &ProfileNumber| events::of(self.parameters.seed, *profile);
            events.write(&profiles.iter().flat_map(of_profile).collect::<Vec<_>>())?;
        }
        [rows, crm, events].into_iter().try_for_each(TableFile::close)
    }
}

/// The rows of a bucket that are in the rarest audience.
fn rare_rows(bucket: usize, rows: usize) -> Vec<usize> {
    let each = RARE_MEMBERS / RARE_BUCKETS.len();
    if RARE_BUCKETS.contains(&bucket) {
        (0..each).map(|n| rows * (2 * n + 1) / (2 * each)).collect()
    } else {
        Vec::new()
    }
}

/// A file of a table, while it is written.
struct TableFile {
    decoder: arrow_json::reader::Decoder,
    writer: ArrowWriter<File>,
}

impl TableFile {
    fn create(path: &Path, columns: &Schema) -> Outcome<Self> {
        let schema = Arc::new(schema::arrow(columns));
        let decoder = ReaderBuilder::new(schema.clone()).with_batch_size(CHUNK_ROWS).build_decoder()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(File::create(path)?, schema, options)?;
        Ok(Self { decoder, writer })
    }

    fn write(&mut self, rows: &[impl Serialize]) -> Outcome<()> {
        self.decoder.serialize(rows)?;
        if let Some(batch) = self.decoder.flush()? {
            self.writer.write(&batch)?;
        }
        Ok(())
    }

    fn close(self) -> Outcome<()> {
        self.writer.close()?;
        Ok(())
    }
}
