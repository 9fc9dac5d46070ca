//! The proof: reads back every file and every row, trusting nobody.

use super::hint::{self, Hint};
use super::newest;
use super::record::Record;
use super::{COMPLETE, Flat, RECENT, data, parse_marker};
use crate::archive::Layout;
use crate::archive::footer::{Check, ReadBack, Rows, ToRead};
use crate::archive::listing::{Name, Told};
use crate::archive::names::{self, PARTITIONS};
use crate::store::{Cause, EntryKind, StoreError};
use operators_core::digest::Digest;
use operators_core::error::Result;
use operators_core::position::Span;
use operators_core::progress::{Tally, Version};
use operators_core::stage::{Account, Finding, Listen};
use std::collections::{BTreeMap, BTreeSet};

/// Checks everything committed by a flow, giving each finding as it is met.
pub(super) fn audit(flat: &Flat, flow: &str, listener: &mut dyn Listen) -> Result<Account> {
    let mut told = Told::new(listener, flat.progress(flow))?;
    let mut audit = Audit { flat, flow, listener: &mut told, account: Account::default(), first: None, known: 0 };
    audit.directory()?;
    let account = audit.account;
    told.end();
    Ok(account)
}

/// Files that are read back before the first of them is checked against those before it.
const AT_ONCE: usize = 64;

struct Audit<'a> {
    flat: &'a Flat,
    flow: &'a str,
    listener: &'a mut dyn Listen,
    account: Account,
    /// The first readable record: what all partitions agree on.
    first: Option<Record>,
    /// The partitions that had files when some file was closed.
    known: u64,
}

/// What was found of a partition so far.
#[derive(Default)]
struct Chain {
    partition: u32,
    /// The number of the next batch.
    expected: u64,
    last: Option<Version>,
    /// All that was read, as one span.
    span: Option<Span>,
    /// Rows of the batches before each, and of all at its end; `None` from the first unreadable one on.
    totals: Option<Vec<Tally>>,
    /// The newest batch and the one before it, as a hint may have them.
    hints: [Option<Hint>; 2],
    /// Digests of the newest batches that could be read, by number; `None` for those of an earlier version.
    digests: BTreeMap<u64, Option<Digest>>,
    /// The first batch that no record had to list yet.
    unlisted: u64,
}

impl Audit<'_> {
    fn find(&mut self, path: &str, problem: impl Into<String>) {
        self.listener.found(Finding { path: self.flat.archive.path(path), problem: problem.into() });
    }

    fn stray(&mut self, path: &str) {
        self.find(path, "no commit put this here; move it away");
    }

    fn directory(&mut self) -> Result<()> {
        // A list may have a name that came while it was made, and lack one that came before that. So what the first
        // list tells of is looked for in the second, and what has come since is left to the next audit.
        let before = self.flat.entries("")?.unwrap_or_default();
        let newest = newest::of_names(&before);
        let mut hints: BTreeSet<_> = before.iter().filter_map(|entry| hint::parse_name(&entry.name)).collect();
        let mut files: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
        let (mut marked, mut there) = (BTreeSet::new(), BTreeSet::new());
        for entry in self.flat.entries("")?.unwrap_or_default() {
            let name = entry.name.as_str();
            match (Name::parse(name), entry.kind) {
                (Name::Rows { partition, batch }, EntryKind::File(_)) => {
                    there.insert(partition);
                    if newest.get(&partition).is_some_and(|newest| batch <= *newest) {
                        files.entry(partition).or_default().insert(batch);
                    }
                }
                (Name::Hint(_), EntryKind::File(_)) | (Name::Leftover, EntryKind::Directory) | (Name::Ignored, _) => {}
                (Name::Partitions, EntryKind::Directory) => marked = self.markers()?,
                _ => self.stray(name),
            }
        }
        for (partition, batches) in files {
            if !marked.contains(&partition) {
                let problem = format!("partition {partition} is not in it; delete all of it, and a run makes it anew");
                self.find(PARTITIONS, problem);
            }
            let mut chain = Chain { partition, totals: Some(vec![Tally::default()]), ..Chain::default() };
            let batches: Vec<_> = batches.into_iter().collect();
            for some in batches.chunks(AT_ONCE) {
                let to_read = |batch: &u64| ToRead { path: data(partition, *batch), check: Check::Footer };
                let read_back = self.flat.archive.read_back(some.iter().map(to_read).collect(), Record::of)?;
                for (batch, read_back) in some.iter().zip(read_back) {
                    self.batch(&mut chain, *batch, read_back);
                }
            }
            if hints.remove(&partition) {
                self.hint(&chain)?;
            }
            self.account.spans.extend(chain.span);
        }
        if self.known > there.len() as u64 {
            // A marker alone says nothing: its partition may be about to begin.
            let left: Vec<_> = there.iter().map(u32::to_string).collect();
            let problem = format!("{} partitions had files, and now only these have: {}", self.known, left.join(", "));
            self.find(PARTITIONS, problem);
        }
        hints.into_iter().for_each(|partition| {
            self.find(&hint::name(partition), "there is no batch of this partition");
        });
        Ok(())
    }

    fn markers(&mut self) -> Result<BTreeSet<u32>> {
        let mut marked = BTreeSet::new();
        for entry in self.flat.entries(PARTITIONS)?.unwrap_or_default() {
            match (parse_marker(&entry.name), entry.kind) {
                (Some(partition), EntryKind::File(_)) => drop(marked.insert(partition)),
                (None, EntryKind::File(_)) if entry.name == COMPLETE => {}
                _ => self.stray(&names::join(PARTITIONS, &entry.name)),
            }
        }
        Ok(marked)
    }

    fn batch(&mut self, chain: &mut Chain, batch: u64, read_back: ReadBack<Record>) {
        let path = data(chain.partition, batch);
        if batch != chain.expected {
            let problem = format!("missing: the batch found after {} others is {batch}", chain.expected);
            self.find(&data(chain.partition, chain.expected), problem);
            (chain.totals, chain.unlisted) = (None, batch);
        }
        chain.expected = batch + 1;
        chain.hints = [None, chain.hints[0]];
        self.account.batches += 1;
        self.account.files += 1;
        match read_back {
            Err(problem) => {
                self.find(&path, problem);
                (chain.totals, chain.unlisted) = (None, batch + 1);
            }
            Ok(Rows { footer, claimed, decoded }) => {
                self.account.rows += decoded;
                self.listener.checked(decoded);
                self.rows(&path, &footer, claimed, decoded);
                self.digests(&path, chain, batch, &footer);
                self.follows(&path, chain, batch, &footer);
                self.agrees(&path, footer);
            }
        }
    }

    /// Checks that a file holds what it says.
    fn rows(&mut self, path: &str, record: &Record, claimed: u64, decoded: u64) {
        let Record { span, tally, .. } = record;
        if (claimed, decoded) != (tally.written, tally.written) {
            let says = format!("its record says {} rows, its footer {claimed}, and {decoded} are in it", tally.written);
            self.find(path, says);
        }
        if !tally.is_conserved() || tally.read != span.rows || tally.dead_letters > 0 {
            self.find(path, format!("not every row of {span} is accounted for: {} read, {tally:?}", span.rows));
        }
        if span.to < span.from || span.to.0 - span.from.0 < span.rows {
            self.find(path, format!("{span} cannot hold {} rows", span.rows));
        }
    }

    /// Checks that a record lists the files before it as they are, and leaves none out.
    fn digests(&mut self, path: &str, chain: &mut Chain, batch: u64, record: &Record) {
        match &record.before {
            None => {
                self.account.without_digests += 1;
                if chain.digests.values().any(Option::is_some) {
                    self.find(
                        path,
                        "it has no digests, though batches before it have: an earlier version never wrote it",
                    );
                }
            }
            Some(before) => {
                let digests = chain.digests.clone();
                for (earlier, listed) in before {
                    if digests.get(earlier).is_some_and(|digest| *digest != Some(*listed)) {
                        let problem = format!("it follows another batch {earlier} than the one that is there");
                        self.find(path, problem);
                    }
                }
                let known = record.known.batches;
                let is_left_out = |(earlier, digest): &(&u64, &Option<Digest>)| {
                    digest.is_some() && (chain.unlisted..known).contains(*earlier) && !before.contains_key(earlier)
                };
                if let Some((earlier, _)) = digests.iter().find(is_left_out) {
                    self.find(path, format!("it does not list the digest of batch {earlier}"));
                }
                chain.unlisted = chain.unlisted.max(known);
            }
        }
        chain.digests.insert(batch, record.digest);
        chain.digests.retain(|earlier, _| earlier + 2 * RECENT as u64 > batch);
    }

    /// Checks that a file follows the one before.
    fn follows(&mut self, path: &str, chain: &mut Chain, batch: u64, record: &Record) {
        let Record { span, tally, known, version, .. } = record;
        self.known = self.known.max(known.partitions);
        if span.partition != chain.partition {
            self.find(path, format!("its record is of partition {}", span.partition));
        }
        // The first batch of a partition may do no more than say where it begins.
        if span.from == span.to && batch > 0 {
            self.find(path, format!("{span} moves nothing"));
        }
        if chain.last.is_some_and(|last| *version <= last) {
            self.find(path, format!("it is of version {version}, but so was, or of a later one, the batch before"));
        }
        chain.last = Some(*version);
        let all = chain.span.get_or_insert(Span { to: span.from, rows: 0, partition: chain.partition, ..*span });
        if let Err(error) = all.extend(&Span { partition: chain.partition, ..*span }) {
            all.to = all.to.max(span.to);
            all.rows += span.rows;
            self.find(path, error.to_string());
        }
        chain.hints[0] = Some(Hint { batch_id: batch, offset: span.to });
        self.account.totals += *tally;
        let Some(totals) = &mut chain.totals else { return };
        let before = usize::try_from(known.batches).ok().and_then(|batches| totals.get(batches)).copied();
        let next = totals.last().copied().unwrap_or_default();
        totals.push(next);
        if let Some(last) = totals.last_mut() {
            *last += *tally;
        }
        if before != Some(known.totals) {
            let problem = format!(
                "it says that {:?} were committed in {} batches before it, but that was {before:?}",
                known.totals, known.batches
            );
            self.find(path, problem);
        }
    }

    /// Checks that a file is of the same flow, and its positions mean the same, as in all others.
    fn agrees(&mut self, path: &str, record: Record) {
        if record.run.flow != self.flow {
            self.find(path, format!("it belongs to flow `{}`, not to `{}`", record.run.flow, self.flow));
        }
        let Some(mut first) = self.first.take() else {
            self.first = Some(record);
            return;
        };
        for difference in record.fingerprint.differences(&first.fingerprint) {
            self.find(path, format!("its positions mean something else than those of other files: {difference}"));
        }
        if first.source.is_none() {
            first.source = record.source;
        } else if record.source != first.source {
            let problem = format!("its source is {:?}, but that of other files is {:?}", record.source, first.source);
            self.find(path, problem);
        }
        self.first = Some(first);
    }

    /// Checks the copy for people: a crash may have left it one batch behind, never ahead. A running flow has moved it
    /// on to batches that were not listed yet.
    fn hint(&mut self, chain: &Chain) -> Result<()> {
        let name = hint::name(chain.partition);
        let text = match self.flat.archive.store.read(&name) {
            Err(StoreError { cause: Cause::NotFound, .. }) => return Ok(()),
            Err(StoreError { cause: cause @ Cause::TooLarge(_), .. }) => Err(cause.to_string()),
            read => Ok(read.map_err(|e| self.flat.archive.failed(e))?),
        };
        match text.and_then(|text| Hint::parse(&text)) {
            Err(reason) => self.find(&name, format!("{reason}; delete it, the next commit writes it anew")),
            Ok(hint) if chain.hints.contains(&Some(hint)) => {}
            Ok(hint) if hint.batch_id >= chain.expected && self.is_committed(chain.partition, hint)? => {}
            Ok(hint) => {
                let problem = format!(
                    "it says batch {} and next offset {}, but the files say {}; delete it, the next commit writes it \
                     anew",
                    hint.batch_id,
                    hint.offset,
                    chain.hints[0].map_or("nothing".to_owned(), |h| format!("batch {} and {}", h.batch_id, h.offset))
                );
                self.find(&name, problem);
            }
        }
        Ok(())
    }

    /// Whether there is the batch that a hint tells of.
    fn is_committed(&self, partition: u32, hint: Hint) -> Result<bool> {
        Ok(self.flat.find(partition, hint.batch_id)?.is_some_and(|record| record.span.to == hint.offset))
    }
}
