//! Where the batches lie.
//!
//! ```text
//! segment=000000/batch=00000000000000000042/partition-3-batch-42.parquet
//!                                          /_dead-letters-0-batch-42.dlq
//!                                          /_checkpoint.json
//! ```

use crate::archive::names::join;
use operators_core::progress::Version;

/// The record of a commit, in its batch directory.
pub(super) const CHECKPOINT: &str = "_checkpoint.json";

/// What stands before the `=` in the names of directories; readers that know Hive's convention take these for columns.
pub(crate) const DIRECTORY_KEYS: [&str; 2] = ["segment", "batch"];

/// Keeps directories well below HDFS's limit of about a million entries.
const BATCHES_PER_SEGMENT: u64 = 100_000;

/// A directory of up to 100,000 batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::archive) struct Segment(u64);

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
    pub(in crate::archive) fn parse(name: &str) -> Option<Self> {
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
