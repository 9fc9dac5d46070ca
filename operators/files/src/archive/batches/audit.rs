//! The proof: reads back every batch and every row, trusting nobody.
//!
//! Reads some batches at a time and holds one segment's names beside them, whatever the length of history.

use super::Batches;
use super::footer::Footer;
use super::layout::{self, Segment};
use super::manifest::{Manifest, StoredManifest};
use crate::archive::footer::{Check, ReadBack, ToRead};
use crate::archive::listing::{Name, Told};
use crate::archive::names::{self, DataFile};
use crate::archive::side_by_side::side_by_side;
use crate::archive::{Archive, Layout};
use crate::store::{Cause, Entry, EntryKind, StoreError};
use operators_core::error::{Error, Result};
use operators_core::position::{Checkpoint, Span};
use operators_core::progress::{FileEntry, Tally, Version};
use operators_core::stage::{Account, Finding, Listen};
use std::collections::BTreeMap;

/// Batches that are read before the first of them is checked against those before it: enough for all cores, however
/// few files each has.
const AT_ONCE: usize = 16;

/// Checks everything committed by a flow, giving each finding as it is met.
pub(super) fn audit(batches: &Batches, flow: &str, listener: &mut dyn Listen) -> Result<Account> {
    let mut told = Told::new(listener, batches.progress(flow))?;
    let mut audit = Audit {
        batches,
        archive: &batches.archive,
        flow,
        listener: &mut told,
        account: Account::default(),
        spans: BTreeMap::new(),
        expected: Version::FIRST,
        last: None,
        has_digests: false,
    };
    audit.root()?;
    let account = Account { spans: audit.spans.into_values().collect(), ..audit.account };
    told.end();
    Ok(account)
}

struct Audit<'a> {
    batches: &'a Batches,
    archive: &'a Archive,
    flow: &'a str,
    listener: &'a mut dyn Listen,
    account: Account,
    /// Per source partition all that was read so far.
    spans: BTreeMap<u32, Span>,
    expected: Version,
    /// The last record, where it could be read.
    last: Option<StoredManifest>,
    /// Whether a record with digests was met: all after it must have them too.
    has_digests: bool,
}

/// What was read of a batch.
struct Seen {
    /// Names in its directory.
    entries: BTreeMap<String, EntryKind>,
    record: Result<StoredManifest, Finding>,
    /// By name, the files that its manifest lists and that are there.
    files: BTreeMap<String, ReadBack<Footer>>,
}

impl Audit<'_> {
    fn find(&mut self, path: &str, problem: impl Into<String>) {
        self.listener.found(Finding { path: self.archive.path(path), problem: problem.into() });
    }

    fn stray(&mut self, path: &str) {
        self.find(path, "no commit put this here; move it away");
    }

    fn root(&mut self) -> Result<()> {
        let mut segments = Vec::new();
        for Entry { name, kind } in list(self.archive, "")? {
            match (Name::parse(&name), kind) {
                (Name::Segment(segment), EntryKind::Directory) => segments.push(segment),
                // It stops a run, and is told as that.
                (Name::Segment(_), EntryKind::File(_)) => {}
                (Name::Leftover, EntryKind::Directory) | (Name::Ignored, _) => {}
                _ => self.stray(&name),
            }
        }
        segments.sort_unstable();
        segments.into_iter().try_for_each(|segment| self.segment(segment))
    }

    fn segment(&mut self, segment: Segment) -> Result<()> {
        // A list may have a name that came while it was made, and lack one that came before that. So what the first list
        // tells of is looked for in the second, and what has come since is left to the next audit.
        let batch = |entry: &Entry| segment.batch(&entry.name);
        let newest = list(self.archive, &segment.name())?.iter().filter_map(batch).max();
        let mut entries = list(self.archive, &segment.name())?;
        entries.retain(|entry| batch(entry) <= newest);
        for some in entries.chunks(AT_ONCE) {
            let directories = some.iter().filter(|entry| entry.kind == EntryKind::Directory);
            let versions = directories.filter_map(|entry| segment.batch(&entry.name)).collect();
            let mut seen: BTreeMap<_, _> = read(self.batches, versions)?.into_iter().collect();
            for Entry { name, .. } in some {
                match segment.batch(name).and_then(|version| seen.remove_entry(&version)) {
                    Some((version, seen)) => self.batch(version, seen),
                    None => self.stray(&names::join(&segment.name(), name)),
                }
            }
        }
        Ok(())
    }

    fn batch(&mut self, version: Version, seen: Seen) {
        let Seen { mut entries, record, files } = seen;
        let directory = layout::batch(version);
        if version != self.expected {
            let problem = format!("missing: the batch found after {} others is {version}", self.expected);
            self.find(&layout::batch(self.expected), problem);
        }
        self.expected = version.next();
        self.account.batches += 1;
        match record {
            Err(finding) => self.listener.found(finding),
            Ok(record) => {
                let path = names::join(&directory, layout::CHECKPOINT);
                self.digests(&path, &record.manifest);
                self.follows(&path, &record.manifest);
                self.files(&directory, &record.manifest, &mut entries, files);
                self.last = Some(record);
            }
        }
        entries.remove(layout::CHECKPOINT);
        entries.keys().for_each(|name| self.stray(&names::join(&directory, name)));
    }

    /// Checks that the digests of a record go back to the record before.
    fn digests(&mut self, path: &str, manifest: &Manifest) {
        if manifest.digest.is_none() {
            self.account.without_digests += 1;
            if self.has_digests {
                self.find(path, "it has no digest, though batches before it have: an earlier version never wrote it");
            }
            return;
        }
        self.has_digests = true;
        let version = manifest.progress.version;
        let is_before = |last: &&StoredManifest| last.manifest.progress.version.next() == version;
        let before = self.last.as_ref().filter(is_before).map(|last| last.digest);
        let is_first = version == Version::FIRST;
        if (before.is_some() || is_first) && manifest.before != before {
            self.find(path, "it follows another record than the one before it: one of the two was replaced");
        }
    }

    /// Checks that a record follows from the one before and adds up.
    fn follows(&mut self, path: &str, manifest: &Manifest) {
        let Manifest { progress, spans, tally, .. } = manifest;
        let before = self.last.take().map(|last| last.manifest.progress);
        if progress.run.flow != self.flow {
            self.find(path, format!("it belongs to flow `{}`, not to `{}`", progress.run.flow, self.flow));
        }
        let mut positions = before.as_ref().map(|last| last.positions.clone()).unwrap_or_default();
        self.spans_follow(path, spans, &mut positions);
        if positions != progress.positions {
            let problem = format!("it says [{}], but the spans so far lead to [{positions}]", progress.positions);
            self.find(path, problem);
        }
        let read: u64 = spans.iter().map(|span| span.rows).sum();
        if read != tally.read {
            self.find(path, format!("its spans hold {read} rows, but its tally says that {} were read", tally.read));
        }
        if !tally.is_conserved() {
            self.find(path, format!("not every row it read is accounted for: {tally:?}"));
        }
        let mut totals = before.as_ref().map(|last| last.totals).unwrap_or_default();
        totals += *tally;
        if totals != progress.totals {
            self.find(
                path,
                format!("its totals are {:?}, but the batches so far add up to {totals:?}", progress.totals),
            );
        }
        self.account.totals += *tally;
        let Some(before) = before else { return };
        for difference in progress.fingerprint.differences(&before.fingerprint) {
            self.find(path, format!("its positions mean something else than those before: {difference}"));
        }
        if before.source.is_some() && before.source != progress.source {
            let problem = format!("its source is {:?}, but before it was {:?}", progress.source, before.source);
            self.find(path, problem);
        }
    }

    fn spans_follow(&mut self, path: &str, spans: &[Span], positions: &mut Checkpoint) {
        if spans.is_empty() {
            self.find(path, "it moves no source partition");
        }
        for (i, span) in spans.iter().enumerate() {
            if spans[..i].iter().any(|other| other.partition == span.partition) {
                self.find(path, format!("{span} is the second of its partition"));
            }
            if span.to.0.saturating_sub(span.from.0) < span.rows {
                self.find(path, format!("{span} cannot hold {} rows", span.rows));
            }
            if let Err(error) = positions.advance(span) {
                self.find(path, error.to_string());
            }
            let all = self.spans.entry(span.partition).or_insert(Span { to: span.from, rows: 0, ..*span });
            all.to = all.to.max(span.to);
            all.rows += span.rows;
        }
    }

    /// Checks the files that a checkpoint lists, and takes them out of `entries`.
    fn files(
        &mut self,
        directory: &str,
        manifest: &Manifest,
        entries: &mut BTreeMap<String, EntryKind>,
        mut read_back: BTreeMap<String, ReadBack<Footer>>,
    ) {
        let mut found = Tally::default();
        for file in &manifest.files {
            let path = names::join(directory, &file.name);
            let Some(what) = named(&file.name, manifest.progress.version) else {
                self.find(&path, "the checkpoint lists a file of this name, which no batch has");
                continue;
            };
            match entries.remove(&file.name) {
                None => self.find(&path, "the checkpoint lists this file, but it is not there"),
                Some(EntryKind::Directory) => self.find(&path, "the checkpoint lists a file, but this is a directory"),
                Some(EntryKind::File(bytes)) => {
                    if bytes != file.bytes {
                        self.find(&path, format!("it has {bytes} bytes, but its checkpoint says {}", file.bytes));
                    }
                    let Some(read_back) = read_back.remove(&file.name) else { continue };
                    let rows = self.file(&path, what, file, manifest, read_back);
                    match what {
                        DataFile::Rows(_) => found.written += rows,
                        DataFile::DeadLetters(_) => found.dead_letters += rows,
                    }
                }
            }
        }
        self.account.rows += found.written;
        self.listener.checked(found.written);
        let tally = manifest.tally;
        if (found.written, found.dead_letters) != (tally.written, tally.dead_letters) {
            let problem = format!(
                "its files hold {} rows and {} dead letters, but its checkpoint says {} and {}",
                found.written, found.dead_letters, tally.written, tally.dead_letters
            );
            self.find(directory, problem);
        }
    }

    /// Checks one file that is there; gives the rows it holds.
    fn file(
        &mut self,
        path: &str,
        what: DataFile,
        entry: &FileEntry,
        manifest: &Manifest,
        read_back: ReadBack<Footer>,
    ) -> u64 {
        self.account.files += 1;
        let read = match read_back {
            Ok(read) => read,
            Err(problem) => {
                self.find(path, problem);
                return 0;
            }
        };
        if (read.claimed, read.decoded) != (entry.rows, entry.rows) {
            let problem = format!(
                "its checkpoint says {} rows, its footer {}, and {} are in it",
                entry.rows, read.claimed, read.decoded
            );
            self.find(path, problem);
        }
        let Footer { run, batch, partition, spans } = &read.footer;
        let (says, is) =
            ((run, *batch, *partition), (&manifest.progress.run, manifest.progress.version, what.partition()));
        if says != is {
            self.find(path, format!("its footer says {says:?}, but it lies where {is:?} belongs"));
        }
        for span in spans.iter().filter(|span| !manifest.spans.contains(span)) {
            self.find(path, format!("its footer says {span}, which is no span of its batch"));
        }
        if spans.iter().map(|span| span.rows).sum::<u64>() < read.decoded {
            self.find(path, format!("it holds {} rows, more than the spans in its footer", read.decoded));
        }
        read.decoded
    }
}

/// What a directory holds, in order of names; nothing when it is not there.
fn list(archive: &Archive, path: &str) -> Result<Vec<Entry>> {
    let mut entries = match archive.store.list(path) {
        Err(StoreError { cause: Cause::NotFound, .. }) => Vec::new(),
        listed => listed.map_err(|e| archive.failed(e))?,
    };
    entries.sort_unstable();
    Ok(entries)
}

/// Reads batches with all their files, several side by side.
fn read(batches: &Batches, versions: Vec<Version>) -> Result<Vec<(Version, Seen)>> {
    let archive = &batches.archive;
    let versions = versions.into_iter().map(|version| (version, ())).collect();
    let mut all = side_by_side(versions, archive.readers(), |version, ()| look(batches, version))?;
    let there: Vec<Vec<FileEntry>> = all.iter().map(|(_, seen)| seen.files_there()).collect();
    let files = all.iter().zip(&there).flat_map(|((version, _), files)| {
        let directory = layout::batch(*version);
        files.iter().map(move |file| ToRead {
            path: names::join(&directory, &file.name),
            check: file.digest.map_or(Check::Nothing, Check::Commit),
        })
    });
    let mut read_back = archive.read_back(files.collect(), Footer::of)?.into_iter();
    for ((_, seen), files) in all.iter_mut().zip(there) {
        seen.files = files.into_iter().map(|file| file.name).zip(&mut read_back).collect();
    }
    Ok(all)
}

/// Reads what a batch says of itself, and none of its files.
fn look(batches: &Batches, version: Version) -> Result<Seen> {
    let entries = list(&batches.archive, &layout::batch(version))?.into_iter().map(|e| (e.name, e.kind)).collect();
    let record = match batches.manifest(version) {
        Err(Error::Damaged { path, reason }) => Err(Finding { path, problem: reason }),
        record => Ok(record?),
    };
    Ok(Seen { entries, record, files: BTreeMap::new() })
}

impl Seen {
    /// The files that can be read back; each name once.
    fn files_there(&self) -> Vec<FileEntry> {
        let Ok(StoredManifest { manifest, .. }) = &self.record else { return Vec::new() };
        let is_there = |file: &&FileEntry| {
            named(&file.name, manifest.progress.version).is_some()
                && matches!(self.entries.get(&file.name), Some(EntryKind::File(_)))
        };
        let files: BTreeMap<_, _> = manifest.files.iter().filter(is_there).map(|file| (&file.name, file)).collect();
        files.into_values().cloned().collect()
    }
}

/// The file of a batch with this name.
fn named(name: &str, version: Version) -> Option<DataFile> {
    DataFile::parse(name).filter(|(_, batch)| *batch == version.0).map(|(file, _)| file)
}
