//! Which of a profile's rows comes first: it wins where they disagree.

use domain::registry::AttributeMerge;
use std::cmp::Reverse;

/// Stands for an absent time; earlier than any other.
pub(super) const NO_TIME: i64 = i64::MIN;

/// A row's place among the rows of its profile; the least wins. The sequence of rows is that of the part's files (by
/// dataset, then by location) and of the rows in them, so that it settles ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    dataset: usize,
    newest_first: Reverse<i64>,
    sequence: u64,
}

impl Rank {
    /// The rank of a row of the dataset at that position of the plan, ingested then.
    pub(super) fn new(merge: &AttributeMerge, dataset: usize, ingest_time: i64, sequence: u64) -> Self {
        let dataset = match merge {
            AttributeMerge::TimestampOrdered => 0,
            AttributeMerge::DataSetPrecedence { .. } => dataset,
        };
        Self { dataset, newest_first: Reverse(ingest_time), sequence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_comes_before_dataset_unless_datasets_have_precedence() {
        let precedence = AttributeMerge::DataSetPrecedence { order: Vec::new() };
        let by_time = |dataset, time, sequence| Rank::new(&AttributeMerge::TimestampOrdered, dataset, time, sequence);
        let by_dataset = |dataset, time, sequence| Rank::new(&precedence, dataset, time, sequence);
        assert!(by_time(1, 20, 9) < by_time(0, 10, 1));
        assert!(by_dataset(0, 10, 1) < by_dataset(1, 20, 0));
        assert!(by_dataset(0, 20, 5) < by_dataset(0, 10, 1));
        assert!(by_time(0, 10, 1) < by_time(0, 10, 2) && by_dataset(0, 10, 1) < by_dataset(0, 10, 2));
        assert!(by_time(0, 10, 2) < by_time(0, NO_TIME, 1) && by_dataset(0, 10, 2) < by_dataset(0, NO_TIME, 1));
    }
}
