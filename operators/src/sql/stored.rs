//! Arrow columns as SQLite stores them.

use crate::error::{Error, Result};
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, Float64Array, Int64Array, PrimitiveArray, StringArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;
use std::sync::Arc;

/// The values of a statement, in the order of its placeholders.
#[derive(Default)]
pub(crate) struct Values {
    pub(super) arguments: SqliteArguments,
    /// Bytes of text and blobs among them.
    pub(super) bytes: usize,
}

impl Values {
    pub(crate) fn integer(&mut self, value: i64) -> Result<()> {
        self.add(value)
    }

    pub(crate) fn text(&mut self, value: impl Into<Arc<str>>) -> Result<()> {
        let value = value.into();
        self.bytes += value.len();
        self.add(value)
    }

    pub(crate) fn blob(&mut self, value: Option<&[u8]>) -> Result<()> {
        self.bytes += value.map_or(0, <[u8]>::len);
        self.add(value.map(<[u8]>::to_vec))
    }

    fn null(&mut self) -> Result<()> {
        self.add(None::<i64>)
    }

    fn add<'v>(&mut self, value: impl sqlx::Encode<'v, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>) -> Result<()> {
        self.arguments.add(value).map_err(|error| Error::Other(format!("a value does not go into SQL: {error}")))
    }
}

/// The declared type of a column that holds values of an Arrow type; `None` when no column can.
pub(crate) fn sql_type(data_type: &DataType) -> Option<&'static str> {
    use DataType as T;
    match data_type {
        T::Boolean | T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {
            Some("INTEGER")
        }
        T::Float32 | T::Float64 => Some("REAL"),
        T::Utf8 | T::Date32 | T::Timestamp(_, _) => Some("TEXT"),
        T::Binary => Some("BLOB"),
        _ => None,
    }
}

/// A column in one of SQLite's own storage classes.
pub(crate) enum Stored {
    Integer(Int64Array),
    Real(Float64Array),
    Text(StringArray),
    Blob(BinaryArray),
}

impl Stored {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self> {
        let cast = |to: &DataType| cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() });
        Ok(match array.data_type() {
            DataType::Float32 | DataType::Float64 => Self::Real(cast(&DataType::Float64)?.as_primitive().clone()),
            DataType::Utf8 => Self::Text(array.as_string().clone()),
            DataType::Binary => Self::Blob(array.as_binary().clone()),
            DataType::Date32 => Self::Text(each::<Date32Type>(array.as_primitive(), date)?),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Self::Text(each::<TimestampNanosecondType>(array.as_primitive(), nanoseconds)?)
            }
            DataType::Timestamp(_, zone) => {
                let array = cast(&DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
                Self::Text(each::<TimestampMicrosecondType>(array.as_primitive(), microseconds)?)
            }
            _ => Self::Integer(cast(&DataType::Int64)?.as_primitive().clone()),
        })
    }

    /// Adds the value of one row.
    pub(crate) fn put(&self, row: usize, column: &str, values: &mut Values) -> Result<()> {
        match self {
            Self::Integer(array) if array.is_valid(row) => values.integer(array.value(row)),
            Self::Real(array) if array.is_valid(row) => {
                let value = array.value(row);
                if value.is_nan() {
                    let reason = "is not a number (NaN), which SQLite would silently store as null";
                    return Err(Error::Other(format!("column {column} {reason}; filter such rows or cast the column")));
                }
                values.add(value)
            }
            Self::Text(array) if array.is_valid(row) => values.text(array.value(row)),
            Self::Blob(array) if array.is_valid(row) => values.blob(Some(array.value(row))),
            _ => values.null(),
        }
    }
}

/// Writes each value as text; one that has no text is an error.
fn each<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    text: impl Fn(T::Native) -> Option<String>,
) -> Result<StringArray> {
    let text = |value| text(value).ok_or_else(|| Error::Other(format!("{value:?} lies outside of the calendar")));
    array.iter().map(|value| value.map(text).transpose()).collect()
}

fn date(days: i32) -> Option<String> {
    Date32Type::to_naive_date_opt(days).map(|date| date.to_string())
}

fn microseconds(micros: i64) -> Option<String> {
    DateTime::from_timestamp_micros(micros).map(rfc3339)
}

fn nanoseconds(nanos: i64) -> Option<String> {
    Some(rfc3339(DateTime::from_timestamp_nanos(nanos)))
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
