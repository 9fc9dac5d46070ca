//! What the names in the directory of an archive stand for: one reading, which `run` and `verify` share.
//!
//! | name | stands for | layout |
//! |---|---|---|
//! | `segment=000000` | a directory of batches, or a link to one | `batches` |
//! | `partition-3-batch-42.parquet`, `partition-3.json`, `_partitions` | rows, the copy for people, the partitions | `flat` |
//! | `_staging`, `_weatherflow-probe` | leftovers, which the next run deletes | |
//! | `.*` unless it ends in `.parquet`, `lost+found`, `*.db` and SQLite's files next to it | nothing of the archive | |
//!
//! Everything else is a stray: a run passes over it, and an audit reports it.

use super::batches::layout::Segment;
use super::flat::hint;
use super::names::{DataFile, LEGACY_STAGING, PARTITIONS, PROBE, is_parquet};
use operators_core::error::{Error, Result};
use operators_core::progress::Progress;
use operators_core::stage::{Finding, Listen};

/// What a name in the directory stands for, by the name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Up to 100,000 batches.
    Segment(Segment),
    /// The rows of one batch of a partition.
    Rows { partition: u32, batch: u64 },
    /// The copy for people of where a partition stands.
    Hint(u32),
    /// Which partitions there are.
    Partitions,
    /// What an earlier version staged, or what an interrupted start left.
    Leftover,
    /// Nothing of the archive, and in nobody's way.
    Ignored,
    /// Nothing that a commit makes.
    Stray,
}

/// How the names of SQLite's files end: the database, its log, its shared memory, its journal.
const DATABASE: [&str; 4] = [".db", ".db-wal", ".db-shm", ".db-journal"];

impl Name {
    pub(super) fn parse(name: &str) -> Self {
        if let Some(segment) = Segment::parse(name) {
            return Self::Segment(segment);
        }
        if let Some((DataFile::Rows(partition), batch)) = DataFile::parse(name) {
            return Self::Rows { partition, batch };
        }
        if let Some(partition) = hint::parse_name(name) {
            return Self::Hint(partition);
        }
        match name {
            PARTITIONS => Self::Partitions,
            LEGACY_STAGING | PROBE => Self::Leftover,
            _ if is_ignored(name) => Self::Ignored,
            _ => Self::Stray,
        }
    }

    /// The layout whose commits make such names.
    pub(super) fn layout(self) -> Option<&'static str> {
        match self {
            Self::Segment(_) => Some("batches"),
            Self::Rows { .. } | Self::Hint(_) | Self::Partitions => Some("flat"),
            Self::Leftover | Self::Ignored | Self::Stray => None,
        }
    }
}

fn is_ignored(name: &str) -> bool {
    // Readers that take every `*.parquet` may take a hidden one too.
    let is_hidden = name.starts_with('.') && !is_parquet(name);
    is_hidden || name == "lost+found" || DATABASE.iter().any(|end| name.ends_with(end))
}

/// Tells the findings of an audit, and at its end what would stop a run, unless something was found at that place.
pub(super) struct Told<'a> {
    listener: &'a mut dyn Listen,
    stops_a_run: Option<Finding>,
}

impl<'a> Told<'a> {
    /// `read` is what a run that starts now would go on from.
    pub(super) fn new(listener: &'a mut dyn Listen, read: Result<Option<Progress>>) -> Result<Self> {
        let stops_a_run = match read {
            Err(Error::Damaged { path, reason }) => Some(Finding { path, problem: reason }),
            // The rows of another flow and the names of another layout are findings at each of their files.
            Ok(_) | Err(Error::Refused { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { listener, stops_a_run })
    }

    pub(super) fn end(self) {
        self.stops_a_run.into_iter().for_each(|finding| self.listener.found(finding));
    }
}

impl Listen for Told<'_> {
    fn found(&mut self, finding: Finding) {
        self.stops_a_run.take_if(|stops| stops.path == finding.path);
        self.listener.found(finding);
    }

    fn checked(&mut self, rows: u64) {
        self.listener.checked(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_a_layout_or_ignored_or_strays() {
        let layout = |name: &str| Name::parse(name).layout();
        assert_eq!(layout("segment=000000"), Some("batches"));
        for name in ["partition-0-batch-1.parquet", "partition-0.json", "_partitions"] {
            assert_eq!(layout(name), Some("flat"), "{name}");
        }
        for name in [".snapshot", ".DS_Store", "lost+found", "weather.db", "weather.db-wal", "x.db-shm", "x.db-journal"]
        {
            assert_eq!(Name::parse(name), Name::Ignored, "{name}");
        }
        for name in ["_staging", "_weatherflow-probe"] {
            assert_eq!(Name::parse(name), Name::Leftover, "{name}");
        }
        for name in
            ["_SUCCESS", "_staging2", "segment=0", "notes", "db", ".x.parquet", ".x.dlq", "_dead-letters-0-batch-1.dlq"]
        {
            assert_eq!(Name::parse(name), Name::Stray, "{name}");
        }
    }
}
