//! Rows as text, for people and for other programs.
//!
//! | file | what it knows |
//! |---|---|
//! | `view` | what tells a row from all others: partition, position, key |
//! | `page` | the rows and dead letters that a chunk has become |
//! | `value` | one value as text: exact, and nothing in it moves a terminal's cursor |
//! | `foreign` | values of types that only files of others have |
//! | `json`, `table` | rows as JSON lines, and in columns as wide as they need |

mod foreign;
mod json;
mod page;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod view;

pub use page::Page;
pub(crate) use value::spelled;
pub use view::{Origin, View};

use arrow::array::{Array, AsArray, RecordBatch};
use codecs::value::VALUE;
use operators_core::message::is_key;
use std::io::{self, Write};
use table::Table;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// In columns; lines are cut at so many cells where a width is given.
    Table(Option<usize>),
    /// A JSON object on each line.
    Json,
    /// The bytes of `value`, one message a line.
    Raw(Bytes),
}

/// How bytes are printed that nobody has decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// As they are.
    Verbatim,
    /// As text that no terminal takes for commands.
    Escaped,
}

/// Prints the rows of one view.
pub struct Printer {
    view: View,
    how: How,
}

enum How {
    Table(Table),
    Json,
    Raw(usize, Bytes),
}

impl Printer {
    /// A printer for the pages of a view; an error when they cannot be printed like this.
    pub fn new(view: &View, format: Format) -> Result<Self, String> {
        let how = match format {
            Format::Table(width) => How::Table(Table::new(width)),
            Format::Json => How::Json,
            Format::Raw(bytes) => How::Raw(messages(view)?, bytes),
        };
        Ok(Self { view: view.clone(), how })
    }

    /// Prints the rows of a page.
    pub fn print(&mut self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(rows) = page.marked() else { return Ok(()) };
        match &mut self.how {
            How::Table(table) => table.print(&self.view, rows, out),
            How::Json => json::print(&self.view, rows, out),
            How::Raw(column, bytes) => raw(rows, *column, *bytes, out),
        }
    }
}

/// The column that holds messages.
fn messages(view: &View) -> Result<usize, String> {
    let bytes_or_text = view.columns_named(VALUE).find(|(_, column_type)| is_key(column_type));
    bytes_or_text.map(|(column, _)| column).ok_or_else(|| {
        format!(
            "raw prints the bytes of a column `{VALUE}`, which the source of a topic and every encoder give; here the \
             columns are: {}",
            view.names_of_row()
        )
    })
}

fn raw(rows: &RecordBatch, column: usize, how: Bytes, out: &mut dyn Write) -> io::Result<()> {
    let column = rows.column(column);
    for row in 0..rows.num_rows() {
        let message = match column.as_binary_opt::<i32>() {
            _ if column.is_null(row) => &[],
            Some(messages) => messages.value(row),
            None => column.as_string::<i32>().value(row).as_bytes(),
        };
        match how {
            Bytes::Verbatim => out.write_all(message)?,
            Bytes::Escaped => out.write_all(value::plain(&value::of_bytes(message)).as_bytes())?,
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}
