//! Arrow columns as databases store them.

use crate::database::dialect::{Cell, Dialect};
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, Float64Array, Int64Array, PrimitiveArray, StringArray,
    UInt64Array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use operators_core::error::{Error, Result};
use operators_core::types::ColumnType;
use std::sync::Arc;

/// The values of a statement, in the order of its placeholders.
pub(crate) struct Values<D: Dialect> {
    pub(crate) arguments: D::Arguments,
    /// Bytes of text and blobs among them.
    pub(crate) bytes: usize,
}

impl<D: Dialect> Default for Values<D> {
    fn default() -> Self {
        Self { arguments: D::Arguments::default(), bytes: 0 }
    }
}

impl<D: Dialect> Values<D> {
    pub(crate) fn integer(&mut self, value: i64) -> Result<()> {
        self.add(Cell::Integer(value))
    }

    pub(crate) fn unsigned(&mut self, value: u64) -> Result<()> {
        self.add(Cell::Unsigned(value))
    }

    pub(crate) fn text(&mut self, value: impl Into<Arc<str>>) -> Result<()> {
        let value = value.into();
        self.bytes += value.len();
        self.add(Cell::Text(value))
    }

    pub(crate) fn blob(&mut self, value: Option<&[u8]>) -> Result<()> {
        self.bytes += value.map_or(0, <[u8]>::len);
        self.add(value.map_or(Cell::Null, Cell::Blob))
    }

    pub(crate) fn null(&mut self) -> Result<()> {
        self.add(Cell::Null)
    }

    /// The values themselves.
    pub(crate) fn arguments(self) -> D::Arguments {
        self.arguments
    }

    fn add(&mut self, cell: Cell<'_>) -> Result<()> {
        let added = D::put(&mut self.arguments, cell);
        added.map_err(|error| Error::Other(format!("a value does not go into SQL: {error}")))
    }
}

/// A column as values of statements.
pub(crate) enum Stored {
    Integer(Int64Array),
    Unsigned(UInt64Array),
    Real(Float64Array),
    Text(StringArray),
    Blob(BinaryArray),
}

impl Stored {
    /// The values of a column of a type.
    pub(crate) fn new<D: Dialect>(array: &ArrayRef, column_type: &ColumnType) -> Result<Self> {
        let cast = |to: ColumnType| {
            cast_with_options(array, &to.arrow(), &CastOptions { safe: false, ..CastOptions::default() })
        };
        Ok(match column_type {
            ColumnType::Float32 | ColumnType::Float64 => Self::Real(cast(ColumnType::Float64)?.as_primitive().clone()),
            ColumnType::String => Self::Text(array.as_string().clone()),
            ColumnType::Bytes => Self::Blob(array.as_binary().clone()),
            ColumnType::Date => Self::Text(each::<Date32Type>(array.as_primitive(), date)?),
            ColumnType::Timestamp => {
                let text = |micros| DateTime::<Utc>::from_timestamp_micros(micros).and_then(D::timestamp);
                Self::Text(each::<TimestampMicrosecondType>(array.as_primitive(), text)?)
            }
            ColumnType::UInt64 if D::UNSIGNED => Self::Unsigned(array.as_primitive().clone()),
            ColumnType::Bool | ColumnType::Int32 | ColumnType::Int64 | ColumnType::UInt32 | ColumnType::UInt64 => {
                Self::Integer(cast(ColumnType::Int64)?.as_primitive().clone())
            }
            ColumnType::Headers | ColumnType::Foreign(_) => {
                return Err(Error::Other(format!("a table cannot hold values of type {column_type}")));
            }
        })
    }

    /// Adds the value of one row.
    pub(crate) fn put<D: Dialect>(&self, row: usize, column: &str, values: &mut Values<D>) -> Result<()> {
        match self {
            Self::Integer(array) if array.is_valid(row) => values.integer(array.value(row)),
            Self::Unsigned(array) if array.is_valid(row) => values.unsigned(array.value(row)),
            Self::Real(array) if array.is_valid(row) => {
                let value = array.value(row);
                match D::refuses(value) {
                    None => values.add(Cell::Real(value)),
                    Some(reason) => {
                        Err(Error::Other(format!("column {column} {reason}; filter such rows or cast the column")))
                    }
                }
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
    let text =
        |value| text(value).ok_or_else(|| Error::Other(format!("{value:?} is a time that the database cannot hold")));
    array.iter().map(|value| value.map(text).transpose()).collect()
}

fn date(days: i32) -> Option<String> {
    Date32Type::to_naive_date_opt(days).map(|date| date.to_string())
}
