//! SQLite's values as Arrow columns of the declared types.

use crate::database::column::{ColumnBuilder, shortened};
use arrow::datatypes::Date32Type;
use chrono::{DateTime, NaiveDate};
use sqlx::sqlite::SqliteValueRef;
use sqlx::{Decode, Sqlite, TypeInfo, ValueRef};

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
    match (&mut *builder, &value) {
        (ColumnBuilder::Bool(to), Class::Integer(i @ (0 | 1))) => to.append_value(*i == 1),
        (ColumnBuilder::Int32(to), Class::Integer(i)) => match i32::try_from(*i) {
            Ok(i) => to.append_value(i),
            Err(_) => return Err(format!("holds {i}, which is no int32")),
        },
        (ColumnBuilder::Int64(to), Class::Integer(i)) => to.append_value(*i),
        (ColumnBuilder::Float32(to), Class::Real(r)) => to.append_value(*r as f32),
        (ColumnBuilder::Float64(to), Class::Real(r)) => to.append_value(*r),
        // A column without a REAL affinity keeps 20.0 as the integer 20.
        (ColumnBuilder::Float64(to), Class::Integer(i)) if i.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS => {
            to.append_value(*i as f64);
        }
        (ColumnBuilder::Float32(to), Class::Integer(i)) if i.unsigned_abs() <= 1 << f32::MANTISSA_DIGITS => {
            to.append_value(*i as f32);
        }
        (ColumnBuilder::String(to), Class::Text(text)) => to.append_value(text),
        (ColumnBuilder::Bytes(to), Class::Blob(bytes)) => to.append_value(bytes),
        (ColumnBuilder::Date(to), Class::Text(text)) => match text.parse::<NaiveDate>() {
            Ok(date) => to.append_value(Date32Type::from_naive_date(date)),
            Err(_) => return Err(format!("holds `{}`, which is no date like 2000-01-31", shortened(text))),
        },
        (ColumnBuilder::Timestamp(to), Class::Text(text)) => match DateTime::parse_from_rfc3339(text) {
            Ok(at) => to.append_value(at.timestamp_micros()),
            Err(_) => {
                return Err(format!("holds `{}`, which is no time like 2000-01-31T06:00:00Z", shortened(text)));
            }
        },
        (_, other) => return Err(format!("holds {}", other.shown())),
    }
    Ok(())
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
