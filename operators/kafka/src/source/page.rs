//! Messages of one partition as columns.

use crate::client::batch::Message;
use arrow::array::{
    ArrayRef, BinaryBuilder, ListBuilder, RecordBatch, RecordBatchOptions, StringBuilder, StructBuilder,
    TimestampMicrosecondBuilder, UInt64Builder,
};
use operators_core::chunk::Chunk;
use operators_core::error::{Problem, Result};
use operators_core::position::{Anchor, Position, Span};
use operators_core::schema::{self, Schema};
use operators_core::types::{ColumnType, header, header_fields};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of values after which a page is full.
const BYTES: usize = 4 << 20;

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// its key, null where it has none
    Key,
    /// its value, null where it is a tombstone
    Value,
    /// its headers in their order
    Headers,
    /// when it was written, by the clock of producer or broker, as the topic says
    Timestamp,
}

impl Column {
    pub(super) fn usual() -> Vec<Self> {
        vec![Self::Key, Self::Value]
    }

    fn given(self) -> schema::Column {
        match self {
            Self::Key => schema::Column::new("key", ColumnType::Bytes, true),
            Self::Value => schema::Column::new("value", ColumnType::Bytes, true),
            Self::Headers => schema::Column::new("headers", ColumnType::Headers, false),
            Self::Timestamp => schema::Column::new("timestamp", ColumnType::Timestamp, true),
        }
    }
}

/// The columns that were asked for, each once.
pub(super) fn schema(columns: &[Column]) -> Result<Schema, Problem> {
    let twice = (1..columns.len()).find(|at| columns[..*at].contains(&columns[*at]));
    match twice {
        Some(at) => Err(Problem {
            at: vec!["columns".to_owned(), at.to_string()],
            message: format!("the column `{}` is named twice", columns[at].given().name),
            help: None,
        }),
        None if columns.is_empty() => Err(Problem::at("columns", "a source without columns gives nothing")),
        None => Ok(Schema::new(columns.iter().map(|column| column.given()).collect())),
    }
}

/// Messages of one partition, none of them twice; gaps are where markers, aborted and compacted messages were.
pub(super) struct Page {
    from: u64,
    to: u64,
    bytes: usize,
    offsets: UInt64Builder,
    columns: Vec<Values>,
}

enum Values {
    Key(BinaryBuilder),
    Value(BinaryBuilder),
    Headers(ListBuilder<StructBuilder>),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Page {
    pub(super) fn new(columns: &[Column], from: u64) -> Self {
        let values = |column: &Column| match column {
            Column::Key => Values::Key(BinaryBuilder::new()),
            Column::Value => Values::Value(BinaryBuilder::new()),
            Column::Headers => {
                let item = StructBuilder::from_fields(header_fields(), 0);
                Values::Headers(ListBuilder::new(item).with_field(header()))
            }
            Column::Timestamp => {
                Values::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(ColumnType::Timestamp.arrow()))
            }
        };
        let columns = columns.iter().map(values).collect();
        Self { from, to: from, bytes: 0, offsets: UInt64Builder::new(), columns }
    }

    /// Takes the next message.
    pub(super) fn take(&mut self, message: &Message<'_>) {
        for column in &mut self.columns {
            self.bytes += column.take(message);
        }
        self.offsets.append_value(message.offset());
        self.to = message.offset() + 1;
    }

    /// Goes on to an offset below which there is nothing more.
    pub(super) fn pass(&mut self, to: u64) {
        self.to = self.to.max(to);
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES
    }

    pub(super) fn finish(mut self, partition: u32, anchor: Option<Anchor>, schema: &Schema) -> Result<(Chunk, Span)> {
        let offsets = self.offsets.finish();
        let columns = self.columns.iter_mut().map(Values::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(offsets.len()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(schema.arrow()), columns, &options)?;
        let chunk = Chunk::new(partition, offsets, rows);
        let span = Span { partition, from: Position(self.from), to: Position(self.to), rows: chunk.len(), anchor };
        Ok((chunk, span))
    }
}

impl Values {
    /// Gives the bytes taken.
    fn take(&mut self, message: &Message<'_>) -> usize {
        let mut bytes = 0;
        match self {
            Self::Key(keys) => {
                let key = message.key();
                keys.append_option(key);
                bytes += key.map_or(0, <[u8]>::len);
            }
            Self::Value(values) => {
                let value = message.value();
                values.append_option(value);
                bytes += value.map_or(0, <[u8]>::len);
            }
            Self::Headers(lists) => {
                let item = lists.values();
                message.headers(|name, value| {
                    bytes += name.len() + value.map_or(0, <[u8]>::len);
                    // The builders are those of `header_fields`.
                    if let Some(names) = item.field_builder::<StringBuilder>(0) {
                        names.append_value(name);
                    }
                    if let Some(values) = item.field_builder::<BinaryBuilder>(1) {
                        values.append_option(value);
                    }
                    item.append(true);
                });
                lists.append(true);
            }
            Self::Timestamp(times) => {
                times.append_option(message.timestamp().and_then(|millis| millis.checked_mul(1000)));
                bytes += size_of::<i64>();
            }
        }
        bytes
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Key(values) | Self::Value(values) => Arc::new(values.finish()),
            Self::Headers(lists) => Arc::new(lists.finish()),
            Self::Timestamp(times) => Arc::new(times.finish()),
        }
    }
}
