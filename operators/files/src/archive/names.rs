//! The names that every layout has: data files, and what is staged.
//!
//! ```text
//! @staging/run=<run>/attempt=<attempt>/...        becomes part of the archive by a rename
//! @staging/dead=<run>-<round>-<other run>/...     what a newer run took from an older one, to be deleted
//! ```
//! In the archive no name ends in `.parquet` but those of committed rows, so that readers may take every such file.

use crate::store::STAGING;
use operators_core::chunk::{Chunk, Kind};
use operators_core::progress::Run;

/// Where earlier versions stage files: within the archive.
pub(super) const LEGACY_STAGING: &str = "_staging";

/// Names every partition that has files, so that none is missed without listing all of them.
pub(super) const PARTITIONS: &str = "_partitions";

/// What a run renames into the archive to see whether it can, and deletes again.
pub(super) const PROBE: &str = "_weatherflow-probe";

/// Which data file of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataFile {
    /// The rows of one target partition.
    Rows(u32),
    /// The dead letters of one target partition.
    DeadLetters(u32),
}

impl DataFile {
    /// The file a chunk's rows belong in.
    pub(crate) fn of(chunk: &Chunk) -> Self {
        match chunk.kind {
            Kind::Rows => Self::Rows(chunk.partition),
            Kind::DeadLetters => Self::DeadLetters(chunk.partition),
        }
    }

    /// The target partition.
    pub(crate) fn partition(self) -> u32 {
        match self {
            Self::Rows(partition) | Self::DeadLetters(partition) => partition,
        }
    }

    /// Its name while it is written, before the number of its batch is known.
    pub(crate) fn open_name(self) -> String {
        format!("{}.{}", self.stem(), self.extension())
    }

    /// Its name in a batch.
    pub(super) fn name(self, batch: u64) -> String {
        self.name_with(batch, self.extension())
    }

    fn name_with(self, batch: u64, extension: &str) -> String {
        format!("{}-batch-{batch}.{extension}", self.stem())
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Rows(_) => ROWS,
            Self::DeadLetters(_) => DEAD_LETTERS,
        }
    }

    fn stem(self) -> String {
        match self {
            Self::Rows(partition) => format!("partition-{partition}"),
            Self::DeadLetters(partition) => format!("_dead-letters-{partition}"),
        }
    }

    /// The file of this name and the number of its batch, if it is spelled exactly as `DataFile::name` would, or as
    /// earlier versions named dead letters.
    pub fn parse(name: &str) -> Option<(Self, u64)> {
        let (path, extension) = name.rsplit_once('.')?;
        let (stem, batch) = path.rsplit_once("-batch-")?;
        let file = match stem.strip_prefix("partition-") {
            Some(partition) => Self::Rows(partition.parse().ok()?),
            None => Self::DeadLetters(stem.strip_prefix("_dead-letters-")?.parse().ok()?),
        };
        let batch = batch.parse().ok()?;
        let is_known = extension == file.extension() || extension == ROWS;
        // Of the last number there is none after it.
        (is_known && file.name_with(batch, extension) == name && batch < u64::MAX).then_some((file, batch))
    }
}

/// How the names of files with rows end.
const ROWS: &str = "parquet";
/// How the names of dead letters end; they are Parquet files too, and no reader of rows takes them.
const DEAD_LETTERS: &str = "dlq";

/// Whether a file of this name, wherever it lies, is a Parquet file.
pub(crate) fn is_parquet(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| extension == ROWS || extension == DEAD_LETTERS)
}

/// The directory in which one attempt at a batch is staged.
pub(crate) fn attempt(run: &Run, attempt: u64) -> String {
    join(&staging(run), &format!("attempt={attempt}"))
}

/// The directory of everything a run stages.
pub(super) fn staging(run: &Run) -> String {
    join(STAGING, &of_run(&run.id))
}

/// What a name in the staging directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staged<'a> {
    /// The directory of a run, with its id.
    Run(&'a str),
    /// Taken from a run that may still be alive, to be deleted.
    Dead,
    /// Not ours.
    Foreign,
}

impl<'a> Staged<'a> {
    pub(super) fn parse(name: &'a str) -> Self {
        match name.strip_prefix("run=") {
            Some(id) => Self::Run(id),
            None if name.starts_with("dead=") => Self::Dead,
            None => Self::Foreign,
        }
    }
}

/// The name under which a run moves aside what another had staged; `round` keeps a name free when the other comes back to
/// life.
pub(super) fn dead(run: &Run, round: u32, other: &str) -> String {
    format!("dead={}-{round}-{other}", run.id)
}

/// The name of what a run has staged.
pub(super) fn of_run(id: &str) -> String {
    format!("run={id}")
}

/// A path in a directory; the root is the empty path.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_have_names_that_readers_take() {
        let (rows, dead) = (DataFile::Rows(3), DataFile::DeadLetters(3));
        assert_eq!(rows.name(7), "partition-3-batch-7.parquet");
        assert_eq!(dead.name(7), "_dead-letters-3-batch-7.dlq");
        for (name, file) in [
            ("partition-3-batch-7.parquet", Some(rows)),
            ("_dead-letters-3-batch-7.dlq", Some(dead)),
            ("_dead-letters-3-batch-7.parquet", Some(dead)),
            ("partition-3-batch-7.dlq", None),
            ("partition-03-batch-7.parquet", None),
            ("_dead-letters-3-batch-07.dlq", None),
            ("partition-3-batch-7", None),
            ("partition-3.parquet", None),
        ] {
            assert_eq!(DataFile::parse(name), file.map(|file| (file, 7)), "{name}");
        }
    }
}
