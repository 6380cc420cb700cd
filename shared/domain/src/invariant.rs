//! What is true of every job, judged once more where it is about to become visible: a bug that got past every guard must
//! neither show nor pass unnoticed. The numbers are those of `docs/reliability.md`.

use crate::plan::OutputList;
use crate::ports::jobs::Shard;

/// An invariant that was found broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// I2: a shard counts more DONE parts than it has.
    #[error("I2: a shard counts {done} of {total} parts")]
    MoreThanAll {
        /// What it counts.
        done: u32,
        /// What it has.
        total: u32,
    },
    /// I2: the shards count other parts than are DONE.
    #[error("I2: the shards count {counted} parts, {done} are done")]
    Parts {
        /// What the shards count.
        counted: u64,
        /// DONE parts.
        done: u64,
    },
    /// I10: shards, parts and files differ in rows.
    #[error("I10: the shards count {counted} rows, the parts {listed}, their files {filed}")]
    Rows {
        /// What the shards count.
        counted: u64,
        /// What the parts' output lists count.
        listed: u64,
        /// What the files in those lists hold.
        filed: u64,
    },
}

/// F1: whether the shards can be what they say.
pub fn plausible(shards: &[Shard]) -> Result<(), Broken> {
    let broken = shards.iter().find(|shard| shard.done > shard.total);
    broken.map_or(Ok(()), |shard| Err(Broken::MoreThanAll { done: shard.done, total: shard.total }))
}

/// F2: whether all that was counted of a complete job agrees: its shards, and the output lists of its DONE parts.
pub fn agree(shards: &[Shard], lists: &[OutputList]) -> Result<(), Broken> {
    let (counted, done) = (shards.iter().map(|shard| u64::from(shard.done)).sum(), lists.len() as u64);
    if counted != done {
        return Err(Broken::Parts { counted, done });
    }
    let counted = shards.iter().map(|shard| shard.counts.rows).sum();
    let listed = lists.iter().map(|list| list.counts.rows).sum();
    let filed = lists.iter().flat_map(|list| &list.files).map(|file| file.rows).sum();
    if counted == listed && listed == filed { Ok(()) } else { Err(Broken::Rows { counted, listed, filed }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BatchId;
    use crate::plan::{Counts, OutputFile};
    use crate::ports::jobs::Gate;

    fn shard(done: u32, rows: u64) -> Shard {
        let counts = Counts { rows, ..Counts::default() };
        Shard { gate: Gate::Open, total: 2, done, weight_done: 0, counts }
    }

    fn list(rows: u64, filed: u64) -> OutputList {
        let file = OutputFile {
            location: "s3://lake/a.parquet".into(),
            batch_id: BatchId::new(1),
            bytes: 1,
            rows: filed,
            profile_id_bounds: None,
            split_offsets: Vec::new(),
        };
        OutputList { version: 1, files: vec![file], counts: Counts { rows, ..Counts::default() }, distinct: false }
    }

    #[test]
    fn a_shard_counts_no_more_parts_than_it_has() {
        assert_eq!(plausible(&[shard(0, 0), shard(2, 9)]), Ok(()));
        assert_eq!(plausible(&[shard(2, 0), shard(3, 9)]), Err(Broken::MoreThanAll { done: 3, total: 2 }));
    }

    #[test]
    fn shards_parts_and_files_count_the_same() {
        let shards = [shard(1, 5), shard(1, 7)];
        for (lists, verdict) in [
            (vec![list(4, 4), list(8, 8)], Ok(())),
            (vec![list(12, 12)], Err(Broken::Parts { counted: 2, done: 1 })),
            (vec![list(4, 4), list(7, 7)], Err(Broken::Rows { counted: 12, listed: 11, filed: 11 })),
            (vec![list(4, 4), list(8, 7)], Err(Broken::Rows { counted: 12, listed: 12, filed: 11 })),
        ] {
            assert_eq!(agree(&shards, &lists), verdict);
        }
        assert_eq!(agree(&[], &[]), Ok(()));
    }
}
