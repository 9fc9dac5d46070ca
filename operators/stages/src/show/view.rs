//! What tells a row from all others: partition, position, key.

use super::value::of_bytes;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use operators_core::chunk::Chunk;
use operators_core::error::Result;
use operators_core::message::is_message;
use operators_core::schema::{Column, Schema};
use operators_core::types::ColumnType;
use std::sync::Arc;

/// The column that a message's key is in, as sources and sinks of topics name it.
const KEY: &str = "key";

/// How the rows of one place are seen: their own columns, and marks that tell each from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Those of the row, and behind them the marks.
    columns: Schema,
    /// Which of the columns before the marks belong to the row; a key that is a mark does not.
    row: Vec<usize>,
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The source partition.
    Partition,
    /// The position in it.
    Position,
    /// The partition it goes to.
    To,
    /// The key it has in a column of its own.
    Key(usize),
    /// The key of the message it was read from, in a column of the source.
    KeyRead(usize),
    /// The partition it was written to.
    Written,
    /// The batch it was committed in.
    Batch,
}

impl Mark {
    fn column(self) -> Column {
        let (name, column_type) = match self {
            Self::Partition | Self::Written => ("partition", ColumnType::UInt32),
            Self::Position => ("position", ColumnType::UInt64),
            Self::To => ("to", ColumnType::UInt32),
            Self::Key(_) | Self::KeyRead(_) => (KEY, ColumnType::String),
            Self::Batch => ("batch", ColumnType::UInt64),
        };
        Column::new(name, column_type, true)
    }
}

/// The name, type and values of a column.
pub(super) type Values<'a> = (&'a str, &'a ColumnType, &'a dyn Array);

/// Where a chunk comes from, as far as its rows do not say it.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// It was read as this one, and may have passed stages since.
    Read(&'a Chunk),
    /// It is from a file of this batch.
    Batch(u64),
    /// It is from some file.
    Unknown,
}

impl View {
    /// Of the rows a stage gives, or the source itself; `spread` says whether a partition stage was passed. A row
    /// without a key of its own keeps that of the message it was read from.
    pub fn passing(source: &Schema, output: &Schema, spread: bool) -> Self {
        let mut marks = vec![Mark::Partition, Mark::Position];
        marks.extend(spread.then_some(Mark::To));
        let read = || key(source).map(Mark::KeyRead);
        marks.extend(key(output).map(Mark::Key).or_else(read));
        Self::new(output, marks)
    }

    /// Of the rows of a committed file; `of_batch` says whether its name tells partition and batch.
    pub fn stored(columns: &Schema, of_batch: bool) -> Self {
        let marks = if of_batch { vec![Mark::Written, Mark::Batch] } else { Vec::new() };
        Self::new(columns, marks)
    }

    fn new(columns: &Schema, marks: Vec<Mark>) -> Self {
        let own = 0..columns.columns().len();
        let row = own.filter(|column| !marks.contains(&Mark::Key(*column))).collect();
        let all = columns.columns().iter().cloned().chain(marks.iter().map(|mark| mark.column()));
        let columns = Schema::new(all.collect());
        Self { columns, row, marks }
    }

    /// What a condition may name: the columns of the row, and behind them the marks.
    pub fn columns(&self) -> &Schema {
        &self.columns
    }

    /// The columns of the row that have a name: their indices and types.
    pub(super) fn columns_named(&self, name: &str) -> impl Iterator<Item = (usize, &ColumnType)> {
        let all = self.row.iter().map(|index| (*index, &self.columns.columns()[*index]));
        all.filter(move |(_, column)| column.name == name).map(|(index, column)| (index, &column.column_type))
    }

    /// The names of the columns of the row.
    pub(super) fn names_of_row(&self) -> String {
        let names: Vec<_> = self.row.iter().map(|column| self.columns.columns()[*column].name.as_str()).collect();
        names.join(", ")
    }

    /// Puts the marks behind the columns of rows.
    pub(super) fn mark(&self, chunk: &Chunk, origin: Origin<'_>) -> Result<Chunk> {
        let mut columns = chunk.rows.columns().to_vec();
        for mark in &self.marks {
            let rows = chunk.rows.num_rows();
            let column: ArrayRef = match (*mark, origin) {
                (Mark::Partition, _) => Arc::new(UInt32Array::from_value(chunk.source, rows)),
                (Mark::Position, _) => Arc::new(chunk.positions.clone()),
                (Mark::To | Mark::Written, _) => Arc::new(UInt32Array::from_value(chunk.partition, rows)),
                (Mark::Key(column), _) => Arc::new(keys(chunk, column, 0..rows)),
                (Mark::KeyRead(column), Origin::Read(read)) => {
                    let positions = read.positions.values();
                    let row = |position| positions.binary_search(position).unwrap_or(usize::MAX);
                    Arc::new(keys(read, column, chunk.positions.values().iter().map(row)))
                }
                (Mark::Batch, Origin::Batch(batch)) => Arc::new(UInt64Array::from_value(batch, rows)),
                (Mark::KeyRead(_), _) => Arc::new(StringArray::new_null(rows)),
                (Mark::Batch, _) => Arc::new(UInt64Array::new_null(rows)),
            };
            columns.push(column);
        }
        Ok(chunk.with_rows(RecordBatch::try_new(Arc::clone(self.columns.arrow()), columns)?))
    }

    /// The marks of rows that have them, with their names.
    pub(super) fn marks<'a>(&'a self, rows: &'a RecordBatch) -> impl Iterator<Item = Values<'a>> {
        let columns = self.columns.columns().len();
        self.named(rows, columns - self.marks.len()..columns)
    }

    /// The columns of the row itself, with their names.
    pub(super) fn columns_of_row<'a>(&'a self, rows: &'a RecordBatch) -> impl Iterator<Item = Values<'a>> {
        self.named(rows, self.row.iter().copied())
    }

    fn named<'a>(
        &'a self,
        rows: &'a RecordBatch,
        columns: impl Iterator<Item = usize>,
    ) -> impl Iterator<Item = Values<'a>> {
        columns.map(|index| {
            let Column { name, column_type, .. } = &self.columns.columns()[index];
            (name.as_str(), column_type, &**rows.column(index))
        })
    }
}

/// The column that holds keys of messages: bytes, as topics have them.
fn key(columns: &Schema) -> Option<usize> {
    columns.columns().iter().position(|column| column.name == KEY && is_message(&column.column_type))
}

/// The keys of some rows of a chunk as text; a row that it does not have has none.
fn keys(chunk: &Chunk, column: usize, rows: impl Iterator<Item = usize>) -> StringArray {
    let keys = chunk.rows.column(column).as_binary::<i32>();
    rows.map(|row| (row < keys.len() && keys.is_valid(row)).then(|| of_bytes(keys.value(row)))).collect()
}
