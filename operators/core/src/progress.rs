//! The durable record of a commit: what a sink stores in the same atomic step as the rows.

use crate::digest::Digest;
use crate::position::{Anchors, Checkpoint, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{AddAssign, Sub};

/// The durable number of a commit: dense, 0, 1, 2 ...; two writers that follow the same version race for the next,
/// and one of them loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version of the first commit of a flow.
    pub const FIRST: Self = Self(0);

    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who writes: one flow of one process, from start to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Unique and ordered by time, for people; nothing depends on the order.
    pub id: String,
    /// Pipeline and flow: `weather/archive`.
    pub flow: String,
}

/// Where each row of a batch went: `read = written + filtered + skipped + dead_letters`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows the source gave.
    pub read: u64,
    /// Rows in the sink.
    pub written: u64,
    /// Rows left out by a transform, as asked.
    pub filtered: u64,
    /// Rows left out because they could not be processed (`on_error = "skip"`).
    pub skipped: u64,
    /// Rows put beside the others with a reason (`on_error = "dead_letter"`).
    pub dead_letters: u64,
}

impl Tally {
    /// Whether every row read is accounted for.
    pub fn is_conserved(&self) -> bool {
        self.read == self.written + self.filtered + self.skipped + self.dead_letters
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.written += other.written;
        self.filtered += other.filtered;
        self.skipped += other.skipped;
        self.dead_letters += other.dead_letters;
    }
}

impl Sub for Tally {
    type Output = Self;

    /// What came since an earlier count of the same rows.
    fn sub(self, earlier: Self) -> Self {
        Self {
            read: self.read.saturating_sub(earlier.read),
            written: self.written.saturating_sub(earlier.written),
            filtered: self.filtered.saturating_sub(earlier.filtered),
            skipped: self.skipped.saturating_sub(earlier.skipped),
            dead_letters: self.dead_letters.saturating_sub(earlier.dead_letters),
        }
    }
}

/// The parts of a flow that give stored positions their meaning, each under the name the file has for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub BTreeMap<String, String>);

impl Fingerprint {
    /// What differs from a stored fingerprint, one line per entry, in words for people; empty when nothing does.
    pub fn differences(&self, stored: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(stored.0.keys()).collect();
        let differs = |name: &&&String| self.0.get(**name) != stored.0.get(**name);
        let show = |value: Option<&String>| value.map_or("not there".to_owned(), |v| format!("`{v}`"));
        names
            .iter()
            .filter(differs)
            .map(|name| {
                let (was, is) = (show(stored.0.get(*name)), show(self.0.get(*name)));
                format!("{name} was {was} and is now {is}")
            })
            .collect()
    }
}

/// What is known after a commit, enough to go on from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Number of the commit.
    pub version: Version,
    /// Who committed.
    pub run: Run,
    /// What the positions mean.
    pub fingerprint: Fingerprint,
    /// Identity of the source the positions belong to, where it has one: a recreated topic gets another.
    pub source: Option<String>,
    /// Next position of every source partition.
    pub positions: Checkpoint,
    /// The last row before such a position, where the source can tell.
    #[serde(default)]
    pub anchors: Anchors,
    /// Rows of all commits so far.
    pub totals: Tally,
}

/// One batch, ready to be published.
#[derive(Debug)]
pub struct Commit {
    /// What will hold once it is published.
    pub progress: Progress,
    /// What this batch moved the source partitions by.
    pub spans: Vec<Span>,
    /// Rows of this batch.
    pub tally: Tally,
    /// The attempt its writers were opened with.
    pub attempt: u64,
    /// What its writers gave at their close.
    pub receipts: Vec<Receipt>,
}

/// What a writer leaves when it is closed: rows that are safe to publish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Rows written.
    pub rows: u64,
    /// Dead letters written.
    pub dead_letters: u64,
    /// Where they are until the commit.
    pub contents: Contents,
}

/// Rows between the close of a writer and the commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Contents {
    /// Closed, durable files in the staging directory of the attempt.
    Files(Vec<FileEntry>),
    /// Rows in memory, for sinks that insert them in the transaction of the commit.
    Chunks(Vec<crate::Chunk>),
}

/// A file of a batch, as its checkpoint lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name within the batch directory.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Length.
    pub bytes: u64,
    /// Digest of its bytes; records of earlier versions have none.
    #[serde(default)]
    pub digest: Option<Digest>,
}
