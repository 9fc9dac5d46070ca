//! What becomes of rows that a codec cannot process: the run stops, they are counted, or they become dead letters.

use crate::chunk::{Chunk, Kind};
use crate::config::OnError;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::schema::{Column, Schema};
use crate::stage::Applied;
use crate::types::ColumnType;
use arrow::array::{BinaryArray, BooleanArray, RecordBatch, StringArray, UInt32Array};
use std::sync::{Arc, LazyLock};

/// A row that a stage could not process.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its index in the chunk.
    pub row: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// The columns of dead letters, the same for every stage; `raw` is null for a message without bytes.
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        Schema::new(vec![
            Column::new("source_partition", ColumnType::UInt32, false),
            Column::new("position", ColumnType::UInt64, false),
            Column::new("stage", ColumnType::String, false),
            Column::new("reason", ColumnType::String, false),
            Column::new("raw", ColumnType::Bytes, true),
        ])
    });
    &SCHEMA
}

/// Parts the rejected rows of a chunk from the others, as `on_error` asks. A row may be rejected for several reasons;
/// the first one given counts.
///
/// `chunk` still has a row for each that was read, with anything in the place of a rejected one; `raw` gives the bytes
/// of the rows at some indices, as they were before the stage.
pub fn part(
    stage: &'static str,
    on_error: OnError,
    chunk: Chunk,
    mut rejected: Vec<Rejected>,
    raw: impl FnOnce(&UInt32Array) -> Result<BinaryArray>,
) -> Result<Applied> {
    rejected.sort_by_key(|rejected| rejected.row);
    rejected.dedup_by_key(|rejected| rejected.row);
    let mut applied = Applied::default();
    if let Some(first) = rejected.first() {
        let mut good = vec![true; chunk.rows.num_rows()];
        for rejected in &rejected {
            good[rejected.row] = false;
        }
        match on_error {
            OnError::Fail => {
                return Err(Error::Row {
                    stage,
                    partition: chunk.source,
                    position: Position(chunk.positions.value(first.row)),
                    reason: first.reason.clone(),
                });
            }
            OnError::Skip => applied.skipped = rejected.len() as u64,
            OnError::DeadLetter => {
                let indices: UInt32Array = rejected.iter().map(|rejected| rejected.row as u32).collect();
                let raw = raw(&indices)?;
                applied.dead_letters = Some(letters(stage, &chunk, &indices, &rejected, raw)?);
            }
        }
        applied.rows.push(chunk.filter(&BooleanArray::from(good))?);
    } else {
        applied.rows.push(chunk);
    }
    applied.rows.retain(|chunk| !chunk.is_empty());
    Ok(applied)
}

fn letters(
    stage: &str,
    chunk: &Chunk,
    indices: &UInt32Array,
    rejected: &[Rejected],
    raw: BinaryArray,
) -> Result<Chunk> {
    let rejects = chunk.take(indices, chunk.source)?;
    let reasons = StringArray::from_iter_values(rejected.iter().map(|rejected| &rejected.reason));
    let rows = RecordBatch::try_new(
        Arc::clone(schema().arrow()),
        vec![
            Arc::new(UInt32Array::from_value(chunk.source, rejected.len())),
            Arc::new(rejects.positions.clone()),
            Arc::new(StringArray::from_iter_values(rejected.iter().map(|_| stage))),
            Arc::new(reasons),
            Arc::new(raw),
        ],
    )?;
    Ok(Chunk { kind: Kind::DeadLetters, ..rejects.with_rows(rows) })
}
