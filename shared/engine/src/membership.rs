//! Which rows of a file are members of the wanted segments.

use crate::project::strings;
use crate::tree::{FileColumn, FileKind, find};
use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, StringArray, StructArray, TimestampMicrosecondArray};
use arrow_buffer::{BooleanBuffer, OffsetBuffer};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, TimeUnit};
use domain::filter::{MembershipFilter, MembershipStatus, Window};
use domain::instant::Micros;
use domain::schema::{Field, Kind, Nested};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// The filter of a job, made ready for judging rows.
pub(crate) struct Membership {
    wanted: Vec<Namespace>,
    window: Window,
    column: Option<SourceColumn>,
}

/// What is wanted of one namespace: the matching statuses of each segment id.
struct Namespace {
    name: String,
    segments: HashMap<String, BTreeSet<MembershipStatus>>,
}

/// The fields of the source's schema that memberships are judged by.
struct SourceColumn {
    column: Field,
    status: Field,
    time: Option<Field>,
}

/// Where a file keeps what memberships are judged by.
pub(crate) struct BoundMembership<'a> {
    membership: &'a Membership,
    column: &'a str,
    status: &'a str,
    time: Option<&'a str>,
    /// The leaves to read.
    pub(crate) leaves: Vec<usize>,
}

impl Membership {
    /// The filter over the source's column, where the source has one. `None`: everybody is exported. The error is a
    /// sentence about the column.
    pub(crate) fn new(filter: &MembershipFilter, column: Option<&Field>) -> Result<Option<Self>, String> {
        if filter.segments.is_empty() {
            return Ok(None);
        }
        let mut wanted: Vec<Namespace> = Vec::new();
        for entry in &filter.segments {
            let known = wanted.iter().position(|n| n.name.eq_ignore_ascii_case(&entry.namespace));
            let at = known.unwrap_or_else(|| {
                wanted.push(Namespace { name: entry.namespace.clone(), segments: HashMap::new() });
                wanted.len() - 1
            });
            wanted[at].segments.entry(entry.segment_id.clone()).or_default().extend(&entry.matches);
        }
        let column = column.map(SourceColumn::new).transpose()?.flatten();
        Ok(Some(Self { wanted, window: filter.window, column }))
    }

    /// Finds the columns in a file. `None`: the file keeps no memberships, so that none of its rows is a member.
    pub(crate) fn bind<'a>(&'a self, file: &'a [FileColumn]) -> Result<Option<BoundMembership<'a>>, String> {
        let Some(source) = &self.column else { return Ok(None) };
        let Some(column) = find(file, &source.column) else { return Ok(None) };
        let FileKind::Map(namespace, segments) = &column.kind else { return Err(ill_formed()) };
        let FileKind::Map(segment_id, entry) = &segments.kind else { return Err(ill_formed()) };
        let FileKind::Struct(fields) = &entry.kind else { return Err(ill_formed()) };
        let Some(status) = find(fields, &source.status) else { return Ok(None) };
        let time = source.time.as_ref().filter(|_| !self.window.is_open()).and_then(|field| find(fields, field));
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
        Ok(Some(BoundMembership { membership: self, column: &column.name, status: &status.name, time, leaves }))
    }

    fn segments_of(&self, namespace: &str) -> Option<&HashMap<String, BTreeSet<MembershipStatus>>> {
        self.wanted.iter().find(|n| n.name.eq_ignore_ascii_case(namespace)).map(|n| &n.segments)
    }
}

impl SourceColumn {
    /// The parts of a column, which must be a map of maps of structs. `None`: it holds no status, so nobody is a member.
    fn new(column: &Field) -> Result<Option<Self>, String> {
        let entry = map_value(&column.kind).and_then(map_value);
        let Some(Kind::Nested(Nested::Struct { fields })) = entry else {
            return Err(format!("the column {} does not map namespaces to segments to memberships", column.name));
        };
        let field = |name: &str| fields.iter().find(|f| f.name == name).cloned();
        let time = field("lastQualificationTime");
        Ok(field("status").map(|status| Self { column: column.clone(), status, time }))
    }
}

impl BoundMembership<'_> {
    /// Which rows are members of any wanted segment.
    pub(crate) fn judge(&self, rows: &StructArray) -> Result<BooleanBuffer, ArrowError> {
        let memberships = Memberships::new(self, rows)?;
        let mut members = BooleanBufferBuilder::new(rows.len());
        for row in 0..rows.len() {
            members.append(memberships.any_wanted(row, self.membership));
        }
        Ok(members.finish())
    }
}

/// The leaf columns of a batch of rows, side by side.
struct Memberships {
    of_row: Spans,
    namespaces: StringArray,
    of_namespace: Spans,
    segment_ids: StringArray,
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
    fn new(bound: &BoundMembership<'_>, rows: &StructArray) -> Result<Self, ArrowError> {
        let unread = || ArrowError::SchemaError("memberships were not read as their schema says".into());
        let column = rows.column_by_name(bound.column).ok_or_else(unread)?;
        let outer = column.as_map_opt().ok_or_else(unread)?;
        let inner = outer.values().as_map_opt().ok_or_else(unread)?;
        let entries = inner.values().as_struct_opt().ok_or_else(unread)?;
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let times = match bound.time {
            Some(name) => Some(cast(entries.column_by_name(name).ok_or_else(unread)?, &micros)?),
            None => None,
        };
        Ok(Self {
            of_row: Spans { offsets: outer.offsets().clone(), maps: column.clone() },
            namespaces: strings(outer.keys())?,
            of_namespace: Spans { offsets: inner.offsets().clone(), maps: outer.values().clone() },
            segment_ids: strings(inner.keys())?,
            statuses: strings(entries.column_by_name(bound.status).ok_or_else(unread)?)?,
            times: times.map(|t| t.as_primitive::<TimestampMicrosecondType>().clone()),
        })
    }

    fn any_wanted(&self, row: usize, membership: &Membership) -> bool {
        self.of_row.of(row).any(|namespace| {
            let wanted = membership.segments_of(self.namespaces.value(namespace));
            wanted.is_some_and(|wanted| {
                self.of_namespace.of(namespace).any(|entry| {
                    wanted.get(self.segment_ids.value(entry)).is_some_and(|matches| self.matches(entry, matches))
                        && membership.window.contains(self.time(entry))
                })
            })
        })
    }

    fn matches(&self, entry: usize, matches: &BTreeSet<MembershipStatus>) -> bool {
        !self.statuses.is_null(entry)
            && MembershipStatus::parse(self.statuses.value(entry)).is_some_and(|status| matches.contains(&status))
    }

    fn time(&self, entry: usize) -> Option<Micros> {
        self.times.as_ref().filter(|t| !t.is_null(entry)).map(|t| Micros(t.value(entry)))
    }
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
