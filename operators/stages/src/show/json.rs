//! Rows as JSON lines: `{"partition":0,"position":12,"key":"S1","row":{...}}`.

use super::value::{Value, object, write_json};
use super::view::View;
use arrow::array::RecordBatch;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::io::{self, Write};

pub(super) fn print(view: &View, rows: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
    for row in 0..rows.num_rows() {
        write_json(&Line { view, rows, row }, out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

struct Line<'a> {
    view: &'a View,
    rows: &'a RecordBatch,
    row: usize,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        for (name, column_type, array) in self.view.marks(self.rows) {
            line.serialize_entry(name, &Value { column_type, array, row: self.row })?;
        }
        line.serialize_entry("row", &Columns(self))?;
        line.end()
    }
}

struct Columns<'a>(&'a Line<'a>);

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Line { view, rows, row } = self.0;
        object(view.columns_of_row(rows), *row, serializer)
    }
}
