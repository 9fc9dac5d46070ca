//! The names that every layout has: data files, and what is staged.
//!
//! ```text
//! _staging/run=<run>/attempt=<attempt>/...        becomes part of the archive by a rename
//! _staging/dead=<run>-<round>-<other run>/...     what a newer run took from an older one, to be deleted
//! ```
//! Hive-style readers take `partition-*` for rows and pass over names that begin with `_`.

use crate::chunk::{Chunk, Kind};
use crate::progress::Run;

/// What is not committed yet; worthless after a crash.
pub(super) const STAGING: &str = "_staging";

/// Which data file of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DataFile {
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
        format!("{}.parquet", self.stem())
    }

    /// Its name in a batch.
    pub(super) fn name(self, batch: u64) -> String {
        format!("{}-batch-{batch}.parquet", self.stem())
    }

    fn stem(self) -> String {
        match self {
            Self::Rows(partition) => format!("partition-{partition}"),
            Self::DeadLetters(partition) => format!("_dead-letters-{partition}"),
        }
    }

    /// The file of this name and the number of its batch, if it is spelled exactly as [`DataFile::name`] would.
    pub(crate) fn parse(name: &str) -> Option<(Self, u64)> {
        let (stem, batch) = name.strip_suffix(".parquet")?.rsplit_once("-batch-")?;
        let file = match stem.strip_prefix("partition-") {
            Some(partition) => Self::Rows(partition.parse().ok()?),
            None => Self::DeadLetters(stem.strip_prefix("_dead-letters-")?.parse().ok()?),
        };
        let batch = batch.parse().ok()?;
        // Of the last number there is none after it.
        (file.name(batch) == name && batch < u64::MAX).then_some((file, batch))
    }
}

/// The directory in which one attempt at a batch is staged.
pub(crate) fn attempt(run: &Run, attempt: u64) -> String {
    join(&staging(run), &format!("attempt={attempt}"))
}

/// The directory of everything a run stages.
pub(super) fn staging(run: &Run) -> String {
    format!("{STAGING}/run={}", run.id)
}

/// Whether a path is that of something which is not committed.
pub(crate) fn is_staged(path: &str) -> bool {
    path.split('/').next() == Some(STAGING)
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

/// Where a run moves what another had staged; `round` keeps a name free when the other comes back to life.
pub(super) fn dead(run: &Run, round: u32, other: &str) -> String {
    format!("{STAGING}/dead={}-{round}-{other}", run.id)
}

/// A path in a directory; the root is the empty path.
pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
