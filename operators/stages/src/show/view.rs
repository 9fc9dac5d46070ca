//! What tells a row from all others: partition, position, key.

use super::value::of_bytes;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field};
use operators_core::chunk::Chunk;
use operators_core::error::Result;
use operators_core::schema::Schema;
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
    fn field(self) -> Field {
        let (name, data_type) = match self {
            Self::Partition | Self::Written => ("partition", DataType::UInt32),
            Self::Position => ("position", DataType::UInt64),
            Self::To => ("to", DataType::UInt32),
            Self::Key(_) | Self::KeyRead(_) => (KEY, DataType::Utf8),
            Self::Batch => ("batch", DataType::UInt64),
        };
        Field::new(name, data_type, true)
    }
}

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
        let own = 0..columns.0.fields().len();
        let row = own.filter(|column| !marks.contains(&Mark::Key(*column))).collect();
        let fields = columns.0.fields().iter().map(|field| field.as_ref().clone());
        let columns = Schema::new(fields.chain(marks.iter().map(|mark| mark.field())).collect());
        Self { columns, row, marks }
    }

    /// What a condition may name: the columns of the row, and behind them the marks.
    pub fn columns(&self) -> &Schema {
        &self.columns
    }

    /// The column of the row that has a name and one of these types.
    pub(super) fn column_of_row(&self, name: &str, types: &[DataType]) -> Option<usize> {
        let is_it = |field: &Field| field.name() == name && types.contains(field.data_type());
        self.row.iter().copied().find(|column| is_it(self.columns.0.field(*column)))
    }

    /// The names of the columns of the row.
    pub(super) fn names_of_row(&self) -> String {
        let names: Vec<_> = self.row.iter().map(|column| self.columns.0.field(*column).name().as_str()).collect();
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
        Ok(chunk.with_rows(RecordBatch::try_new(Arc::clone(&self.columns.0), columns)?))
    }

    /// The marks of rows that have them, with their names.
    pub(super) fn marks<'a>(&'a self, rows: &'a RecordBatch) -> impl Iterator<Item = (&'a str, &'a dyn Array)> {
        self.named(rows, self.columns.0.fields().len() - self.marks.len()..self.columns.0.fields().len())
    }

    /// The columns of the row itself, with their names.
    pub(super) fn columns_of_row<'a>(
        &'a self,
        rows: &'a RecordBatch,
    ) -> impl Iterator<Item = (&'a str, &'a dyn Array)> {
        self.named(rows, self.row.iter().copied())
    }

    fn named<'a>(
        &'a self,
        rows: &'a RecordBatch,
        columns: impl Iterator<Item = usize>,
    ) -> impl Iterator<Item = (&'a str, &'a dyn Array)> {
        columns.map(|column| (self.columns.0.field(column).name().as_str(), &**rows.column(column)))
    }
}

/// The column that holds keys of messages: bytes, as topics have them.
fn key(columns: &Schema) -> Option<usize> {
    columns.0.fields().iter().position(|field| field.name() == KEY && *field.data_type() == DataType::Binary)
}

/// The keys of some rows of a chunk as text; a row that it does not have has none.
fn keys(chunk: &Chunk, column: usize, rows: impl Iterator<Item = usize>) -> StringArray {
    let keys = chunk.rows.column(column).as_binary::<i32>();
    rows.map(|row| (row < keys.len() && keys.is_valid(row)).then(|| of_bytes(keys.value(row)))).collect()
}
