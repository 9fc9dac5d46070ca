//! `layout = "flat"`: one file per source partition and batch, directly in the directory, each partition a chain of
//! commits of its own.
//!
//! ```text
//! partition-3-batch-42.parquet    rows, and the partition's checkpoint in the footer
//! partition-3.json                the newest batch and the next position, for people and other tools
//! _partitions/partition-3         there is such a partition, and where it began
//! ```
//! The rename of a file to its name is the commit. A partition's numbers are dense, so two runs that both follow batch
//! 42 of partition 3 can only race for 43; each may win one partition and lose another, and then both stop. A
//! partition that was read but kept no row gets a file without rows: where it stands must be written somewhere. A crash
//! between two renames leaves some partitions a batch ahead of others, and each goes on from where it stands.
//!
//! | file | what it knows |
//! |---|---|
//! | `record` | what a file says about itself |
//! | `hint` | `partition-N.json` |
//! | `newest` | where the partitions stand |
//! | `commit` | how a batch is published |
//! | `audit` | the proof: reads everything back, trusting nobody |

mod audit;
mod commit;
pub(super) mod hint;
mod newest;
mod record;

use super::names::{self, DataFile, PARTITIONS};
use super::{Archive, CommittedFile, DigestIn, Files, Layout, Sealed, Unsealed, data_files};
use crate::store::{Cause, StoreError};
use arrow::datatypes::SchemaRef;
use commit::Publisher;
use operators_core::digest::Digest;
use operators_core::error::{Error, Result};
use operators_core::inspect::{FirstBatch, Holdings};
use operators_core::position::{Position, Span};
use operators_core::progress::{Progress, Run, Tally, Version};
use operators_core::stage::{Account, Closing, Listen, Opened};
use parquet::file::properties::WriterProperties;
use record::{Known, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Comes into [`PARTITIONS`] after those that had files before; without it the others do not count.
const COMPLETE: &str = "_complete";

/// The file of one batch of a partition.
fn data(partition: u32, batch: u64) -> String {
    DataFile::Rows(partition).name(batch)
}

/// What stands for a partition in [`PARTITIONS`].
fn marker(partition: u32) -> String {
    format!("partition-{partition}")
}

/// The partition that a name in [`PARTITIONS`] stands for, if it is spelled exactly as [`marker`] would.
fn parse_marker(name: &str) -> Option<u32> {
    let partition = name.strip_prefix("partition-")?.parse().ok()?;
    (marker(partition) == name).then_some(partition)
}

/// A directory of files, one per source partition and batch.
#[derive(Clone)]
pub(crate) struct Flat {
    archive: Archive,
    schema: SchemaRef,
    properties: WriterProperties,
    /// Moved on by each commit of the open run, and read by its writers.
    standings: Arc<Mutex<BTreeMap<u32, Standing>>>,
}

/// How many of a partition's newest batches a record holds the digests of. While a file is closed the batch before it may
/// not be committed yet, as two epochs are in flight at most; one more is for safety.
const RECENT: usize = 3;

/// Where one partition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    /// How many are committed, which is the number of the next.
    batches: u64,
    /// The next position to read.
    next: Position,
    /// Rows of all of them.
    totals: Tally,
    /// Digests of the newest [`RECENT`] of them, by number; those of earlier versions have none.
    recent: BTreeMap<u64, Digest>,
}

/// The digests of the newest batches after one more was added.
fn recent(mut digests: BTreeMap<u64, Digest>, batch: u64, digest: Option<Digest>) -> BTreeMap<u64, Digest> {
    digests.extend(digest.map(|digest| (batch, digest)));
    digests.retain(|earlier, _| earlier + RECENT as u64 > batch);
    digests
}

impl Flat {
    pub(crate) fn new(archive: Archive, schema: SchemaRef, properties: WriterProperties) -> Self {
        Self { archive, schema, properties, standings: Arc::default() }
    }

    fn standings(&self) -> MutexGuard<'_, BTreeMap<u32, Standing>> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file of one partition in a batch says of itself. Another batch of the partition may be on its way to
    /// its commit, so that only what is committed now is known for sure.
    fn record(&self, run: &Run, attempt: u64, batch: &Closing, span: Span, rows: u64) -> Result<Record> {
        let filtered = span.rows.checked_sub(rows).ok_or_else(|| {
            Error::Other(format!("{rows} rows were written of {span}, which holds {}; this is a bug", span.rows))
        })?;
        let standings = self.standings();
        let standing = standings.get(&span.partition).cloned();
        let (batches, totals, before) = standing.map(|s| (s.batches, s.totals, s.recent)).unwrap_or_default();
        Ok(Record {
            run: run.clone(),
            attempt,
            version: batch.version,
            fingerprint: batch.fingerprint.clone(),
            source: batch.source.clone(),
            span,
            tally: Tally { read: span.rows, written: rows, filtered, ..Tally::default() },
            known: Known { batches, totals, partitions: standings.len() as u64 },
            before: Some(before),
            digest: None,
        })
    }

    /// Puts a name into [`PARTITIONS`]; none is ever taken out. By a rename, which lasts once it is seen: a file that
    /// another run had only created may vanish with a crash.
    fn mark(&self, run: &Run, name: &str) -> Result<()> {
        let staged = names::join(&names::staging(run), name);
        self.archive.write(&staged, b"").map_err(|e| self.archive.lost(run, e))?;
        match self.archive.store.rename(&staged, &names::join(PARTITIONS, name)) {
            Ok(()) => Ok(()),
            Err(StoreError { cause: Cause::AlreadyExists, .. }) => {
                self.archive.store.delete(&staged).map(drop).map_err(|e| self.archive.failed(e))
            }
            Err(error) => Err(self.archive.lost(run, error)),
        }
    }
}

impl Layout for Flat {
    fn progress(&self, flow: &str) -> Result<Option<Progress>> {
        self.survey(flow)?.progress(&self.archive)
    }

    fn open(&self, run: &Run) -> Result<Opened> {
        // A directory of another flow or layout is refused before anything in it is touched.
        self.progress(&run.flow)?;
        self.archive.fence(run)?;
        self.archive.prove(run)?;
        let survey = self.survey(&run.flow)?;
        self.check_partitions(&run.flow, &survey)?;
        let progress = survey.progress(&self.archive)?;
        if !survey.is_marked {
            survey.newest.keys().try_for_each(|&partition| self.mark(run, &marker(partition)))?;
            self.mark(run, COMPLETE)?;
        }
        let stale = survey.newest.iter().filter(|(_, newest)| !newest.hinted);
        for (&partition, newest) in stale {
            let staged = names::join(&names::staging(run), &hint::name(partition));
            self.stage_hint(run, &staged, &newest.standing)?;
            self.publish_hint(run, &staged, partition)?;
        }
        let standings: BTreeMap<_, _> = survey.newest.iter().map(|(&n, newest)| (n, newest.standing.clone())).collect();
        *self.standings() = standings;
        let next = progress.as_ref().map_or(Version::FIRST, |progress| progress.version.next());
        let committer = Publisher { flat: self.clone(), run: run.clone(), next };
        Ok(Opened { committer: Box::new(committer), progress })
    }

    fn seal(&self, file: &Unsealed<'_>, batch: &Closing) -> Result<Sealed> {
        let partition = file.file.partition();
        let span = batch.spans.iter().find(|span| span.partition == partition);
        match (file.file, span) {
            (DataFile::Rows(_), Some(span)) if *file.sources == BTreeSet::from([partition]) => {
                let record = self.record(file.run, file.attempt, batch, *span, file.rows)?;
                Ok(Sealed { says: vec![record.key_value()?], name: file.file.open_name(), digest: DigestIn::Footer })
            }
            _ => Err(Error::Other(format!(
                "{} must hold rows of source partition {partition} alone, but it holds others: {:?}; this is a bug",
                file.file.open_name(),
                file.sources
            ))),
        }
    }

    fn holdings(&self) -> Result<Holdings> {
        let entries = self.entries("")?.unwrap_or_default();
        let newest = newest::of_names(&entries);
        let written = |(&partition, &batch): (&u32, &u64)| self.archive.modified(&data(partition, batch));
        let committed_at = newest.iter().map(written).collect::<Result<Vec<_>>>()?.into_iter().max();
        Ok(Holdings { committed_at, files: committed_at.map(|_| data_files(&entries)) })
    }

    /// Holds the names of all files, which this layout keeps in one directory.
    fn audit(&self, flow: &str, listener: &mut dyn Listen) -> Result<Account> {
        audit::audit(self, flow, listener)
    }

    /// Every partition counts its batches for itself; those of one number come together.
    fn files(&self, flow: &str, from: FirstBatch) -> Result<Files> {
        let last = |(&partition, newest): (&u32, &newest::Newest)| (partition, newest.standing.batches - 1);
        let last: BTreeMap<_, _> = self.survey(flow)?.newest.iter().map(last).collect();
        let Some(&newest) = last.values().max() else { return Ok(Box::new(iter::empty())) };
        let first = match from {
            FirstBatch::Newest => last.values().copied().min().unwrap_or(newest),
            from => self.archive.first(from, newest)?,
        };
        let of_batch = move |batch| {
            let is_there = |(_, last): &(&u32, &u64)| match from {
                FirstBatch::Newest => batch == **last,
                _ => batch <= **last,
            };
            let file = |(&partition, _)| {
                Ok(CommittedFile { path: data(partition, batch), file: DataFile::Rows(partition), batch })
            };
            last.iter().filter(is_there).map(file).collect::<Vec<_>>()
        };
        Ok(Box::new((first..=newest).flat_map(of_batch)))
    }
}
