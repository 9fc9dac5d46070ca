//! Pages of SQL rows as Arrow columns of the declared types.

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use operators_core::types::{ColumnType, DeclaredType};
use std::sync::Arc;
use std::time::Duration;

/// Rows of a page at most.
pub(crate) const PAGE_ROWS: u32 = 8192;

/// Bytes of values after which a page is full, whatever its rows.
pub(crate) const PAGE_BYTES: u64 = 1 << 20;

/// How soon to look again when there was nothing.
pub(crate) const AGAIN: Duration = Duration::from_millis(100);

/// Builds one column of a page.
pub(crate) enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    String(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl ColumnBuilder {
    pub(crate) fn new(declared: DeclaredType) -> Self {
        match declared {
            DeclaredType::Bool => Self::Bool(BooleanBuilder::new()),
            DeclaredType::Int32 => Self::Int32(Int32Builder::new()),
            DeclaredType::Int64 => Self::Int64(Int64Builder::new()),
            DeclaredType::Float32 => Self::Float32(Float32Builder::new()),
            DeclaredType::Float64 => Self::Float64(Float64Builder::new()),
            DeclaredType::String => Self::String(StringBuilder::new()),
            DeclaredType::Bytes => Self::Bytes(BinaryBuilder::new()),
            DeclaredType::Date => Self::Date(Date32Builder::new()),
            DeclaredType::Timestamp => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(ColumnType::Timestamp.arrow()))
            }
        }
    }

    /// Appends a null.
    pub(super) fn append_null(&mut self) {
        match self {
            Self::Bool(to) => to.append_null(),
            Self::Int32(to) => to.append_null(),
            Self::Int64(to) => to.append_null(),
            Self::Float32(to) => to.append_null(),
            Self::Float64(to) => to.append_null(),
            Self::String(to) => to.append_null(),
            Self::Bytes(to) => to.append_null(),
            Self::Date(to) => to.append_null(),
            Self::Timestamp(to) => to.append_null(),
        }
    }

    /// The column built so far; the builder is empty after that.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(from) => Arc::new(from.finish()),
            Self::Int32(from) => Arc::new(from.finish()),
            Self::Int64(from) => Arc::new(from.finish()),
            Self::Float32(from) => Arc::new(from.finish()),
            Self::Float64(from) => Arc::new(from.finish()),
            Self::String(from) => Arc::new(from.finish()),
            Self::Bytes(from) => Arc::new(from.finish()),
            Self::Date(from) => Arc::new(from.finish()),
            Self::Timestamp(from) => Arc::new(from.finish()),
        }
    }
}

/// Whether a database may keep values of any length for a column, as text or bytes.
pub(crate) fn varies_in_length(declared: DeclaredType) -> bool {
    match declared {
        DeclaredType::String | DeclaredType::Bytes | DeclaredType::Date | DeclaredType::Timestamp => true,
        DeclaredType::Bool
        | DeclaredType::Int32
        | DeclaredType::Int64
        | DeclaredType::Float32
        | DeclaredType::Float64 => false,
    }
}

/// The beginning of a text, for an error.
pub(super) fn shortened(text: &str) -> String {
    let mut start: String = text.chars().take(40).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}
