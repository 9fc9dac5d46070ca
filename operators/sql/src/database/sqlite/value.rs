//! SQLite's values as Arrow columns of the declared types, and the types of columns that are written.

use crate::database::column::{ColumnBuilder, shortened};
use arrow::datatypes::Date32Type;
use chrono::{DateTime, NaiveDate};
use operators_core::types::ColumnType;
use sqlx::sqlite::SqliteValueRef;
use sqlx::{Decode, Sqlite, TypeInfo, ValueRef};
use std::borrow::Cow;

/// A value in one of SQLite's storage classes.
enum Class<'r> {
    Integer(i64),
    Real(f64),
    Text(&'r str),
    Blob(&'r [u8]),
}

/// Appends a value, or says what is wrong with it.
pub(crate) fn append(builder: &mut ColumnBuilder, value: SqliteValueRef<'_>) -> Result<(), String> {
    if value.is_null() {
        builder.append_null();
        return Ok(());
    }
    let value = Class::new(value)?;
    match builder {
        ColumnBuilder::Bool(to) => match value {
            Class::Integer(i @ (0 | 1)) => to.append_value(i == 1),
            other => return Err(other.unfit()),
        },
        ColumnBuilder::Int32(to) => match value {
            Class::Integer(i) => {
                to.append_value(i32::try_from(i).map_err(|_| format!("holds {i}, which is no int32"))?);
            }
            other => return Err(other.unfit()),
        },
        ColumnBuilder::Int64(to) => match value {
            Class::Integer(i) => to.append_value(i),
            other => return Err(other.unfit()),
        },
        // A column without a REAL affinity keeps 20.0 as the integer 20.
        ColumnBuilder::Float32(to) => match value {
            Class::Real(r) => to.append_value(r as f32),
            Class::Integer(i) if i.unsigned_abs() <= 1 << f32::MANTISSA_DIGITS => to.append_value(i as f32),
            other => return Err(other.unfit()),
        },
        ColumnBuilder::Float64(to) => match value {
            Class::Real(r) => to.append_value(r),
            Class::Integer(i) if i.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS => to.append_value(i as f64),
            other => return Err(other.unfit()),
        },
        ColumnBuilder::String(to) => match value {
            Class::Text(text) => to.append_value(text),
            other => return Err(other.unfit()),
        },
        ColumnBuilder::Bytes(to) => match value {
            Class::Blob(bytes) => to.append_value(bytes),
            other => return Err(other.unfit()),
        },
        ColumnBuilder::Date(to) => match value {
            Class::Text(text) => to.append_value(day(text)?),
            other => return Err(other.unfit()),
        },
        ColumnBuilder::Timestamp(to) => match value {
            Class::Text(text) => to.append_value(micros(text)?),
            other => return Err(other.unfit()),
        },
    }
    Ok(())
}

fn day(text: &str) -> Result<i32, String> {
    let date = text.parse::<NaiveDate>().map(Date32Type::from_naive_date);
    date.map_err(|_| format!("holds `{}`, which is no date like 2000-01-31", shortened(text)))
}

fn micros(text: &str) -> Result<i64, String> {
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_micros());
    at.map_err(|_| format!("holds `{}`, which is no time like 2000-01-31T06:00:00Z", shortened(text)))
}

/// The declared type of a column that holds values of a type; `None` when no column can.
pub(super) fn sql_type(column_type: &ColumnType) -> Option<Cow<'static, str>> {
    let sql = match column_type {
        ColumnType::Bool | ColumnType::Int32 | ColumnType::Int64 | ColumnType::UInt32 | ColumnType::UInt64 => "INTEGER",
        ColumnType::Float32 | ColumnType::Float64 => "REAL",
        ColumnType::String | ColumnType::Date | ColumnType::Timestamp => "TEXT",
        ColumnType::Bytes => "BLOB",
        ColumnType::Headers | ColumnType::Foreign(_) => return None,
    };
    Some(sql.into())
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

    /// What is wrong with a value of a class that its column cannot take.
    fn unfit(&self) -> String {
        match self {
            Self::Integer(i) => format!("holds the integer {i}"),
            Self::Real(r) => format!("holds the real {r}"),
            Self::Text(text) => format!("holds the text `{}`", shortened(text)),
            Self::Blob(bytes) => format!("holds a blob of {} bytes", bytes.len()),
        }
    }
}
