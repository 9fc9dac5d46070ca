//! Rows as JSON objects, one per row.

use arrow::array::{BinaryArray, RecordBatch};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::json::LineDelimitedWriter;
use operators_core::error::{Error, Result};

/// Each row as one JSON object without its nulls. Days are `2000-01-31`, timestamps RFC 3339, bytes hexadecimal; a
/// float that is not finite has no JSON and is left to the caller: it would read `null`.
pub(crate) fn objects(rows: &RecordBatch) -> Result<BinaryArray> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    let lines = writer.into_inner();
    // JSON text never holds a raw line feed, so each one ends a row.
    let mut bytes = Vec::with_capacity(lines.len());
    let mut offsets = Vec::with_capacity(rows.num_rows() + 1);
    offsets.push(0);
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        bytes.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        offsets.push(offset(bytes.len())?);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(BinaryArray::try_new(offsets, Buffer::from_vec(bytes), None)?)
}

fn offset(length: usize) -> Result<i32> {
    i32::try_from(length).map_err(|_| Error::Other("the rows of one chunk are over 2 GiB as JSON".into()))
}

#[cfg(test)]
mod tests;
