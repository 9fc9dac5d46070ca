//! The rows of a page, on their way to a chunk.

use super::Table;
use crate::database::Dialect;
use crate::database::column::ColumnBuilder;
use arrow::array::{RecordBatch, UInt64Builder};
use operators_core::chunk::Chunk;
use operators_core::error::Result;
use operators_core::types::DeclaredType;
use std::sync::Arc;

pub(super) struct Rows<'t, D: Dialect> {
    table: &'t Table<D>,
    ids: UInt64Builder,
    columns: Vec<(&'t str, ColumnBuilder)>,
    /// The position after the last row.
    to: u64,
}

impl<'t, D: Dialect> Rows<'t, D> {
    /// No rows yet, from a position on.
    pub(super) fn new(table: &'t Table<D>, from: u64) -> Self {
        let columns = table.config.columns.iter().map(|(name, column)| (name.as_str(), ColumnBuilder::new(*column)));
        Self { table, ids: UInt64Builder::new(), columns: columns.collect(), to: from }
    }

    /// The position after the last row.
    pub(super) fn to(&self) -> u64 {
        self.to
    }

    /// Takes a row: its cursor, and what appends the value of a result's column to a builder. The first column of a
    /// result is the cursor.
    pub(super) fn take(
        &mut self,
        id: Option<u64>,
        mut append: impl FnMut(usize, &mut ColumnBuilder) -> Result<(), String>,
    ) -> Result<()> {
        let (place, cursor, after) = (&self.table.place, &self.table.config.cursor, self.to);
        let id =
            id.ok_or_else(|| place.refused(format!("the first row after {cursor} {after} has no integer there")))?;
        let to = id.checked_add(1).filter(|_| id >= after);
        let to = to.ok_or_else(|| place.refused(format!("after {cursor} {after} comes {id}, which is no next row")))?;
        for (index, (name, column)) in self.columns.iter_mut().enumerate() {
            append(index + 1, column).map_err(|problem| {
                let declared = self.table.config.columns.get(*name).map(DeclaredType::to_string);
                let declared = declared.unwrap_or_default();
                place.refused(format!(
                    "the row with {cursor} {id}: column {name}, declared {declared}, {problem}. Correct the row or the \
                     declared type"
                ))
            })?;
        }
        self.ids.append_value(id);
        self.to = to;
        Ok(())
    }

    /// The rows, and the position after them; `None` when there are none.
    pub(super) fn finish(mut self) -> Result<Option<(Chunk, u64)>> {
        let ids = self.ids.finish();
        if ids.values().is_empty() {
            return Ok(None);
        }
        let columns = self.columns.iter_mut().map(|(_, column)| column.finish()).collect();
        let rows = RecordBatch::try_new(Arc::clone(self.table.schema.arrow()), columns)?;
        Ok(Some((Chunk::new(0, ids, rows), self.to)))
    }
}
