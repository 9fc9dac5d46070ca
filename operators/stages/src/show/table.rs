//! Rows in columns as wide as they need, page after page.

use super::value::{cell, cut, plain, width};
use super::view::{Values, View};
use arrow::array::RecordBatch;
use operators_core::types::{ColumnType, Family};
use std::io::{self, Write};

/// Between two columns.
const GAP: &str = "  ";

/// A column is never made narrower, so that something of it can be recognised.
const NARROWEST: usize = 4;

/// A column that was too narrow grows in steps, so that the next longer value need not move everything again.
const STEP: usize = 8;

/// A table that grows downwards and knows only the rows so far.
pub(super) struct Table {
    /// The cells of a line, where they are limited.
    limit: Option<usize>,
    /// The cells of each column; none before the first rows.
    layout: Vec<usize>,
}

struct Column {
    name: String,
    is_number: bool,
    cells: Vec<String>,
}

impl Table {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self { limit, layout: Vec::new() }
    }

    pub(super) fn print(&mut self, view: &View, rows: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let column = |(name, column_type, array): Values<'_>| Column {
            name: plain(name),
            is_number: is_number(column_type),
            cells: (0..array.len()).map(|row| cell(column_type, array, row)).collect(),
        };
        let columns: Vec<_> = view.marks(rows).chain(view.columns_of_row(rows)).map(column).collect();
        let is_first = self.layout.is_empty();
        if self.make_room(&columns) {
            if !is_first {
                writeln!(out)?;
            }
            let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
            self.line(&columns, &names, out)?;
            let rules: Vec<_> = self.layout.iter().map(|cells| "─".repeat(*cells)).collect();
            self.line(&columns, &rules.iter().map(String::as_str).collect::<Vec<_>>(), out)?;
        }
        for row in 0..rows.num_rows() {
            let cells: Vec<_> = columns.iter().map(|column| column.cells[row].as_str()).collect();
            self.line(&columns, &cells, out)?;
        }
        Ok(())
    }

    /// Makes columns as wide as their values where there is room; says whether anything moved.
    fn make_room(&mut self, columns: &[Column]) -> bool {
        let needs =
            |column: &Column| column.cells.iter().chain([&column.name]).map(|text| width(text)).max().unwrap_or(0);
        if self.layout.is_empty() {
            self.layout = self.fit(columns.iter().map(needs).collect());
            return !columns.is_empty();
        }
        let gaps = GAP.len() * self.layout.len().saturating_sub(1);
        let is_full = self.limit.is_some_and(|limit| self.layout.iter().sum::<usize>() + gaps >= limit);
        let too_narrow = |(column, cells): (&Column, &usize)| needs(column) > *cells;
        if is_full || !columns.iter().zip(&self.layout).any(too_narrow) {
            return false;
        }
        let grown = |(column, cells): (&Column, &usize)| match needs(column) {
            needed if needed > *cells => needed.next_multiple_of(STEP),
            _ => *cells,
        };
        let layout = self.fit(columns.iter().zip(&self.layout).map(grown).collect());
        let moved = layout != self.layout;
        self.layout = layout;
        moved
    }

    /// Shares the line out: a column gets what it needs, and where that is too much for all, the widest give.
    fn fit(&self, needed: Vec<usize>) -> Vec<usize> {
        let Some(limit) = self.limit else { return needed };
        let mut left = limit.saturating_sub(GAP.len() * needed.len().saturating_sub(1));
        let mut order: Vec<_> = (0..needed.len()).collect();
        order.sort_by_key(|column| needed[*column]);
        let mut layout = vec![0; needed.len()];
        for (done, &column) in order.iter().enumerate() {
            let share = left / (needed.len() - done);
            layout[column] = needed[column].min(share.max(NARROWEST));
            left = left.saturating_sub(layout[column]);
        }
        layout
    }

    fn line(&self, columns: &[Column], cells: &[&str], out: &mut dyn Write) -> io::Result<()> {
        let mut line = String::new();
        for ((column, text), cells) in columns.iter().zip(cells).zip(&self.layout) {
            if !line.is_empty() {
                line += GAP;
            }
            let text = cut(text, *cells);
            let padding = " ".repeat(cells - width(&text));
            if column.is_number {
                line += &padding;
                line += &text;
            } else {
                line += &text;
                line += &padding;
            }
        }
        let line = line.trim_end();
        match self.limit {
            Some(limit) => writeln!(out, "{}", cut(line, limit)),
            None => writeln!(out, "{line}"),
        }
    }
}

/// Whether values are numbers, which end at the right edge of their column.
fn is_number(column_type: &ColumnType) -> bool {
    match column_type.family() {
        Family::Integer | Family::Real => true,
        Family::Bool | Family::Text | Family::Bytes | Family::Time | Family::Other => false,
    }
}
