//! Which memberships of a file's rows are wanted.

use crate::project::strings;
use crate::tree::{FileColumn, FileKind, find};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, StringArray, StructArray, TimestampMicrosecondArray};
use arrow_buffer::OffsetBuffer;
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, TimeUnit};
use domain::filter::{MembershipStatus, ProfileFilter, Window};
use domain::instant::Micros;
use domain::schema::{Field, Kind, Nested};
use std::collections::HashMap;
use std::ops::Range;

/// The segment entries of a job, made ready for judging memberships.
pub(crate) struct Wanted {
    namespaces: Vec<Namespace>,
    window: Window,
}

/// What is wanted of one namespace, by segment id.
struct Namespace {
    name: String,
    segments: HashMap<String, Vec<Asked>>,
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
    column: &'a str,
    status: &'a str,
    time: Option<&'a str>,
    /// The leaves to read.
    pub(crate) leaves: Vec<usize>,
}

/// A stored membership in a wanted segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership<'m> {
    /// The namespace as it is stored.
    pub(crate) namespace: &'m str,
    /// The segment.
    pub(crate) segment_id: &'m str,
    /// Who asks for it.
    pub(crate) asked: &'m [Asked],
    /// Whether anything is stored under the segment.
    pub(crate) present: bool,
    /// When it was qualified last; not read where no window asks for it.
    pub(crate) time: Option<Micros>,
    /// Its status.
    pub(crate) status: Statuses,
}

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
        for (entry, segment) in (0..).zip(&filter.segments) {
            let known = namespaces.iter().position(|n| n.name.eq_ignore_ascii_case(&segment.namespace));
            let at = known.unwrap_or_else(|| {
                namespaces.push(Namespace { name: segment.namespace.clone(), segments: HashMap::new() });
                namespaces.len() - 1
            });
            let asked = Asked { entry, statuses: Statuses::of(segment.matches.iter().copied()) };
            namespaces[at].segments.entry(segment.segment_id.clone()).or_default().push(asked);
        }
        (!namespaces.is_empty()).then_some(Self { namespaces, window: filter.window })
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

    fn segments_of(&self, namespace: &str) -> Option<&HashMap<String, Vec<Asked>>> {
        self.namespaces.iter().find(|n| n.name.eq_ignore_ascii_case(namespace)).map(|n| &n.segments)
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
    pub(crate) fn bind<'a>(
        &self,
        wanted: &'a Wanted,
        file: &'a [FileColumn],
        with_times: bool,
    ) -> Result<Option<BoundMemberships<'a>>, String> {
        let Some(column) = find(file, &self.column) else { return Ok(None) };
        let FileKind::Map(namespace, segments) = &column.kind else { return Err(ill_formed()) };
        let FileKind::Map(segment_id, entry) = &segments.kind else { return Err(ill_formed()) };
        let FileKind::Struct(fields) = &entry.kind else { return Err(ill_formed()) };
        let Some(status) = find(fields, &self.status) else { return Ok(None) };
        let with_times = with_times || !wanted.window.is_open();
        let time = self.time.as_ref().filter(|_| with_times).and_then(|field| find(fields, field));
        let mut leaves = Vec::new();
        for text in [namespace, segment_id, status] {
            match text.kind {
                FileKind::Leaf(leaf, DataType::Utf8 | DataType::Binary) => leaves.push(leaf),
                _ => return Err(ill_formed()),
            }
        }
        if let Some(time) = time {
            match time.kind {
                FileKind::Leaf(leaf, DataType::Timestamp(..)) => leaves.push(leaf),
                _ => return Err("the times of its memberships are no timestamps".into()),
            }
        }
        let time = time.map(|t| t.name.as_str());
        Ok(Some(BoundMemberships { wanted, column: &column.name, status: &status.name, time, leaves }))
    }
}

impl BoundMemberships<'_> {
    /// Tells every membership of the rows in a wanted segment, with its row, in order.
    pub(crate) fn each(
        &self,
        rows: &StructArray,
        mut tell: impl FnMut(usize, Membership<'_>),
    ) -> Result<(), ArrowError> {
        let read = Memberships::new(self, rows)?;
        for row in 0..rows.len() {
            for namespace in read.of_row.of(row) {
                let name = read.namespaces.value(namespace);
                let Some(wanted) = self.wanted.segments_of(name) else { continue };
                for entry in read.of_namespace.of(namespace) {
                    let segment_id = read.segment_ids.value(entry);
                    if let Some(asked) = wanted.get(segment_id) {
                        tell(row, read.membership(name, segment_id, asked, entry));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The leaf columns of a batch of rows, side by side.
struct Memberships {
    of_row: Spans,
    namespaces: StringArray,
    of_namespace: Spans,
    segment_ids: StringArray,
    entries: StructArray,
    statuses: StringArray,
    times: Option<TimestampMicrosecondArray>,
}

/// The entries of each map of an array; none for a null map.
struct Spans {
    offsets: OffsetBuffer<i32>,
    maps: ArrayRef,
}

impl Spans {
    fn of(&self, index: usize) -> Range<usize> {
        if self.maps.is_null(index) {
            return 0..0;
        }
        self.offsets[index] as usize..self.offsets[index + 1] as usize
    }
}

impl Memberships {
    fn new(bound: &BoundMemberships<'_>, rows: &StructArray) -> Result<Self, ArrowError> {
        let unread = || ArrowError::SchemaError("memberships were not read as their schema says".into());
        let column = rows.column_by_name(bound.column).ok_or_else(unread)?;
        let outer = column.as_map_opt().ok_or_else(unread)?;
        let inner = outer.values().as_map_opt().ok_or_else(unread)?;
        let entries = inner.values().as_struct_opt().ok_or_else(unread)?;
        let times = match bound.time {
            Some(name) => Some(micros(entries.column_by_name(name).ok_or_else(unread)?)?),
            None => None,
        };
        Ok(Self {
            of_row: Spans { offsets: outer.offsets().clone(), maps: column.clone() },
            namespaces: strings(outer.keys())?,
            of_namespace: Spans { offsets: inner.offsets().clone(), maps: outer.values().clone() },
            segment_ids: strings(inner.keys())?,
            entries: entries.clone(),
            statuses: strings(entries.column_by_name(bound.status).ok_or_else(unread)?)?,
            times,
        })
    }

    fn membership<'m>(
        &self,
        namespace: &'m str,
        segment_id: &'m str,
        asked: &'m [Asked],
        entry: usize,
    ) -> Membership<'m> {
        let present = self.entries.is_valid(entry);
        let status = Some(&self.statuses).filter(|s| present && s.is_valid(entry)).map(|s| s.value(entry));
        let time = self.times.as_ref().filter(|t| present && t.is_valid(entry)).map(|t| Micros(t.value(entry)));
        let status = Statuses::of(status.and_then(MembershipStatus::parse));
        Membership { namespace, segment_id, asked, present, time, status }
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

fn ill_formed() -> String {
    "its memberships are not kept as the table's schema says".into()
}
