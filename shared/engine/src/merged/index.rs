//! The first pass: which rows belong to which profile, when they were ingested, and their memberships that are wanted.

use super::hash::iceberg_hash;
use super::rank::NO_TIME;
use crate::error::EngineError;
use crate::identities::BoundPrimary;
use crate::input::InputFile;
use crate::layout::ProfileIds;
use crate::membership::{Asked, BoundMemberships, Membership, Statuses, micros};
use crate::part::{Part, Progress, Step, Tally};
use crate::project::strings;
use crate::tree::{FileColumn, find};
use arrow_array::{Array, StructArray};
use domain::instant::Micros;
use domain::plan::Slice;
use domain::ports::objects::{ReadObjects, WriteObjects};
use domain::registry::IdentityGraph;
use futures::StreamExt;
use parquet::arrow::arrow_reader::RowSelection;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// Stands for the profile of a row that is deleted, or whose profile another part exports.
pub(super) const NOBODY: u32 = u32::MAX;

/// What the first pass found.
pub(super) struct Index {
    /// The rows of each file of the part.
    pub(super) files: Vec<FileRows>,
    /// Number of profiles; they are numbered in order of their first rows.
    pub(super) profiles: usize,
    /// Wanted memberships, in order of rows.
    pub(super) facts: Vec<Fact>,
    /// Who asks for the memberships of each slot.
    pub(super) slots: Vec<Vec<Asked>>,
}

/// The rows of a file, by position.
#[derive(Default)]
pub(super) struct FileRows {
    /// The profile of each; [`NOBODY`] for a deleted one.
    pub(super) profile: Vec<u32>,
    /// When each was ingested, in microseconds; [`NO_TIME`] where that is not known.
    pub(super) ingest_time: Vec<i64>,
}

/// A stored membership in a wanted segment.
pub(super) struct Fact {
    /// The file, by position in the part.
    pub(super) file: u32,
    /// The row's position in it.
    pub(super) row: u32,
    /// Namespace and segment as they are stored.
    pub(super) slot: u32,
    /// Whether anything is stored under the segment.
    pub(super) present: bool,
    /// When it was qualified last.
    pub(super) time: Option<Micros>,
    /// Its status.
    pub(super) status: Statuses,
}

impl Index {
    /// Reads the deciding columns of all files.
    pub(super) async fn read<O: ReadObjects + WriteObjects>(
        part: &Part<'_, O>,
        inputs: &[InputFile<O>],
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<Self, EngineError> {
        let rows = inputs.iter().map(|input| input.groups.iter().map(|&group| input.rows(group)).sum::<u64>());
        let slices = part.task.part.slice.map_or(1, |slice| u64::from(slice.modulus.max(1)));
        let ids = Numbers::with_room((rows.max().unwrap_or(0) / slices) as usize);
        let mut reading = Reading { files: Vec::new(), ids, facts: Vec::new(), slots: Slots::default() };
        for (at, input) in inputs.iter().enumerate() {
            reading.file(part, at, input, tally).await?;
            tally.report(super::INDEX_SHARE * (at as u64 + 1) / inputs.len() as u64 / 2)?;
        }
        if part.task.plan.merge_policy.identity_graph == IdentityGraph::None {
            reading.part_identities(part, inputs, tally).await?;
        }
        let Reading { files, ids, facts, slots } = reading;
        Ok(Self { files, profiles: ids.count as usize, facts, slots: slots.asked })
    }
}

struct Reading {
    files: Vec<FileRows>,
    ids: Numbers,
    facts: Vec<Fact>,
    slots: Slots,
}

impl Reading {
    async fn file<O: ReadObjects + WriteObjects>(
        &mut self,
        part: &Part<'_, O>,
        at: usize,
        input: &InputFile<O>,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), EngineError> {
        let file = &part.task.part.files[at];
        let source = &part.sources[file.source];
        let deleted = part.deletes.of(file, input);
        let profile = ProfileIds::bind(source, input);
        let ingest_time = source.ingest_time.as_ref().and_then(|field| find(&input.columns, field));
        let memberships = match (part.wanted, &source.memberships) {
            (Some(wanted), Some(column)) => {
                column.bind(wanted, &input.columns, true).map_err(|what| input.error(what))?
            }
            _ => None,
        };
        let mut leaves = deleted.leaves.clone();
        leaves.extend(profile.leaf());
        ingest_time.iter().for_each(|column| column.witness(&mut leaves));
        leaves.extend(memberships.iter().flat_map(|m| &m.leaves));
        let mut rows = FileRows::default();
        for &group in &input.groups {
            let before = rows.profile.len();
            let mut stream = input.stream(group, &leaves, None, part.task.settings.row_batch)?;
            while let Some(batch) = stream.next().await {
                let batch = StructArray::from(batch?);
                let first_row = rows.profile.len();
                let mut alive = vec![true; batch.len()];
                deleted.bury(first_row as u64, &batch, &mut alive).map_err(|_| input.unfit())?;
                self.number(input, &profile, &batch, (&alive, part.task.part.slice), &mut rows)?;
                times(input, ingest_time, &batch, &mut rows)?;
                if let Some(memberships) = &memberships {
                    self.remember(input, memberships, &batch, (at, first_row), &rows.profile[first_row..])?;
                }
                tally.report(0)?;
            }
            if (rows.profile.len() - before) as u64 != input.rows(group) {
                return Err(input.error("a row group lacks rows that its footer counts"));
            }
        }
        self.files.push(rows);
        Ok(())
    }

    /// Numbers the profiles of rows.
    fn number<O: ReadObjects>(
        &mut self,
        input: &InputFile<O>,
        profile: &ProfileIds<'_>,
        batch: &StructArray,
        (alive, slice): (&[bool], Option<Slice>),
        rows: &mut FileRows,
    ) -> Result<(), EngineError> {
        if batch.is_empty() {
            return Ok(());
        }
        let ids = strings(&profile.ids(input, batch, |row| alive[row])?).map_err(|_| input.unfit())?;
        rows.profile.extend(alive.iter().enumerate().map(|(row, alive)| match alive {
            true if slice.is_none_or(|slice| slice.holds(iceberg_hash(ids.value(row)))) => self.ids.of(ids.value(row)),
            _ => NOBODY,
        }));
        if rows.profile.len() >= NOBODY as usize {
            return Err(input.error("it has more rows than a part can hold"));
        }
        Ok(())
    }

    /// Keeps the wanted memberships of rows.
    fn remember<O: ReadObjects>(
        &mut self,
        input: &InputFile<O>,
        memberships: &BoundMemberships<'_>,
        batch: &StructArray,
        (file, first_row): (usize, usize),
        profiles: &[u32],
    ) -> Result<(), EngineError> {
        let tell = |row: usize, m: Membership<'_>| {
            if profiles[row] != NOBODY {
                let slot = self.slots.of(&m);
                let (file, row) = (file as u32, (first_row + row) as u32);
                self.facts.push(Fact { file, row, slot, present: m.present, time: m.time, status: m.status });
            }
        };
        memberships.each(batch, tell).map_err(|_| input.unfit())
    }

    /// Without an identity graph every identity stands alone: rows of one profile id with different primary identities are
    /// different profiles. Only rows that share their id with others are looked at.
    async fn part_identities<O: ReadObjects + WriteObjects>(
        &mut self,
        part: &Part<'_, O>,
        inputs: &[InputFile<O>],
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), EngineError> {
        let mut sharing = vec![0u32; self.ids.count as usize];
        for profile in self.files.iter().flat_map(|f| &f.profile).filter(|p| **p != NOBODY) {
            sharing[*profile as usize] += 1;
        }
        let mut standing = Standing::default();
        for ((input, file), rows) in inputs.iter().zip(&part.task.part.files).zip(&mut self.files) {
            let shares = |profile: &u32| *profile != NOBODY && sharing[*profile as usize] > 1;
            let source = &part.sources[file.source];
            let primary = BoundPrimary::bind(source.identity_map.as_ref(), &input.columns);
            let primary = primary.map_err(|what| input.error(what))?;
            for &group in &input.groups {
                let first = input.first_row(group) as usize;
                let of_group = &mut rows.profile[first..first + input.rows(group) as usize];
                let mask: Vec<bool> = of_group.iter().map(shares).collect();
                let mut sharing_rows = of_group.iter_mut().zip(&mask).filter(|(_, shares)| **shares).map(|(p, _)| p);
                if !mask.contains(&true) {
                    continue;
                }
                let Some(primary) = &primary else {
                    sharing_rows.for_each(|profile| *profile = standing.of(*profile, None, &mut self.ids));
                    continue;
                };
                let selection = RowSelection::from_filters(&[mask.clone().into()]);
                let mut stream = input.stream(group, &primary.leaves, Some(selection), part.task.settings.row_batch)?;
                while let Some(batch) = stream.next().await {
                    let tell = |_: usize, identity: Option<(&str, &str)>| {
                        if let Some(profile) = sharing_rows.next() {
                            *profile = standing.of(*profile, identity, &mut self.ids);
                        }
                    };
                    primary.each(&StructArray::from(batch?), tell).map_err(|_| input.unfit())?;
                    tally.report(0)?;
                }
            }
        }
        Ok(())
    }
}

fn times<O: ReadObjects>(
    input: &InputFile<O>,
    column: Option<&FileColumn>,
    batch: &StructArray,
    rows: &mut FileRows,
) -> Result<(), EngineError> {
    let times = column.and_then(|column| batch.column_by_name(&column.name)).map(micros).transpose();
    match times.map_err(|_| input.unfit())? {
        Some(times) => rows.ingest_time.extend(times.iter().map(|time| time.unwrap_or(NO_TIME))),
        None => rows.ingest_time.resize(rows.ingest_time.len() + batch.len(), NO_TIME),
    }
    Ok(())
}

/// Numbers of profiles by id. Ids are known by 128-bit hashes: two of a billion ids share one with odds of 1 in 10^20.
struct Numbers {
    known: HashMap<u128, u32, BuildHasherDefault<AsItIs>>,
    count: u32,
    keys: [ahash::RandomState; 2],
}

impl Numbers {
    /// Room for about so many profiles.
    fn with_room(profiles: usize) -> Self {
        let random = RandomState::new();
        let seed = |n: u32| random.hash_one(n);
        let keys = [0, 4].map(|n| ahash::RandomState::with_seeds(seed(n), seed(n + 1), seed(n + 2), seed(n + 3)));
        Self { known: HashMap::with_capacity_and_hasher(profiles, BuildHasherDefault::default()), count: 0, keys }
    }

    fn of(&mut self, id: &str) -> u32 {
        let [high, low] = &self.keys;
        let hash = u128::from(high.hash_one(id)) << 64 | u128::from(low.hash_one(id));
        match self.known.entry(hash) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let number = *new.insert(self.count);
                self.count += 1;
                number
            }
        }
    }

    fn another(&mut self) -> u32 {
        self.count += 1;
        self.count - 1
    }
}

/// A key that is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

/// The profiles that rows of one id fall into by their primary identities.
#[derive(Default)]
struct Standing {
    known: HashMap<u32, HashMap<Option<(String, String)>, u32>>,
}

impl Standing {
    /// The profile of an identity: the first one of an id keeps its number.
    fn of(&mut self, profile: u32, identity: Option<(&str, &str)>, ids: &mut Numbers) -> u32 {
        let identity = identity.map(|(namespace, id)| (namespace.to_owned(), id.to_owned()));
        let of_id = self.known.entry(profile).or_default();
        let first = of_id.is_empty();
        *of_id.entry(identity).or_insert_with(|| if first { profile } else { ids.another() })
    }
}

/// Numbers of wanted segments under the namespaces as they are stored, which may differ in case.
#[derive(Default)]
struct Slots {
    known: HashMap<String, HashMap<String, u32>>,
    asked: Vec<Vec<Asked>>,
}

impl Slots {
    fn of(&mut self, membership: &Membership<'_>) -> u32 {
        let known = self.known.get(membership.namespace).and_then(|segments| segments.get(membership.segment_id));
        known.copied().unwrap_or_else(|| {
            let slot = self.asked.len() as u32;
            self.asked.push(membership.asked.to_vec());
            let segments = self.known.entry(membership.namespace.to_owned()).or_default();
            segments.insert(membership.segment_id.to_owned(), slot);
            slot
        })
    }
}
