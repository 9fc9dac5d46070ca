//! Where the partitions stand, found in a number of calls that does not grow with history.

use super::hint::Hint;
use super::record::Record;
use super::{COMPLETE, Flat, Standing, data, marker, parse_marker, recent};
use crate::archive::Archive;
use crate::archive::listing::Name;
use crate::archive::names::{self, PARTITIONS};
use crate::store::{Cause, Entry, StoreError};
use operators_core::error::Result;
use operators_core::position::{Anchors, Checkpoint, Position};
use operators_core::progress::{Progress, Tally};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// A hint is one batch old after a crash; one that is older than this is not followed.
const STEPS: u64 = 3;

/// All that is known before a run begins.
pub(super) struct Survey {
    /// The partitions that have a committed batch.
    pub(super) newest: BTreeMap<u32, Newest>,
    /// Where those begin of which a crash has cut the first commit.
    begun: BTreeMap<u32, Position>,
    /// Whether [`PARTITIONS`] lacks none of them.
    pub(super) is_marked: bool,
}

/// The newest batch of a partition.
pub(super) struct Newest {
    record: Record,
    pub(super) standing: Standing,
    /// Whether `partition-N.json` says the same.
    pub(super) hinted: bool,
}

impl Flat {
    /// Looks where each partition of a flow stands.
    pub(super) fn survey(&self, flow: &str) -> Result<Survey> {
        let entries = self.entries(PARTITIONS)?.filter(|entries| entries.iter().any(|entry| entry.name == COMPLETE));
        let is_marked = entries.is_some();
        let listed = Listed { flat: self, newest: OnceCell::new() };
        let partitions: BTreeSet<_> = match entries {
            Some(entries) => entries.iter().filter_map(|entry| parse_marker(&entry.name)).collect(),
            None => listed.get()?.keys().copied().collect(),
        };
        let (mut newest, mut begun) = (BTreeMap::new(), BTreeMap::new());
        for partition in partitions {
            if let Some(found) = self.newest(partition, &listed)? {
                self.archive.check_owner(&found.record.run.flow, flow)?;
                newest.insert(partition, found);
            } else if let Some(began) = self.began(partition)? {
                begun.insert(partition, began);
            }
        }
        Ok(Survey { newest, begun, is_marked })
    }

    /// Refuses a directory in which all files of a partition are gone: it would be read from its beginning again.
    pub(super) fn check_partitions(&self, flow: &str, survey: &Survey) -> Result<()> {
        let Some((path, known)) = survey.most_known() else { return Ok(()) };
        // A newer copy may have begun some while this one looked; then they are there for good.
        if known <= survey.newest.len() as u64 || known <= self.survey(flow)?.newest.len() as u64 {
            return Ok(());
        }
        let there = survey.newest.len();
        let reason =
            format!("when it was closed {known} partitions had files, and now {there} have; put the others back");
        Err(self.archive.damaged(&path, reason))
    }

    fn newest(&self, partition: u32, listed: &Listed<'_>) -> Result<Option<Newest>> {
        let hint = self.hint(partition)?;
        let (batch, record) = match self.follow_hint(partition, hint)? {
            Some(found) => found,
            None => {
                let Some(&batch) = listed.get()?.get(&partition) else { return Ok(None) };
                (batch, self.there(partition, batch)?)
            }
        };
        if record.known.batches > batch {
            let reason = format!("it says that {} batches were before it", record.known.batches);
            return Err(self.archive.damaged(&data(partition, batch), reason));
        }
        let mut totals = record.known.totals;
        let mut digests = record.before.clone().unwrap_or_default();
        for earlier in record.known.batches..batch {
            let earlier_record = self.there(partition, earlier)?;
            totals += earlier_record.tally;
            digests = recent(digests, earlier, earlier_record.digest);
        }
        totals += record.tally;
        let digests = recent(digests, batch, record.digest);
        let standing = Standing { batches: batch + 1, next: record.span.to, totals, recent: digests };
        let hinted = hint == Hint::of(&standing);
        Ok(Some(Newest { record, standing, hinted }))
    }

    /// Where a partition began, as the text of its marker; those of partitions that had files need not tell.
    fn began(&self, partition: u32) -> Result<Option<Position>> {
        let position = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok().map(Position);
        match self.archive.store.read(&names::join(PARTITIONS, &marker(partition))) {
            Err(StoreError { cause: Cause::NotFound, .. }) => Ok(None),
            read => Ok(position(&read.map_err(|e| self.archive.failed(e))?)),
        }
    }

    /// The newest batch, when it is the one of the hint or one of the few after it.
    fn follow_hint(&self, partition: u32, hint: Option<Hint>) -> Result<Option<(u64, Record)>> {
        let Some(Hint { batch_id, .. }) = hint else { return Ok(None) };
        let Some(mut record) = self.find(partition, batch_id)? else { return Ok(None) };
        for batch in batch_id..batch_id.saturating_add(STEPS) {
            match self.find(partition, batch + 1)? {
                Some(next) => record = next,
                None => return Ok(Some((batch, record))),
            }
        }
        Ok(None)
    }

    fn there(&self, partition: u32, batch: u64) -> Result<Record> {
        let gone = || self.archive.damaged(&data(partition, batch), "it is gone, though later batches count on it");
        self.find(partition, batch)?.ok_or_else(gone)
    }

    /// What a directory holds; `None` when it is not there.
    pub(super) fn entries(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        match self.archive.store.list(path) {
            Err(StoreError { cause: Cause::NotFound, .. }) => Ok(None),
            listed => listed.map(Some).map_err(|e| self.archive.failed(e)),
        }
    }
}

/// The newest batch of each partition by the names of all files, listed when first asked for: the directory may be
/// large.
struct Listed<'a> {
    flat: &'a Flat,
    newest: OnceCell<BTreeMap<u32, u64>>,
}

impl Listed<'_> {
    fn get(&self) -> Result<&BTreeMap<u32, u64>> {
        if let Some(newest) = self.newest.get() {
            return Ok(newest);
        }
        let entries = self.flat.entries("")?.unwrap_or_default();
        self.flat.archive.check_layout("flat", &entries)?;
        Ok(self.newest.get_or_init(|| of_names(&entries)))
    }
}

/// The newest batch of each partition among these names.
pub(super) fn of_names(entries: &[Entry]) -> BTreeMap<u32, u64> {
    let mut newest = BTreeMap::new();
    for Entry { name, .. } in entries {
        if let Name::Rows { partition, batch } = Name::parse(name) {
            let newest = newest.entry(partition).or_insert(batch);
            *newest = batch.max(*newest);
        }
    }
    newest
}

impl Survey {
    /// The file that tells of the most partitions that had files, and how many those were.
    fn most_known(&self) -> Option<(String, u64)> {
        let known = |(&partition, newest): (&u32, &Newest)| {
            (data(partition, newest.standing.batches - 1), newest.record.known.partitions)
        };
        self.newest.iter().map(known).max_by_key(|(_, partitions)| *partitions)
    }

    /// What the newest batches say together; `None` before the first.
    pub(super) fn progress(&self, archive: &Archive) -> Result<Option<Progress>> {
        let Some(last) = self.newest.values().map(|newest| &newest.record).max_by_key(|record| record.version) else {
            return Ok(None);
        };
        let mut source = None;
        let mut positions = Checkpoint(self.begun.clone());
        let (mut anchors, mut totals) = (Anchors::default(), Tally::default());
        for (&partition, Newest { record, standing, .. }) in &self.newest {
            let path = data(partition, standing.batches - 1);
            if let Some(difference) = record.fingerprint.differences(&last.fingerprint).first() {
                let reason = format!("its positions mean something else than those of other partitions: {difference}");
                return Err(archive.damaged(&path, reason));
            }
            match (&source, &record.source) {
                (Some(known), Some(other)) if known != other => {
                    let reason = format!("its source is {other}, but that of other partitions is {known}");
                    return Err(archive.damaged(&path, reason));
                }
                (None, Some(known)) => source = Some(known.clone()),
                _ => {}
            }
            positions.0.insert(partition, standing.next);
            anchors.advance(&record.span);
            totals += standing.totals;
        }
        let (version, run) = (last.version, last.run.clone());
        Ok(Some(Progress { version, run, fingerprint: last.fingerprint.clone(), source, positions, anchors, totals }))
    }
}
