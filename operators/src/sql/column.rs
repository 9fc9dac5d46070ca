//! SQL values as Arrow columns of the declared types.

use crate::config::ColumnType;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::Date32Type;
use chrono::{DateTime, NaiveDate};
use sqlx::sqlite::SqliteValueRef;
use sqlx::{Decode, Sqlite, TypeInfo, ValueRef};
use std::sync::Arc;

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

/// A value in one of SQLite's storage classes.
enum Class<'r> {
    Integer(i64),
    Real(f64),
    Text(&'r str),
    Blob(&'r [u8]),
}

impl ColumnBuilder {
    pub(crate) fn new(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Int32 => Self::Int32(Int32Builder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Float32 => Self::Float32(Float32Builder::new()),
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::String => Self::String(StringBuilder::new()),
            ColumnType::Bytes => Self::Bytes(BinaryBuilder::new()),
            ColumnType::Date => Self::Date(Date32Builder::new()),
            ColumnType::Timestamp => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(column_type.data_type()))
            }
        }
    }

    /// Appends a value, or says what is wrong with it.
    pub(crate) fn append(&mut self, value: SqliteValueRef<'_>) -> Result<(), String> {
        if value.is_null() {
            self.append_null();
            return Ok(());
        }
        let value = Class::new(value)?;
        match (&mut *self, &value) {
            (Self::Bool(to), Class::Integer(i @ (0 | 1))) => to.append_value(*i == 1),
            (Self::Int32(to), Class::Integer(i)) => match i32::try_from(*i) {
                Ok(i) => to.append_value(i),
                Err(_) => return Err(format!("holds {i}, which is no int32")),
            },
            (Self::Int64(to), Class::Integer(i)) => to.append_value(*i),
            (Self::Float32(to), Class::Real(r)) => to.append_value(*r as f32),
            (Self::Float64(to), Class::Real(r)) => to.append_value(*r),
            // A column without a REAL affinity keeps 20.0 as the integer 20.
            (Self::Float64(to), Class::Integer(i)) if i.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS => {
                to.append_value(*i as f64);
            }
            (Self::Float32(to), Class::Integer(i)) if i.unsigned_abs() <= 1 << f32::MANTISSA_DIGITS => {
                to.append_value(*i as f32);
            }
            (Self::String(to), Class::Text(text)) => to.append_value(text),
            (Self::Bytes(to), Class::Blob(bytes)) => to.append_value(bytes),
            (Self::Date(to), Class::Text(text)) => match text.parse::<NaiveDate>() {
                Ok(date) => to.append_value(Date32Type::from_naive_date(date)),
                Err(_) => return Err(format!("holds `{}`, which is no date like 2000-01-31", shortened(text))),
            },
            (Self::Timestamp(to), Class::Text(text)) => match DateTime::parse_from_rfc3339(text) {
                Ok(at) => to.append_value(at.timestamp_micros()),
                Err(_) => {
                    return Err(format!("holds `{}`, which is no time like 2000-01-31T06:00:00Z", shortened(text)));
                }
            },
            (_, other) => return Err(format!("holds {}", other.shown())),
        }
        Ok(())
    }

    fn append_null(&mut self) {
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

impl<'r> Class<'r> {
    fn new(value: SqliteValueRef<'r>) -> Result<Self, String> {
        fn decode<'r, T: Decode<'r, Sqlite>>(value: SqliteValueRef<'r>) -> Result<T, String> {
            T::decode(value).map_err(|error| format!("cannot be read: {error}"))
        }
        let class = value.type_info().into_owned();
        match class.name() {
            "INTEGER" => decode(value).map(Self::Integer),
            "REAL" => decode(value).map(Self::Real),
            "TEXT" => decode(value).map(Self::Text),
            "BLOB" => decode(value).map(Self::Blob),
            other => Err(format!("holds a value of the unknown class {other}")),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Integer(i) => format!("the integer {i}"),
            Self::Real(r) => format!("the real {r}"),
            Self::Text(text) => format!("the text `{}`", shortened(text)),
            Self::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
        }
    }
}

/// The beginning of a text, for an error.
fn shortened(text: &str) -> String {
    let mut start: String = text.chars().take(40).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}
