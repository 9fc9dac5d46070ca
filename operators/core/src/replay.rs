//! A driver for tests of sinks: like the engine, it cuts batches from wherever the last commit stands and commits them,
//! so that a life that was cut short is replayed by the next one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::chunk::{Chunk, Kind};
use crate::position::{Anchors, Checkpoint, Position, Span};
use crate::progress::{Commit, Fingerprint, Progress, Run, Tally, Version};
use crate::stage::{Closing, Sink};
use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use std::ops::Range;
use std::sync::Arc;

/// The name of the flow.
pub const FLOW: &str = "weather/test";

/// Partitions that rows are spread over.
pub const PARTITIONS: u32 = 3;

/// Rows per source partition and batch, the last of which is rejected; there are two source partitions.
pub const STEP: u64 = 10;

/// Gives the rows of a source partition, a pure function of their positions.
type Rows = fn(u32, Range<u64>) -> Chunk;

/// A run of it.
pub fn run(id: &str) -> Run {
    Run { id: id.into(), flow: FLOW.into() }
}

/// One rejected row; those of the first source partition keep what was read.
fn dead_letter(source: u32, position: u64) -> Chunk {
    let columns: [(&str, ArrayRef); 5] = [
        ("source_partition", Arc::new(UInt32Array::from(vec![source]))),
        ("position", Arc::new(UInt64Array::from(vec![position]))),
        ("stage", Arc::new(StringArray::from(vec!["decode.test"]))),
        ("reason", Arc::new(StringArray::from(vec!["odd"]))),
        ("raw", Arc::new(BinaryArray::from_opt_vec(vec![(source == 0).then_some(&b"raw"[..])]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    Chunk { kind: Kind::DeadLetters, ..Chunk::new(source, UInt64Array::from(vec![position]), rows) }
}

/// The batch that follows a commit, cut among two workers in a way that depends on the attempt.
pub fn batch(sink: &dyn Sink, run: &Run, last: Option<&Progress>, attempt: u64, rows: Rows) -> Commit {
    let mut writers = [sink.writer(run, attempt).unwrap(), sink.writer(run, attempt).unwrap()];
    let mut progress = last.cloned().unwrap_or(Progress {
        version: Version::FIRST,
        run: run.clone(),
        fingerprint: Fingerprint::default(),
        source: None,
        positions: Checkpoint::default(),
        anchors: Anchors::default(),
        totals: Tally::default(),
    });
    progress.version = last.map_or(Version::FIRST, |last| last.version.next());
    progress.run = run.clone();
    let mut spans = Vec::new();
    for source in 0..2 {
        let from = progress.positions.position(source).unwrap_or_default().0;
        let span =
            Span { partition: source, from: Position(from), to: Position(from + STEP), rows: STEP, anchor: None };
        progress.positions.advance(&span).unwrap();
        spans.push(span);
        let worker = (attempt as usize + source as usize) % 2;
        // In two chunks, so that their order counts.
        for half in [from..from + STEP / 2, from + STEP / 2..from + STEP - 1] {
            let good = rows(source, half.clone());
            for partition in (0..PARTITIONS).rev() {
                let mine =
                    half.clone().zip(0..).filter(|(at, _)| (at - from) % u64::from(PARTITIONS) == u64::from(partition));
                let mine = UInt32Array::from_iter_values(mine.map(|(_, row)| row));
                writers[(worker + partition as usize) % 2].write(good.take(&mine, partition).unwrap()).unwrap();
            }
        }
        writers[1 - worker].write(dead_letter(source, from + STEP - 1)).unwrap();
    }
    let tally = Tally { read: 2 * STEP, written: 2 * (STEP - 1), dead_letters: 2, ..Tally::default() };
    progress.totals += tally;
    let receipts = writers.map(|writer| writer.close(&Closing::default()).unwrap()).into();
    Commit { progress, spans, tally, attempt, receipts }
}

/// Commits one batch after the other until `batches` are there; returns how far it came.
pub fn drive(sink: &dyn Sink, run: &Run, batches: u64, rows: Rows) -> crate::Result<Option<Progress>> {
    let opened = sink.open(run)?;
    let (mut committer, mut last) = (opened.committer, opened.progress);
    let done = |last: &Option<Progress>| last.as_ref().map_or(0, |last| last.version.0 + 1);
    while done(&last) < batches {
        let attempt = done(&last) + u64::from(run.id.len().is_multiple_of(2));
        let commit = batch(sink, run, last.as_ref(), attempt, rows);
        let progress = commit.progress.clone();
        committer.commit(commit)?;
        last = Some(progress);
    }
    Ok(last)
}
