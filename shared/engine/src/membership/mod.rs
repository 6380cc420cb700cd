//! Which memberships of a file's rows are wanted.

mod found;
mod look_up;
mod places;

pub(crate) use found::Found;
pub(crate) use places::Place;

use crate::error::EngineError;
use crate::input::InputFile;
use crate::leaf::def_of;
use crate::tree::{FileKind, find};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, TimestampMicrosecondArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, TimeUnit};
use domain::filter::{MembershipStatus, ProfileFilter, Window};
use domain::instant::Micros;
use domain::ports::objects::ReadObjects;
use domain::schema::{Field, Kind, Nested};
use parquet::basic::Type as PhysicalType;
use std::collections::HashMap;

/// The segment entries of a job, made ready for judging memberships.
pub(crate) struct Wanted {
    /// Numbers of the segment ids that anybody asks for.
    numbers: HashMap<Vec<u8>, u32>,
    namespaces: Vec<Namespace>,
    window: Window,
}

/// What is wanted of one namespace, by number of the segment id.
struct Namespace {
    name: String,
    segments: HashMap<u32, Vec<Asked>>,
}

/// One entry of the request: its position, and the statuses that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    entry: u16,
    statuses: Statuses,
}

/// A set of statuses; empty for a status that is unknown or absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statuses(u8);

/// The fields of a source's schema that memberships are judged by.
pub(crate) struct MembershipColumn {
    column: Field,
    status: Field,
    time: Option<Field>,
}

/// Where a file keeps what memberships are judged by.
pub(crate) struct BoundMemberships<'a> {
    wanted: &'a Wanted,
    /// The leaves of namespace, segment id and status.
    texts: [usize; 3],
    time: Option<BoundTime>,
    /// The definition level of statuses from which on something is stored under a segment.
    entry_def: u8,
}

/// Where a file keeps times, and in which unit.
#[derive(Clone, Copy)]
struct BoundTime {
    leaf: usize,
    unit: StoredTime,
}

/// How a file keeps times.
#[derive(Clone, Copy)]
enum StoredTime {
    /// As 64-bit counts of a unit.
    Counts(TimeUnit),
    /// As nanoseconds of a Julian day.
    Int96,
}

impl StoredTime {
    /// A stored value in microseconds.
    fn micros(self, value: &[u8]) -> Option<Micros> {
        if let Self::Int96 = self {
            let (nanos, day) = (i64::from_le_bytes(*value.first_chunk()?), i32::from_le_bytes(*value.last_chunk()?));
            let days = i64::from(day) - JULIAN_DAY_OF_EPOCH;
            return Some(Micros(days.checked_mul(MICROS_OF_DAY)?.checked_add(nanos / 1_000)?));
        }
        let count = i64::from_le_bytes(*value.first_chunk()?);
        match self {
            Self::Counts(TimeUnit::Second) => count.checked_mul(1_000_000).map(Micros),
            Self::Counts(TimeUnit::Millisecond) => count.checked_mul(1_000).map(Micros),
            Self::Counts(TimeUnit::Microsecond) | Self::Int96 => Some(Micros(count)),
            Self::Counts(TimeUnit::Nanosecond) => Some(Micros(count / 1_000)),
        }
    }
}

const JULIAN_DAY_OF_EPOCH: i64 = 2_440_588;
const MICROS_OF_DAY: i64 = 86_400_000_000;

impl Statuses {
    fn of(statuses: impl IntoIterator<Item = MembershipStatus>) -> Self {
        Self(statuses.into_iter().fold(0, |set, status| set | 1 << status as u8))
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Wanted {
    /// The entries of a filter; `None`: everybody is exported.
    pub(crate) fn new(filter: &ProfileFilter) -> Option<Self> {
        let mut namespaces: Vec<Namespace> = Vec::new();
        let mut numbers = HashMap::new();
        for (entry, segment) in (0..).zip(&filter.segments) {
            let known = namespaces.iter().position(|n| n.name.eq_ignore_ascii_case(&segment.namespace));
            let at = known.unwrap_or_else(|| {
                namespaces.push(Namespace { name: segment.namespace.clone(), segments: HashMap::new() });
                namespaces.len() - 1
            });
            let asked = Asked { entry, statuses: Statuses::of(segment.matches.iter().copied()) };
            let next = numbers.len() as u32;
            let number = *numbers.entry(segment.segment_id.clone().into_bytes()).or_insert(next);
            namespaces[at].segments.entry(number).or_default().push(asked);
        }
        (!namespaces.is_empty()).then_some(Self { numbers, namespaces, window: filter.window })
    }

    /// The positions of the entries that a membership matches.
    pub(crate) fn matched<'m>(
        &self,
        asked: &'m [Asked],
        status: Statuses,
        time: Option<Micros>,
    ) -> impl Iterator<Item = u16> + use<'m> {
        let timely = self.window.contains(time);
        asked.iter().filter(move |asked| timely && asked.statuses.meets(status)).map(|asked| asked.entry)
    }

    /// Whether it matters when somebody was qualified.
    pub(crate) fn is_windowed(&self) -> bool {
        !self.window.is_open()
    }

    /// The number of a segment id that somebody asks for.
    fn segment(&self, id: &[u8]) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// Who asks for a segment in a namespace, which is compared without regard to case.
    fn asked(&self, namespace: &str, segment: u32) -> &[Asked] {
        let of_name = self.namespaces.iter().find(|n| n.name.eq_ignore_ascii_case(namespace));
        of_name.and_then(|n| n.segments.get(&segment)).map_or(&[], Vec::as_slice)
    }
}

impl MembershipColumn {
    /// The parts of a column, which must be a map of maps of structs; else the error is a sentence. `None`: it holds no
    /// status, so nobody is a member.
    pub(crate) fn new(column: &Field) -> Result<Option<Self>, String> {
        let entry = map_value(&column.kind).and_then(map_value);
        let Some(Kind::Nested(Nested::Struct { fields })) = entry else {
            return Err(format!("the column {} does not map namespaces to segments to memberships", column.name));
        };
        let field = |name: &str| fields.iter().find(|f| f.name == name).cloned();
        let time = field("lastQualificationTime");
        Ok(field("status").map(|status| Self { column: column.clone(), status, time }))
    }

    /// Finds the column in a file. `None`: the file keeps no memberships. Times are read for a window, and where
    /// `with_times` asks for them.
    pub(crate) fn bind<'a, O: ReadObjects>(
        &self,
        wanted: &'a Wanted,
        input: &InputFile<O>,
        with_times: bool,
    ) -> Result<Option<BoundMemberships<'a>>, EngineError> {
        let Some(column) = find(&input.columns, &self.column) else { return Ok(None) };
        let ill_formed = || input.error("its memberships are not kept as the table's schema says");
        let FileKind::Map(namespace, segments) = &column.kind else { return Err(ill_formed()) };
        let FileKind::Map(segment_id, entry) = &segments.kind else { return Err(ill_formed()) };
        let FileKind::Struct(fields) = &entry.kind else { return Err(ill_formed()) };
        let Some(status) = find(fields, &self.status) else { return Ok(None) };
        let mut texts = [0; 3];
        for (leaf, column) in texts.iter_mut().zip([&**namespace, &**segment_id, status]) {
            match column.kind {
                FileKind::Leaf(number, DataType::Utf8 | DataType::Binary) => *leaf = number,
                _ => return Err(ill_formed()),
            }
        }
        let with_times = with_times || wanted.is_windowed();
        let time = self.time.as_ref().filter(|_| with_times).and_then(|field| find(fields, field));
        let time = time.map(|column| match column.kind {
            FileKind::Leaf(leaf, DataType::Timestamp(unit, _)) => {
                let is_int96 = input.schema().column(leaf).physical_type() == PhysicalType::INT96;
                let unit = if is_int96 { StoredTime::Int96 } else { StoredTime::Counts(unit) };
                Ok(BoundTime { leaf, unit })
            }
            _ => Err(input.error("the times of its memberships are no timestamps")),
        });
        let entry_def = def_of(input.schema(), texts[2], 1);
        Ok(Some(BoundMemberships { wanted, texts, time: time.transpose()?, entry_def }))
    }
}

/// Timestamps of any unit as microseconds.
pub(crate) fn micros(times: &ArrayRef) -> Result<TimestampMicrosecondArray, ArrowError> {
    let micros = cast(times, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    Ok(micros.as_primitive::<TimestampMicrosecondType>().clone())
}

fn map_value(kind: &Kind) -> Option<&Kind> {
    match kind {
        Kind::Nested(Nested::Map { value, .. }) => Some(value),
        _ => None,
    }
}
