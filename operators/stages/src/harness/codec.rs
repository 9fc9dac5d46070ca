//! The other direction of a flow's codec: messages for a flow that decodes, columns for one that encodes.

use arrow::array::{RecordBatch, UInt64Array};
use codecs::decode::DecodeConfig;
use codecs::encode::EncodeConfig;
use operators_core::chunk::Chunk;
use operators_core::config::Context;
use operators_core::error::{Error, Result};
use operators_core::schema::{Column, Schema};
use operators_core::stage::BuiltStage;
use operators_core::types::ColumnType;

/// The stage that writes what a decoder reads, for the columns it gives; `None` where there is none.
pub(super) fn encoder(config: &DecodeConfig, columns: &Schema, context: &Context) -> Option<BuiltStage> {
    config.inverse()?.build(columns, context).ok()
}

/// The stage that reads what an encoder writes, from the columns it is given; `None` where there is none.
pub(super) fn decoder(config: &EncodeConfig, columns: &Schema, context: &Context) -> Option<BuiltStage> {
    let messages = Schema::new(vec![Column::new("value", ColumnType::Bytes, true)]);
    config.inverse(columns)?.build(&messages, context).ok()
}

/// Rows through a codec; `None` when it did not take every one of them.
pub(super) fn through(stage: &BuiltStage, rows: RecordBatch) -> Result<Option<RecordBatch>> {
    let count = rows.num_rows();
    let positions = UInt64Array::from_iter_values(0..count as u64);
    let applied = stage.stage.handle().apply(Chunk::new(0, positions, rows))?;
    match applied.rows.as_slice() {
        [] if count == 0 => Ok(Some(RecordBatch::new_empty(stage.schema.arrow().clone()))),
        [chunk] if chunk.rows.num_rows() == count => Ok(Some(chunk.rows.clone())),
        [] | [_] => Ok(None),
        _ => Err(Error::Other("a codec gave several chunks for one".into())),
    }
}
