//! Commits: each partition's file is renamed to its name, one after the other, and each rename is a whole commit.

use super::{Flat, Standing, data, hint, marker, recent};
use crate::archive::DigestIn;
use crate::archive::end::{self, Unfinished};
use crate::archive::names::{self, DataFile, PARTITIONS};
use crate::archive::resolve::Author;
use operators_core::Span;
use operators_core::error::{Error, Result};
use operators_core::progress::{Commit, Contents, FileEntry, Progress, Run, Tally, Version};
use operators_core::stage::{Closing, Committer};
use parquet::arrow::ArrowWriter;
use std::collections::BTreeMap;
use std::mem;

/// Commits the batches of one run.
pub(super) struct Publisher {
    pub(super) flat: Flat,
    pub(super) run: Run,
    /// The next commit of the flow.
    pub(super) next: Version,
}

/// One partition's share of a commit.
struct Part {
    span: Span,
    /// Its number in the partition.
    batch: u64,
    attempt: u64,
    file: FileEntry,
    /// Where the partition stands afterwards.
    after: Standing,
}

impl Part {
    /// For people.
    fn what(&self) -> String {
        format!("batch {} of partition {}", self.batch, self.span.partition)
    }
}

impl Committer for Publisher {
    fn commit(&mut self, commit: Commit) -> Result<()> {
        let version = commit.progress.version;
        if version != self.next {
            return Err(unsound(version, &format!("{} is the next version", self.next)));
        }
        let staged = names::attempt(&self.run, commit.attempt);
        let parts = self.parts(commit, &staged)?;
        if parts.is_empty() {
            self.next = version.next();
            return Ok(());
        }
        self.check(&parts, &staged)?;
        for (index, part) in parts.iter().enumerate() {
            self.publish(part, &staged).map_err(|error| beside(&parts[..index], error))?;
        }
        // Only now, so that nothing stands between the renames that count.
        for Part { span, .. } in &parts {
            let hint = names::join(&staged, &hint::name(span.partition));
            self.flat.publish_hint(&self.run, &hint, span.partition)?;
        }
        self.flat.archive.store.delete(&staged).map_err(|e| self.flat.archive.failed(e))?;
        self.next = version.next();
        Ok(())
    }

    fn tidy(&mut self) {
        self.flat.archive.tidy(&self.run);
    }
}

impl Publisher {
    /// Brings together what each partition gets, and writes what is missing for it: a file without rows where no row
    /// was kept, and the hint.
    fn parts(&self, commit: Commit, staged: &str) -> Result<Vec<Part>> {
        let Commit { progress, mut spans, tally, attempt, receipts } = commit;
        let version = progress.version;
        let (mut files, mut written, mut dead_letters) = (BTreeMap::new(), 0, 0);
        for receipt in receipts {
            (written, dead_letters) = (written + receipt.rows, dead_letters + receipt.dead_letters);
            let Contents::Files(entries) = receipt.contents else {
                return Err(unsound(version, "a writer kept its rows in memory"));
            };
            files.extend(entries.into_iter().map(|entry| (entry.name.clone(), entry)));
        }
        let read: u64 = spans.iter().map(|span| span.rows).sum();
        if (read, written, dead_letters) != (tally.read, tally.written, 0) || tally.dead_letters > 0 {
            let reason = format!("{read} rows were read and {written} written, but these were counted: {tally:?}");
            return Err(unsound(version, &reason));
        }
        // A partition that did not move has nothing to say, unless this is its first position.
        let standings = self.flat.standings();
        spans.retain(|span| span.from != span.to || !standings.contains_key(&span.partition));
        drop(standings);
        spans.sort_by_key(|span| span.partition);
        let Progress { fingerprint, source, .. } = progress;
        let batch = Closing { version, spans, fingerprint, source };
        let mut parts = Vec::with_capacity(batch.spans.len());
        for &span in &batch.spans {
            let file = match files.remove(&DataFile::Rows(span.partition).open_name()) {
                Some(file) => file,
                None => self.without_rows(attempt, &batch, span, staged)?,
            };
            parts.push(self.part(span, attempt, file).map_err(|reason| unsound(version, &reason))?);
        }
        match files.pop_first() {
            Some((name, _)) => Err(unsound(version, &format!("{name} was written, but its partition did not move"))),
            None => Ok(parts),
        }
    }

    /// How a partition stands after its share; the reason when the span does not follow.
    fn part(&self, span: Span, attempt: u64, file: FileEntry) -> Result<Part, String> {
        let before = self.flat.standings().get(&span.partition).cloned();
        let before = before.unwrap_or_else(|| Standing {
            batches: 0,
            next: span.from,
            totals: Tally::default(),
            recent: BTreeMap::new(),
        });
        if span.from != before.next || span.to < span.from {
            return Err(format!("{span} does not follow {}", before.next));
        }
        let filtered = span.rows.checked_sub(file.rows).ok_or_else(|| format!("{span} has {} rows", file.rows))?;
        let mut totals = before.totals;
        totals += Tally { read: span.rows, written: file.rows, filtered, ..Tally::default() };
        let recent = recent(before.recent, before.batches, file.digest);
        let after = Standing { batches: before.batches + 1, next: span.to, totals, recent };
        Ok(Part { span, batch: before.batches, attempt, file, after })
    }

    fn without_rows(&self, attempt: u64, batch: &Closing, span: Span, staged: &str) -> Result<FileEntry> {
        let Flat { archive, schema, properties, .. } = &self.flat;
        let record = self.flat.record(&self.run, attempt, batch, span, 0)?;
        let name = DataFile::Rows(span.partition).open_name();
        let path = names::join(staged, &name);
        let failed = |e| Error::Other(format!("cannot write {}: {e}", archive.path(&path)));
        let file = Unfinished::new(Vec::new());
        let mut parquet = ArrowWriter::try_new(file, schema.clone(), Some(properties.clone())).map_err(failed)?;
        parquet.append_key_value_metadata(record.key_value()?);
        let end = end::finish(&mut parquet, DigestIn::Footer).map_err(failed)?;
        let bytes = [mem::take(parquet.inner_mut().file_mut()), end.bytes].concat();
        archive.write(&path, &bytes).map_err(|e| archive.lost(&self.run, e))?;
        Ok(FileEntry { name, rows: 0, bytes: bytes.len() as u64, digest: Some(end.digest) })
    }

    /// Makes sure, before anything is published, that all of it can be, and puts down where partitions begin.
    fn check(&self, parts: &[Part], staged: &str) -> Result<()> {
        let Self { flat, run, .. } = self;
        let archive = &flat.archive;
        for part in parts {
            let partition = part.span.partition;
            if let Some(before) = part.batch.checked_sub(1) {
                let what = format!("batch {before} of partition {partition}");
                match archive.ask(|| flat.find(partition, before))? {
                    Some(record) if record.digest == part.after.recent.get(&before).copied() => {}
                    Some(_) => return Err(archive.replaced(&what, &part.what())),
                    None => return Err(archive.gone(&what, &part.what())),
                }
            }
        }
        let lost = |e| archive.lost(run, e);
        let mut begins = Vec::new();
        for part in parts.iter().filter(|part| part.batch == 0) {
            let (name, at) = (marker(part.span.partition), part.span.from.to_string());
            archive.write(&names::join(staged, &name), at.as_bytes()).map_err(lost)?;
            begins.push((name, at.len() as u64));
        }
        let hints = parts.iter().map(|part| (part.span.partition, &part.after)).collect();
        let stage = |partition, after: &Standing| {
            let name = hint::name(partition);
            let bytes = flat.stage_hint(run, &names::join(staged, &name), after)?;
            Ok((name, bytes))
        };
        let hints = archive.side_by_side(hints, stage)?;
        // Last before the renames: where a newer run has moved the rows aside, the hints now lie alone.
        let files = parts.iter().map(|part| (part.file.name.as_str(), part.file.bytes));
        let small = hints.iter().map(|(_, hint)| hint).chain(&begins).map(|(name, bytes)| (name.as_str(), *bytes));
        archive.check_staged(run, staged, &files.chain(small).collect::<Vec<_>>())?;
        // An attempt that came to nothing may have begun them elsewhere.
        begins.iter().try_for_each(|(name, _)| {
            archive.store.replace(&names::join(staged, name), &names::join(PARTITIONS, name)).map_err(lost)
        })
    }

    fn publish(&self, part: &Part, staged: &str) -> Result<()> {
        let (partition, staged) = (part.span.partition, names::join(staged, &part.file.name));
        let look = || Ok(self.flat.find(partition, part.batch)?.map(|record| record.author()));
        let ours = Author { run: self.run.id.clone(), attempt: part.attempt };
        let target = data(partition, part.batch);
        self.flat.archive.publish((&staged, &target), &part.what(), &ours, look)?;
        self.flat.standings().insert(partition, part.after.clone());
        Ok(())
    }
}

/// An error, beside which some partitions of the commit were published.
fn beside(published: &[Part], error: Error) -> Error {
    let Error::Fenced { place, reason } = error else { return error };
    let parts: Vec<_> = published.iter().map(Part::what).collect();
    let rest = if parts.is_empty() { String::new() } else { format!("; {} came before it and stay", parts.join(", ")) };
    Error::Fenced { place, reason: reason + &rest }
}

/// A batch that must not be published: the caller and the writers disagree, which no run can repair.
fn unsound(version: Version, reason: &str) -> Error {
    Error::Other(format!("version {version} was not committed: {reason}"))
}
