//! The rows and dead letters that a chunk has become.

use super::value::{cell, cut};
use super::view::{Origin, View};
use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute;
use operators_core::chunk::{Chunk, Kind};
use operators_core::error::Result;
use operators_core::stage::Apply;

/// Rows with their marks, and dead letters beside them; both in the order of their positions, whatever order stages gave
/// them.
pub struct Page {
    rows: Option<Chunk>,
    letters: Option<Chunk>,
}

/// So much of a rejected row's bytes is enough to recognise it.
const RAW_SHOWN: usize = 80;

impl Page {
    /// The chunks that one chunk has become, or one that is stored, as the view sees them.
    pub fn new(view: &View, chunks: Vec<Chunk>, origin: Origin<'_>) -> Result<Self> {
        let (letters, rows): (Vec<_>, Vec<_>) = chunks.into_iter().partition(|chunk| chunk.kind == Kind::DeadLetters);
        let rows = rows.iter().map(|chunk| view.mark(chunk, origin)).collect::<Result<_>>()?;
        Ok(Self { rows: in_order(rows)?, letters: in_order(letters)? })
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows.as_ref().map_or(0, Chunk::len)
    }

    /// Number of dead letters.
    pub fn letters(&self) -> u64 {
        self.letters.as_ref().map_or(0, Chunk::len)
    }

    /// Leaves out all dead letters.
    pub fn drop_letters(&mut self) {
        self.letters = None;
    }

    /// Leaves out the rows that a filter of the view's columns does not keep.
    pub fn keep(&mut self, filter: &mut dyn Apply) -> Result<()> {
        if let Some(rows) = self.rows.take() {
            self.rows = filter.apply(rows)?.rows.pop();
        }
        Ok(())
    }

    /// Leaves out what comes after the first so many rows and dead letters.
    pub fn cut(&mut self, most: u64) {
        let position = |chunk: &Option<Chunk>, at: u64| chunk.as_ref()?.positions.values().get(at as usize).copied();
        let (mut rows, mut letters) = (0, 0);
        while rows + letters < most {
            match (position(&self.rows, rows), position(&self.letters, letters)) {
                (None, None) => return,
                (Some(row), letter) if letter.is_none_or(|letter| row < letter) => rows += 1,
                _ => letters += 1,
            }
        }
        let first = |chunk: Option<Chunk>, most: u64| chunk.map(|chunk| chunk.slice(0, most));
        self.rows = first(self.rows.take(), rows);
        self.letters = first(self.letters.take(), letters);
    }

    pub(super) fn marked(&self) -> Option<&RecordBatch> {
        self.rows.as_ref().map(|chunk| &chunk.rows)
    }

    /// Dead letters in words, a line each: where the row was, which stage rejected it and why, and its bytes.
    pub fn letters_in_words(&self) -> Vec<String> {
        let Some(letters) = &self.letters else { return Vec::new() };
        let columns = letters.columns();
        let cell = |name: &str, row| {
            let column = columns.columns().iter().zip(letters.rows.columns()).find(|(column, _)| column.name == name);
            column.map(|(column, values)| cell(&column.column_type, values, row)).unwrap_or_default()
        };
        let line = |row| {
            let [partition, position, stage, reason, raw] =
                ["source_partition", "position", "stage", "reason", "raw"].map(|column| cell(column, row));
            let raw = cut(&raw, RAW_SHOWN);
            format!("dead letter of partition {partition}, position {position}: {stage}: {reason}; its bytes: {raw}")
        };
        (0..letters.rows.num_rows()).map(line).collect()
    }
}

/// The rows of chunks of one source partition as one chunk.
fn in_order(mut chunks: Vec<Chunk>) -> Result<Option<Chunk>> {
    if chunks.len() < 2 {
        return Ok(chunks.pop());
    }
    let rows = compute::concat_batches(&chunks[0].rows.schema(), chunks.iter().map(|chunk| &chunk.rows))?;
    let positions: UInt64Array = chunks.iter().flat_map(|chunk| chunk.positions.values()).copied().collect();
    let order = compute::sort_to_indices(&positions, None, None)?;
    let joined = Chunk { rows, positions, ..chunks[0] };
    joined.take(&order, joined.partition).map(Some)
}
