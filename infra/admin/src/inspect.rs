//! `admin check`: whether a dataset keeps what its owner promises, by reading every profile id of it.

pub(crate) mod column;

use crate::failure::Failure;
use column::read_column;
use domain::plan::{DataFile, TableFiles};
use domain::ports::lake::ReadTables;
use domain::ports::objects::{Location, ReadObjects};
use domain::registry::{Dataset, DatasetKind};
use domain::validation::{source_fitness, target_fitness};
use lake::bucket_of;
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What was found in a dataset. Displays as a summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Live data files.
    pub files: usize,
    /// Rows in them, those that delete files take away included.
    pub rows: u64,
    /// Live delete files.
    pub delete_files: usize,
    /// Different profiles.
    pub profiles: u64,
    /// Why exports would be refused or wrong, a sentence each; empty = the dataset is fit.
    pub problems: Vec<String>,
    /// What would make exports faster, a sentence each.
    pub advice: Vec<String>,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "✗ {problem}")?;
        }
        for advice in &self.advice {
            writeln!(f, "! {advice}")?;
        }
        let verdict = if self.problems.is_empty() { "fit" } else { "not fit" };
        write!(f, "{} files, {} rows, {} profiles: {verdict}", self.files, self.rows, self.profiles)
    }
}

/// Reads the profile ids of all live files: none is null, each lies in its bucket, and where the owner promises so none
/// comes twice. Rows that delete files take away are read like all others, and said to be. Holds a hash of every profile of a bucket (of the table, where it has none) in memory.
pub async fn check(
    dataset: &Dataset,
    tables: &impl ReadTables,
    objects: &impl ReadObjects,
) -> Result<Checked, Failure> {
    let column = match dataset.kind {
        DatasetKind::Export => "profileId",
        DatasetKind::Profile | DatasetKind::Event => dataset.columns.profile_id.as_str(),
    };
    let state = tables.look(&dataset.table, column).await?;
    let fitness = match dataset.kind {
        DatasetKind::Profile | DatasetKind::Event => source_fitness(dataset, Some(&state.copy)),
        DatasetKind::Export => target_fitness(Some(&state.copy)),
    };
    let mut checked = Checked { problems: fitness.err().into_iter().collect(), ..Checked::default() };
    let Some(field_id) = state.copy.schema.field(column).map(|f| f.id).filter(|_| checked.problems.is_empty()) else {
        return Ok(checked);
    };
    let pin = state.pin(&dataset.id, &dataset.table);
    let TableFiles { data: mut files, deletes, name_mapping, .. } = tables.files(&pin, column).await?;
    files.sort_by_key(|f| f.bucket);
    let mut tally = Tally { buckets: state.copy.buckets, ..Tally::default() };
    for file in &files {
        let at = Location::parse(&file.location)
            .ok_or_else(|| Failure::say(format!("{} is no s3:// location.", file.location)))?;
        tally.enter(file);
        let count = |id: Option<&str>| tally.count(id);
        read_column(objects, &at, file.bytes, (field_id, column), name_mapping.as_ref(), count).await?;
    }
    checked.delete_files = deletes.len();
    tally.report(dataset, files.len(), &mut checked);
    Ok(checked)
}

/// What has been counted so far.
#[derive(Debug, Default)]
struct Tally {
    buckets: Option<u32>,
    bucket: Option<u32>,
    seen: HashSet<u128>,
    last: Option<String>,
    in_order: bool,
    unsorted_files: usize,
    rows: u64,
    profiles: u64,
    nulls: u64,
    misplaced: u64,
    example: Option<String>,
}

impl Tally {
    fn enter(&mut self, file: &DataFile) {
        if file.bucket != self.bucket {
            self.seen.clear();
        }
        self.bucket = file.bucket;
        self.last = None;
        self.in_order = true;
    }

    fn count(&mut self, id: Option<&str>) {
        self.rows += 1;
        let Some(id) = id else {
            self.nulls += 1;
            return;
        };
        if self.buckets.is_some_and(|n| Some(bucket_of(n, id)) != self.bucket) {
            self.misplaced += 1;
        }
        if self.seen.insert(fingerprint(id)) {
            self.profiles += 1;
        } else if self.example.is_none() {
            self.example = self.bucket.map_or(Some(String::new()), |b| Some(format!(", e.g. in bucket {b}")));
        }
        if self.in_order && self.last.as_deref().is_some_and(|last| last > id) {
            self.in_order = false;
            self.unsorted_files += 1;
        }
        match &mut self.last {
            Some(last) => id.clone_into(last),
            None => self.last = Some(id.to_owned()),
        }
    }

    fn report(self, dataset: &Dataset, files: usize, checked: &mut Checked) {
        (checked.files, checked.rows, checked.profiles) = (files, self.rows, self.profiles);
        let name = &dataset.columns.profile_id;
        if dataset.kind == DatasetKind::Export {
            return;
        }
        if self.nulls > 0 {
            checked.problems.push(format!("{} rows have no {name}.", self.nulls));
        }
        if self.misplaced > 0 {
            let what = "rows lie in another bucket than Iceberg's; rewrite the table.";
            checked.problems.push(format!("{} {what}", self.misplaced));
        }
        let repeated = self.rows - self.nulls - self.profiles;
        if checked.delete_files > 0 {
            let what = "delete files take rows away that are counted here; exports leave them out. Compacting the table \
                        makes exports faster.";
            checked.advice.push(format!("{} {what}", checked.delete_files));
        }
        if dataset.unique_profiles && repeated > 0 && checked.delete_files > 0 {
            let what =
                format!("{repeated} rows repeat a {name}: compact the table, then uniqueProfiles can be judged.");
            checked.problems.push(what);
        } else if dataset.unique_profiles && repeated > 0 {
            let example = self.example.unwrap_or_default();
            let what = "although uniqueProfiles promises one row for each";
            checked.problems.push(format!("{repeated} rows repeat a {name}{example}, {what}."));
        }
        if self.unsorted_files > 0 {
            let what =
                format!("{} of {files} files are not sorted by {name}; sorted ones stream.", self.unsorted_files);
            checked.advice.push(what);
        }
    }
}

/// 128 bits, so that no two of a billion ids are taken for one.
fn fingerprint(id: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, id).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fakes::MemoryTables;
    use crate::import::load;
    use crate::registry::RegistryFile;
    use crate::sample::{REGISTRY, Sample};
    use domain::ports::objects::WriteObjects;
    use lake::NewDataFile;
    use testkit::MemoryObjects;

    async fn sample(profiles: u32) -> (Dataset, MemoryTables, MemoryObjects) {
        let file = RegistryFile::read(REGISTRY).unwrap();
        let declared = &file.sandboxes[0].datasets[0].item;
        let (tables, objects) = (MemoryTables::default(), MemoryObjects::default());
        let schema = declared.schema.as_ref().unwrap();
        tables.put(&declared.dataset.table, schema, declared.buckets, None);
        let batches = Sample { profiles, ..Sample::default() }.batches(schema).unwrap();
        load(&declared.dataset, batches, None, &tables, &objects).await.unwrap();
        (declared.dataset.clone(), tables, objects)
    }

    #[tokio::test]
    async fn the_sample_is_fit_and_counted() {
        let (dataset, tables, objects) = sample(3_000).await;
        let checked = check(&dataset, &tables, &objects).await.unwrap();
        assert_eq!(checked, Checked { files: 16, rows: 3_000, profiles: 3_000, ..Checked::default() });
        assert_eq!(checked.to_string(), "16 files, 3000 rows, 3000 profiles: fit");
    }

    #[tokio::test]
    async fn a_promise_that_does_not_hold_and_a_row_in_the_wrong_bucket_are_found() {
        use crate::tables::KeepTables;
        let (mut dataset, tables, objects) = sample(200).await;
        dataset.unique_profiles = true;
        let mut file = tables.files_of(&dataset.table).remove(0);
        let copy = Location::new("lake", "copy.parquet");
        let original = objects.read(&Location::parse(&file.location).unwrap()).await.unwrap();
        objects.create(&copy, original).await.unwrap();
        let rows = file.rows;
        file.location = copy.to_string();
        let elsewhere = NewDataFile { bucket: Some(file.bucket.unwrap() + 1), ..file.clone() };
        tables.append_changes(&dataset.table, vec![file, elsewhere], Vec::new()).await.unwrap();
        let checked = check(&dataset, &tables, &objects).await.unwrap();
        assert_eq!(checked.rows, 200 + 2 * rows);
        let expected = [
            format!("{rows} rows lie in another bucket than Iceberg's; rewrite the table."),
            format!(
                "{rows} rows repeat a profileId, e.g. in bucket 0, although uniqueProfiles promises one row for each."
            ),
        ];
        assert_eq!(checked.problems, expected);
    }
}
