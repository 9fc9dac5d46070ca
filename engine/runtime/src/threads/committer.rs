//! Publishes epochs in order: the one place where a batch becomes a version.

use crate::dataflow::parcel::Delivery;
use crate::flow::budget::Lease;
use crate::flow::epoch::Epoch;
use crate::flow::halt::Waker;
use crate::flow::{Flow, bug};
use crate::threads::Threads;
use operators_core::progress::{Commit, Progress, Tally, Version};
use operators_core::stage::Committer;
use operators_core::{Checkpoint, Error, Span};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// Everything known about an epoch that both frontiers have passed.
pub(crate) struct Batch {
    pub(crate) epoch: Epoch,
    /// One per source partition at most.
    pub(crate) spans: Vec<Span>,
    pub(crate) deliveries: Vec<Delivery>,
    /// Rows that stages left out: `filtered`, `skipped`, `dead_letters`.
    pub(crate) left_out: Tally,
}

/// What the committer goes on from.
pub(crate) struct Begin {
    pub(crate) committer: Box<dyn Committer>,
    pub(crate) last: Option<Progress>,
    /// Where the source starts, where nothing is committed yet.
    pub(crate) starts: Checkpoint,
}

/// The two ends of a committer that its operator holds.
pub(crate) struct CommitterThread {
    /// At most two are in flight.
    pub(crate) batches: Sender<Batch>,
    /// One for each batch, in order.
    pub(crate) done: Receiver<Epoch>,
}

/// Starts committing; `wake` is called after each commit.
pub(crate) fn spawn(threads: &Threads, flow: &Arc<Flow>, begin: Begin, wake: Waker) -> CommitterThread {
    let (batches, inbox) = channel();
    let (outbox, done) = channel();
    threads.spawn(flow, "committer", &flow.sink_name, move |flow| commit_all(flow, begin, &inbox, &outbox, &wake));
    CommitterThread { batches, done }
}

fn commit_all(
    flow: &Flow,
    begin: Begin,
    inbox: &Receiver<Batch>,
    outbox: &Sender<Epoch>,
    wake: &Waker,
) -> Result<(), Error> {
    let Begin { mut committer, mut last, starts } = begin;
    for batch in inbox {
        if flow.halt.failure().is_some() {
            return Ok(());
        }
        let epoch = batch.epoch;
        let _span = tracing::error_span!("epoch", epoch).entered();
        let (commit, leases) = prepare(flow, batch, last.as_ref(), &starts)?;
        let (tally, progress) = (commit.tally, commit.progress.clone());
        let began = Instant::now();
        committer.commit(commit)?;
        let took = began.elapsed();
        drop(leases);
        flow.source.committed(&progress.positions);
        tracing::debug!(version = progress.version.0, rows = tally.written, ?took, "committed");
        flow.meter.add_commit(epoch, tally, progress.clone(), took);
        last = Some(progress);
        if outbox.send(epoch).is_err() {
            return Ok(());
        }
        wake();
    }
    if flow.halt.failure().is_none() {
        committer.tidy();
    }
    Ok(())
}

/// Spans of the first commit, with an empty one for each partition that it has nothing of: where that started would be
/// forgotten otherwise.
fn with_starts(mut spans: Vec<Span>, starts: &Checkpoint) -> Vec<Span> {
    let moved: BTreeSet<_> = spans.iter().map(|span| span.partition).collect();
    let others = starts.0.iter().filter(|(partition, _)| !moved.contains(partition));
    spans.extend(others.map(|(&partition, &at)| Span { partition, from: at, to: at, rows: 0, anchor: None }));
    spans.sort_unstable_by_key(|span| span.partition);
    spans
}

/// Composes the next version, and asserts that no row of the epoch is unaccounted for.
fn prepare(
    flow: &Flow,
    batch: Batch,
    last: Option<&Progress>,
    starts: &Checkpoint,
) -> Result<(Commit, Vec<Arc<Lease>>), Error> {
    let Batch { epoch, mut spans, deliveries, left_out } = batch;
    let mut positions = last.map_or(starts, |p| &p.positions).clone();
    if last.is_none() {
        spans = with_starts(spans, starts);
    }
    let mut anchors = last.map(|p| p.anchors.clone()).unwrap_or_default();
    for span in &spans {
        positions.advance(span).map_err(|error| Error::Other(format!("epoch {epoch}: {error}; this is a bug")))?;
        anchors.advance(span);
    }
    let (receipts, leases): (Vec<_>, Vec<_>) = deliveries.into_iter().map(Delivery::into_parts).unzip();
    let tally = Tally {
        read: spans.iter().map(|span| span.rows).sum(),
        written: receipts.iter().map(|receipt| receipt.rows).sum(),
        ..left_out
    };
    let dead_letters: u64 = receipts.iter().map(|receipt| receipt.dead_letters).sum();
    if !tally.is_conserved() || tally.dead_letters != dead_letters {
        return Err(bug(format_args!(
            "rows of epoch {epoch} are not accounted for, so it is not committed: {tally:?}, of which {dead_letters} \
             dead letters are in the sink"
        )));
    }
    let mut totals = last.map(|p| p.totals).unwrap_or_default();
    totals += tally;
    let progress = Progress {
        version: last.map_or(Version::FIRST, |p| p.version.next()),
        run: flow.run.clone(),
        fingerprint: flow.fingerprint.clone(),
        source: flow.source_identity()?,
        positions,
        anchors,
        totals,
    };
    Ok((Commit { progress, spans, tally, attempt: epoch, receipts }, leases.into_iter().flatten().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::fixture;
    use operators_core::Position;
    use operators_core::progress::{Contents, Receipt};

    /// An epoch of ten rows.
    fn batch(written: u64, dead_letters: u64, left_out: Tally) -> Batch {
        let span = Span { partition: 3, from: Position(7), to: Position(20), rows: 10, anchor: None };
        let receipt = Receipt { rows: written, dead_letters, contents: Contents::Files(Vec::new()) };
        let deliveries = vec![Delivery::new(receipt, fixture::flow().budget.lease(0))];
        Batch { epoch: 4, spans: vec![span], deliveries, left_out }
    }

    fn starts() -> Checkpoint {
        Checkpoint([(3, Position(7)), (5, Position(9))].into())
    }

    #[test]
    fn an_epoch_whose_rows_are_all_accounted_for_is_the_next_version() {
        let left_out = Tally { filtered: 2, skipped: 1, dead_letters: 3, ..Tally::default() };
        let (commit, _) = prepare(&fixture::flow(), batch(4, 3, left_out), None, &starts()).unwrap();
        assert_eq!((commit.progress.version, commit.tally.written), (Version::FIRST, 4));
        assert_eq!(commit.progress.positions, Checkpoint([(3, Position(20)), (5, Position(9))].into()));
        let second = prepare(&fixture::flow(), batch(10, 0, Tally::default()), Some(&commit.progress), &starts());
        // Its span begins where the one before it began.
        assert!(second.is_err_and(|error| error.to_string().contains("this is a bug")));
    }

    #[test]
    fn an_epoch_that_lacks_rows_is_not_committed() {
        let dead_letters = Tally { dead_letters: 1, ..Tally::default() };
        for (written, in_sink, left_out) in [(9, 0, Tally::default()), (11, 0, Tally::default()), (9, 0, dead_letters)]
        {
            let refused = prepare(&fixture::flow(), batch(written, in_sink, left_out), None, &starts());
            assert!(
                refused.is_err_and(|error| error.to_string().contains("not accounted for")),
                "{written} {left_out:?}"
            );
        }
    }
}
