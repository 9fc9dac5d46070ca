//! Rows that a test expects and rows that it found, in one form: each value as the test would write it.

use super::cells;
use super::codec;
use super::input::unknown;
use super::rows::{Parts, Row, Rows, Written};
use crate::show::spelled;
use arrow::array::{Array, ArrayRef, RecordBatch};
use operators_core::error::{Problem, Result};
use operators_core::schema::{Column, Schema};
use operators_core::stage::BuiltStage;
use operators_core::types::ColumnType;
use sql::scratch::ByPartition;
use std::collections::BTreeMap;
use std::fmt;

/// A row, or some columns of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown(Vec<(String, String)>);

impl Shown {
    /// Whether each column of another row is here and says the same.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|column| self.0.contains(column))
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.0.len()
    }

    /// The columns that another row has too.
    pub fn beside(&self, other: &Self) -> Self {
        let shared = self.0.iter().filter(|(name, _)| other.0.iter().any(|(there, _)| there == name));
        Self(shared.cloned().collect())
    }
}

impl fmt::Display for Shown {
    /// `{ station_id = "station-03", degrees = 20.5 }`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.0.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        if columns.is_empty() { f.write_str("{ }") } else { write!(f, "{{ {} }}", columns.join(", ")) }
    }
}

/// What a test expects in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// So many rows.
    Count(u64),
    /// These rows in this order, by the columns that are written.
    Rows(Vec<Shown>),
}

/// Rows as readers of a sink see them.
pub(super) struct Output {
    columns: Schema,
    /// Turns messages into columns.
    decoder: Option<BuiltStage>,
}

impl Output {
    pub(super) fn rows(columns: Schema) -> Self {
        Self { columns, decoder: None }
    }

    /// Messages of a topic: the columns that were encoded where they can be read back, `key` and `value`. A null is
    /// possible in each.
    pub(super) fn messages(sent: &Schema, decoder: Option<BuiltStage>) -> Self {
        let mut columns: Vec<Column> = Vec::new();
        let decoded = decoder.iter().flat_map(|decoder| decoder.schema.columns());
        let raw = ["key", "value"].into_iter().filter_map(|name| sent.column(name));
        for column in decoded.chain(raw) {
            if columns.iter().all(|there| there.name != column.name) {
                columns.push(Column { nullable: true, ..column.clone() });
            }
        }
        Self { columns: Schema::new(columns), decoder }
    }

    /// What a test expects; every row names columns that there are.
    pub(super) fn expected(&self, rows: &Rows) -> Result<Parts<Expected>, Vec<Problem>> {
        let (mut parts, mut problems) = (BTreeMap::new(), Vec::new());
        let mut take = |written| match written {
            Written::Count(count) => Expected::Count(count),
            Written::Rows(rows) => {
                let row = |row: &Row| {
                    self.row(row).unwrap_or_else(|more| {
                        problems.extend(more);
                        Shown::default()
                    })
                };
                Expected::Rows(rows.iter().map(row).collect())
            }
        };
        let expected = match rows.written()? {
            Parts::Together(written) => Parts::Together(take(written)),
            Parts::Apart(written) => {
                parts.extend(written.into_iter().map(|(partition, written)| (partition, take(written))));
                Parts::Apart(parts)
            }
        };
        if problems.is_empty() { Ok(expected) } else { Err(problems) }
    }

    fn row(&self, row: &Row) -> Result<Shown, Vec<Problem>> {
        let mut problems = unknown(&self.columns, row, "");
        let mut shown = Vec::new();
        for column in self.columns.columns().iter().filter(|column| row.given.contains_key(&column.name)) {
            // A null is a fair thing to expect where there can be none: the test then fails.
            let column = Column { nullable: true, ..column.clone() };
            match cells::value(row, &column) {
                Ok(value) => shown.push((column.name, spelled(&column.column_type, &*value, 0))),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Shown(shown)) } else { Err(problems) }
    }

    /// Rows that were found.
    pub(super) fn shown(&self, rows: &ByPartition) -> Result<BTreeMap<u32, Vec<Shown>>> {
        let shown = |(&partition, batches): (&u32, &Vec<RecordBatch>)| {
            let rows = batches.iter().map(|batch| self.batch(batch)).collect::<Result<Vec<_>>>()?;
            Ok((partition, rows.concat()))
        };
        rows.iter().map(shown).collect()
    }

    fn batch(&self, rows: &RecordBatch) -> Result<Vec<Shown>> {
        let decoded = self.decoder.as_ref().map(|decoder| codec::through(decoder, rows.clone())).transpose()?.flatten();
        let mut columns = Vec::new();
        for Column { name, .. } in self.columns.columns() {
            let column = decoded.as_ref().and_then(|decoded| decoded.column_by_name(name));
            let column = column.or_else(|| rows.column_by_name(name));
            // As it was read back: a table gives 64-bit integers for those of any other size.
            columns.extend(column.map(|column| (name, ColumnType::from_arrow(column.data_type()), column)));
        }
        let row = |row| {
            let value = |(name, column_type, column): &(&String, ColumnType, &ArrayRef)| {
                ((*name).clone(), spelled(column_type, &**column, row))
            };
            Shown(columns.iter().map(value).collect())
        };
        Ok((0..rows.num_rows()).map(row).collect())
    }
}
