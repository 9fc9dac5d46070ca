//! The column `value`: the bytes of a message, between a codec and the place that keeps messages.

use arrow::array::{AsArray, BinaryArray, RecordBatch, UInt32Array};
use arrow::compute;
use operators_core::chunk::Chunk;
use operators_core::error::{Error, Problem, Result};
use operators_core::message::is_message;
use operators_core::schema::{Column, Schema};
use operators_core::types::ColumnType;
use std::sync::Arc;

/// The name of the column.
pub const VALUE: &str = "value";

/// Checks that there are messages to decode.
pub(crate) fn expect(input: &Schema) -> Result<(), Problem> {
    const HELP: &str = "decode the rows of a source that gives messages, such as source.topic";
    match input.column(VALUE) {
        Some(column) if is_message(&column.column_type) => Ok(()),
        Some(column) => {
            let message = format!("the column `{VALUE}` is {}, and decoding needs bytes", column.column_type);
            Err(Problem::whole(message).help(HELP))
        }
        None => {
            let message = format!("there is no column `{VALUE}` to decode; the input has {}", input.names());
            Err(Problem::whole(message).help(HELP))
        }
    }
}

/// The messages of a chunk whose schema passed [`expect`].
pub(crate) fn messages(chunk: &Chunk) -> Result<&BinaryArray> {
    let column = chunk.rows.column_by_name(VALUE).and_then(|column| column.as_binary_opt());
    column.ok_or_else(|| Error::Other(format!("a chunk came without a column `{VALUE}` of bytes")))
}

/// The messages at some indices, for the dead letters of a decoder.
pub(crate) fn take(messages: &BinaryArray, indices: &UInt32Array) -> Result<BinaryArray> {
    Ok(compute::take(messages, indices, None)?.as_binary().clone())
}

/// The columns of an encoder: those it was given and the messages. A column of that name is a problem.
pub(crate) fn append(input: &Schema) -> Result<Schema, Problem> {
    if input.column(VALUE).is_some() {
        let problem = Problem::whole(format!("the input has a column `{VALUE}` already, where the message would go"));
        return Err(problem.help("give it another name before, with transform.select"));
    }
    let mut columns = input.columns().to_vec();
    columns.push(Column::new(VALUE, ColumnType::Bytes, false));
    Ok(Schema::new(columns))
}

/// The same rows with their messages beside them; `schema` is that of [`append`].
pub(crate) fn with_messages(chunk: &Chunk, schema: &Schema, messages: BinaryArray) -> Result<Chunk> {
    let mut columns = chunk.rows.columns().to_vec();
    columns.push(Arc::new(messages));
    Ok(chunk.with_rows(RecordBatch::try_new(Arc::clone(schema.arrow()), columns)?))
}
