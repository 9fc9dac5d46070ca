//! Every name and path of an archive, in one place.
//!
//! ```text
//! segment=000000/batch=00000000000000000042/partition-3-batch-42.parquet
//!                                          /_dead-letters-0-batch-42.parquet
//!                                          /_checkpoint.json
//! _staging/run=<run>/attempt=<attempt>/...        becomes the batch directory by one rename
//! _staging/dead=<run>-<round>-<other run>/...     what a newer run took from an older one, to be deleted
//! ```
//! Hive-style readers take `partition-*` for rows and pass over names that begin with `_`.

use crate::chunk::{Chunk, Kind};
use crate::progress::{Run, Version};

/// The record of a commit, in its batch directory.
pub(super) const CHECKPOINT: &str = "_checkpoint.json";
/// What is not committed yet; worthless after a crash.
pub(super) const STAGING: &str = "_staging";

/// Keeps directories well below HDFS's limit of about a million entries.
const BATCHES_PER_SEGMENT: u64 = 100_000;

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

    /// Its name while it is written, before the version of its batch is known.
    pub(crate) fn open_name(self) -> String {
        format!("{}.parquet", self.stem())
    }

    /// Its name in the batch.
    pub(crate) fn name(self, version: Version) -> String {
        format!("{}-batch-{version}.parquet", self.stem())
    }

    fn stem(self) -> String {
        match self {
            Self::Rows(partition) => format!("partition-{partition}"),
            Self::DeadLetters(partition) => format!("_dead-letters-{partition}"),
        }
    }

    /// The file of a batch with this name, if it is spelled exactly as [`DataFile::name`] would.
    pub(super) fn parse(name: &str, version: Version) -> Option<Self> {
        let file = match name.strip_prefix("partition-") {
            Some(rest) => Self::Rows(rest.split_once('-')?.0.parse().ok()?),
            None => Self::DeadLetters(name.strip_prefix("_dead-letters-")?.split_once('-')?.0.parse().ok()?),
        };
        (file.name(version) == name).then_some(file)
    }
}

/// A directory of up to 100,000 batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment(pub(super) u64);

impl Segment {
    pub(super) fn of(version: Version) -> Self {
        Self(version.0 / BATCHES_PER_SEGMENT)
    }

    /// The last version that belongs here.
    pub(super) fn last(self) -> Version {
        Version(self.0 * BATCHES_PER_SEGMENT + (BATCHES_PER_SEGMENT - 1))
    }

    /// The segment before this one.
    pub(super) fn before(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }

    pub(super) fn name(self) -> String {
        format!("segment={:06}", self.0)
    }

    /// The segment of this name, if it is spelled exactly as [`Segment::name`] would.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let segment = Self(name.strip_prefix("segment=")?.parse().ok()?);
        (segment.name() == name && segment.0 < u64::MAX / BATCHES_PER_SEGMENT).then_some(segment)
    }

    /// The version whose directory in this segment has this name.
    pub(super) fn batch(self, name: &str) -> Option<Version> {
        let version = Version(name.strip_prefix("batch=")?.parse().ok()?);
        (batch_name(version) == name && Self::of(version) == self).then_some(version)
    }
}

fn batch_name(version: Version) -> String {
    format!("batch={:020}", version.0)
}

/// The directory of a committed batch.
pub(super) fn batch(version: Version) -> String {
    join(&Segment::of(version).name(), &batch_name(version))
}

/// The directory in which one attempt at a batch is staged.
pub(crate) fn attempt(run: &Run, attempt: u64) -> String {
    join(&staging(run), &format!("attempt={attempt}"))
}

/// The directory of everything a run stages.
pub(super) fn staging(run: &Run) -> String {
    format!("{STAGING}/run={}", run.id)
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
