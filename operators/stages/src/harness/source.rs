//! The source of a test: rows in memory, read in an order that is the same each time.
//!
//! Partitions take turns, row by row, and each commit gets as many rows as the test says; those of one partition in one
//! commit are one chunk. One worker reads all partitions: when each had its own, their clocks would decide which rows
//! share a commit.

use super::input::TrialRows;
use arrow::array::UInt64Array;
use operators_core::chunk::Chunk;
use operators_core::error::Result;
use operators_core::inspect::Inspect;
use operators_core::position::{Checkpoint, Lag, Position, Span};
use operators_core::stage::{Read, Reader, Recount, Share, Source};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How soon the workers that read nothing look whether the flow has ended.
const AGAIN: Duration = Duration::from_millis(2);

/// Rows of one partition that are read together.
type Piece = (u32, Range<u64>);

/// Gives the rows of a test.
pub(super) struct TrialSource {
    rows: Arc<TrialRows>,
    pieces: Vec<Piece>,
    ends: Checkpoint,
    /// Whether all rows are committed.
    done: Arc<AtomicBool>,
}

impl TrialSource {
    pub(super) fn new(rows: Arc<TrialRows>, commit_rows: u64) -> Self {
        let counts: BTreeMap<u32, u64> =
            rows.0.iter().map(|(&partition, rows)| (partition, rows.num_rows() as u64)).collect();
        let ends = counts.iter().filter(|(_, count)| **count > 0);
        let ends = Checkpoint(ends.map(|(&partition, &count)| (partition, Position(count))).collect());
        Self { rows, pieces: pieces(&counts, commit_rows), ends, done: Arc::default() }
    }
}

/// All rows in the order they are read.
fn pieces(counts: &BTreeMap<u32, u64>, commit_rows: u64) -> Vec<Piece> {
    let most = counts.values().max().copied().unwrap_or_default();
    let turns = (0..most).flat_map(|row| {
        counts.iter().filter(move |(_, count)| row < **count).map(move |(&partition, _)| (partition, row))
    });
    let mut pieces = Vec::new();
    let mut commit: BTreeMap<u32, Range<u64>> = BTreeMap::new();
    for (number, (partition, row)) in (1_u64..).zip(turns) {
        commit.entry(partition).or_insert(row..row).end = row + 1;
        if number.is_multiple_of(commit_rows) {
            pieces.extend(std::mem::take(&mut commit));
        }
    }
    pieces.extend(commit);
    pieces
}

impl Inspect for TrialSource {}

impl Source for TrialSource {
    fn open(&self, share: Share, from: &Checkpoint) -> Result<Box<dyn Reader>> {
        if *from == self.ends {
            self.done.store(true, Ordering::SeqCst);
        }
        if share.index > 0 {
            return Ok(Box::new(Idle { done: Arc::clone(&self.done) }));
        }
        let left = |(partition, range): &Piece| {
            let from = from.position(*partition).unwrap_or_default().0;
            let left = range.start.max(from)..range.end;
            (!left.is_empty()).then_some((*partition, left))
        };
        let left = self.pieces.iter().filter_map(left).collect();
        Ok(Box::new(TrialReader { rows: Arc::clone(&self.rows), left }))
    }

    fn identity(&self) -> Result<Option<String>> {
        Ok(None)
    }

    fn count(&self, span: &Span, _: &mut dyn FnMut(u64)) -> Result<Recount> {
        let end = self.ends.position(span.partition).unwrap_or_default();
        Ok(Recount::Complete(span.to.min(end).0.saturating_sub(span.from.0)))
    }

    fn committed(&self, positions: &Checkpoint) {
        if *positions == self.ends {
            self.done.store(true, Ordering::SeqCst);
        }
    }
}

struct TrialReader {
    rows: Arc<TrialRows>,
    left: VecDeque<Piece>,
}

impl Reader for TrialReader {
    fn read(&mut self) -> Result<Read> {
        let Some((partition, range)) = self.left.pop_front() else { return Ok(Read::End) };
        let count = range.end - range.start;
        let rows = self.rows.0.get(&partition).map(|rows| rows.slice(range.start as usize, count as usize));
        let Some(rows) = rows else { return Ok(Read::End) };
        let span = Span { partition, from: Position(range.start), to: Position(range.end), rows: count, anchor: None };
        Ok(Read::Rows(Chunk::new(partition, UInt64Array::from_iter_values(range), rows), span))
    }

    fn lag(&mut self) -> Result<Lag> {
        Ok(Lag::default())
    }
}

/// A reader that has nothing to read. Its end would close the open epoch, so it ends last.
struct Idle {
    done: Arc<AtomicBool>,
}

impl Reader for Idle {
    fn read(&mut self) -> Result<Read> {
        Ok(if self.done.load(Ordering::SeqCst) { Read::End } else { Read::Pause(AGAIN) })
    }

    fn lag(&mut self) -> Result<Lag> {
        Ok(Lag::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_take_turns_and_commits_are_cut_at_the_same_rows() {
        let counts = BTreeMap::from([(0, 3), (1, 0), (4, 1)]);
        assert_eq!(pieces(&counts, 2), [(0, 0..1), (4, 0..1), (0, 1..3)]);
        assert_eq!(pieces(&counts, 3), [(0, 0..2), (4, 0..1), (0, 2..3)]);
        assert_eq!(pieces(&counts, 100), [(0, 0..3), (4, 0..1)]);
        assert_eq!(pieces(&BTreeMap::new(), 1), []);
    }
}
