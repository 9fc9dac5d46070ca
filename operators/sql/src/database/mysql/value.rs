//! Values as servers send them (the binary protocol), as Arrow columns of the declared types, and the types of columns
//! that are written.

use crate::database::column::{ColumnBuilder, shortened};
use arrow::datatypes::Date32Type;
use chrono::NaiveDate;
use operators_core::types::{ColumnType, DeclaredType};
use sqlx::mysql::MySqlRow;
use sqlx::{Decode, MySql, Row};
use std::borrow::Cow;

/// How the values of a column come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Signed,
    Unsigned,
    Float,
    Double,
    /// Digits as text.
    Decimal,
    Text,
    Bytes,
    Date,
    /// In UTC.
    DateTime,
}

impl Wire {
    /// How a column of a type comes, if its values can become what the file declares without being changed; or else what
    /// could be declared. `declared` is as the catalog has it: `decimal(10,2) unsigned`.
    pub(crate) fn of(declared: &str, wanted: DeclaredType) -> Result<Self, String> {
        let declared = declared.to_ascii_lowercase();
        let end = declared.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(declared.len());
        let (wire, may): (Self, &[DeclaredType]) = match &declared[..end] {
            // Its greatest values are no int64.
            "bigint" if declared.contains("unsigned") => {
                (Self::Unsigned, &[DeclaredType::Int64, DeclaredType::String, DeclaredType::Int32, DeclaredType::Bool])
            }
            "tinyint" | "smallint" | "mediumint" | "int" | "integer" if declared.contains("unsigned") => {
                (Self::Unsigned, &[DeclaredType::Int64, DeclaredType::Int32, DeclaredType::Bool])
            }
            "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint" => {
                (Self::Signed, &[DeclaredType::Int64, DeclaredType::Int32, DeclaredType::Bool])
            }
            "year" => (Self::Unsigned, &[DeclaredType::Int32, DeclaredType::Int64]),
            "float" => (Self::Float, &[DeclaredType::Float32, DeclaredType::Float64]),
            "double" => (Self::Double, &[DeclaredType::Float64]),
            "decimal" => Self::of_decimal(digits(&declared), wanted),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" | "json" => {
                (Self::Text, &[DeclaredType::String])
            }
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                (Self::Bytes, &[DeclaredType::Bytes])
            }
            "date" => (Self::Date, &[DeclaredType::Date, DeclaredType::String]),
            "datetime" | "timestamp" => (Self::DateTime, &[DeclaredType::Timestamp]),
            _ => {
                return Err(format!(
                    "is {declared}, which has no counterpart here; leave it out, or declare a generated column of the \
                     table that casts it"
                ));
            }
        };
        if may.contains(&wanted) {
            return Ok(wire);
        }
        let may: Vec<_> = may.iter().map(|may| format!("`{may}`")).collect();
        Err(format!("is {declared}, whose values can be declared as {}", may.join(" or ")))
    }

    /// How a decimal of a precision and scale comes, and what it can be declared as.
    fn of_decimal(digits: Option<(u32, u32)>, wanted: DeclaredType) -> (Self, &'static [DeclaredType]) {
        match wanted {
            // So many digits are the same again after a double.
            DeclaredType::Float64 if digits.is_some_and(|(precision, _)| precision <= f64::DIGITS) => {
                (Self::Decimal, &[DeclaredType::Float64])
            }
            DeclaredType::Int32 | DeclaredType::Int64 if digits.is_some_and(|(_, scale)| scale == 0) => {
                (Self::Decimal, &[DeclaredType::Int32, DeclaredType::Int64])
            }
            DeclaredType::Bool
            | DeclaredType::Int32
            | DeclaredType::Int64
            | DeclaredType::Float32
            | DeclaredType::Float64
            | DeclaredType::String
            | DeclaredType::Bytes
            | DeclaredType::Date
            | DeclaredType::Timestamp => (Self::Text, &[DeclaredType::String]),
        }
    }
}

/// Precision and scale of `decimal(10,2)`.
fn digits(declared: &str) -> Option<(u32, u32)> {
    let (precision, scale) = declared.split_once('(')?.1.split_once(')')?.0.split_once(',')?;
    Some((precision.parse().ok()?, scale.parse().ok()?))
}

/// The bytes of a value; `None` for null. The driver's own question whether a value is null takes zero dates for it.
pub(crate) fn bytes(row: &MySqlRow, column: usize) -> sqlx::Result<Option<&[u8]>> {
    Ok(<&[u8] as Decode<MySql>>::decode(row.try_get_raw(column)?).ok())
}

/// A cursor: an integer that is not negative.
pub(crate) fn id(bytes: &[u8], wire: Wire) -> Option<u64> {
    match wire {
        Wire::Signed => u64::try_from(signed(bytes)?).ok(),
        _ => unsigned(bytes),
    }
}

/// Appends a value, or says what is wrong with it.
pub(crate) fn append(builder: &mut ColumnBuilder, wire: Wire, value: Option<&[u8]>) -> Result<(), String> {
    let Some(value) = value else {
        builder.append_null();
        return Ok(());
    };
    match wire {
        Wire::Signed => integer(builder, signed(value).ok_or_else(|| odd(value))?.into()),
        Wire::Unsigned => integer(builder, unsigned(value).ok_or_else(|| odd(value))?.into()),
        Wire::Float => float(builder, f32::from_le_bytes(value.try_into().map_err(|_| odd(value))?)),
        Wire::Double => double(builder, f64::from_le_bytes(value.try_into().map_err(|_| odd(value))?)),
        Wire::Decimal => decimal(builder, text(value)?),
        Wire::Text => string(builder, text(value)?),
        Wire::Bytes => blob(builder, value),
        Wire::Date => date(builder, value),
        Wire::DateTime => date_time(builder, value),
    }
}

fn odd(value: &[u8]) -> String {
    format!("came as {} bytes, which are no value of its type", value.len())
}

fn text(value: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(value).map_err(|_| "holds bytes that are no text".to_owned())
}

fn signed(value: &[u8]) -> Option<i64> {
    Some(match value.len() {
        1 => i8::from_le_bytes(value.try_into().ok()?).into(),
        2 => i16::from_le_bytes(value.try_into().ok()?).into(),
        4 => i32::from_le_bytes(value.try_into().ok()?).into(),
        _ => i64::from_le_bytes(value.try_into().ok()?),
    })
}

fn unsigned(value: &[u8]) -> Option<u64> {
    Some(match value.len() {
        1 => u8::from_le_bytes(value.try_into().ok()?).into(),
        2 => u16::from_le_bytes(value.try_into().ok()?).into(),
        4 => u32::from_le_bytes(value.try_into().ok()?).into(),
        _ => u64::from_le_bytes(value.try_into().ok()?),
    })
}

fn integer(builder: &mut ColumnBuilder, value: i128) -> Result<(), String> {
    let too_large = |declared| format!("holds {value}, which is no {declared}");
    match builder {
        ColumnBuilder::Int64(to) => to.append_value(value.try_into().map_err(|_| too_large("int64"))?),
        ColumnBuilder::Int32(to) => to.append_value(value.try_into().map_err(|_| too_large("int32"))?),
        ColumnBuilder::Bool(to) if value == 0 || value == 1 => to.append_value(value == 1),
        ColumnBuilder::String(to) => to.append_value(value.to_string()),
        ColumnBuilder::Bool(_)
        | ColumnBuilder::Float32(_)
        | ColumnBuilder::Float64(_)
        | ColumnBuilder::Bytes(_)
        | ColumnBuilder::Date(_)
        | ColumnBuilder::Timestamp(_) => return Err(format!("holds the integer {value}")),
    }
    Ok(())
}

fn float(builder: &mut ColumnBuilder, value: f32) -> Result<(), String> {
    match builder {
        ColumnBuilder::Float32(to) => to.append_value(value),
        ColumnBuilder::Bool(_)
        | ColumnBuilder::Int32(_)
        | ColumnBuilder::Int64(_)
        | ColumnBuilder::Float64(_)
        | ColumnBuilder::String(_)
        | ColumnBuilder::Bytes(_)
        | ColumnBuilder::Date(_)
        | ColumnBuilder::Timestamp(_) => return double(builder, value.into()),
    }
    Ok(())
}

fn double(builder: &mut ColumnBuilder, value: f64) -> Result<(), String> {
    match builder {
        ColumnBuilder::Float64(to) => to.append_value(value),
        ColumnBuilder::Bool(_)
        | ColumnBuilder::Int32(_)
        | ColumnBuilder::Int64(_)
        | ColumnBuilder::Float32(_)
        | ColumnBuilder::String(_)
        | ColumnBuilder::Bytes(_)
        | ColumnBuilder::Date(_)
        | ColumnBuilder::Timestamp(_) => return Err(format!("holds the real {value}")),
    }
    Ok(())
}

fn decimal(builder: &mut ColumnBuilder, digits: &str) -> Result<(), String> {
    let odd = || format!("holds `{}`, which is no number", shortened(digits));
    match builder {
        ColumnBuilder::Float64(to) => to.append_value(digits.parse().map_err(|_| odd())?),
        ColumnBuilder::Bool(_)
        | ColumnBuilder::Int32(_)
        | ColumnBuilder::Int64(_)
        | ColumnBuilder::Float32(_)
        | ColumnBuilder::String(_)
        | ColumnBuilder::Bytes(_)
        | ColumnBuilder::Date(_)
        | ColumnBuilder::Timestamp(_) => return integer(builder, digits.parse().map_err(|_| odd())?),
    }
    Ok(())
}

fn string(builder: &mut ColumnBuilder, value: &str) -> Result<(), String> {
    match builder {
        ColumnBuilder::String(to) => to.append_value(value),
        ColumnBuilder::Bool(_)
        | ColumnBuilder::Int32(_)
        | ColumnBuilder::Int64(_)
        | ColumnBuilder::Float32(_)
        | ColumnBuilder::Float64(_)
        | ColumnBuilder::Bytes(_)
        | ColumnBuilder::Date(_)
        | ColumnBuilder::Timestamp(_) => return Err(format!("holds the text `{}`", shortened(value))),
    }
    Ok(())
}

fn blob(builder: &mut ColumnBuilder, value: &[u8]) -> Result<(), String> {
    match builder {
        ColumnBuilder::Bytes(to) => to.append_value(value),
        ColumnBuilder::Bool(_)
        | ColumnBuilder::Int32(_)
        | ColumnBuilder::Int64(_)
        | ColumnBuilder::Float32(_)
        | ColumnBuilder::Float64(_)
        | ColumnBuilder::String(_)
        | ColumnBuilder::Date(_)
        | ColumnBuilder::Timestamp(_) => return Err(odd(value)),
    }
    Ok(())
}

/// The parts of a date and time: a byte that counts those that are not left out at the end for being zero.
struct Parts {
    year: u16,
    month: u8,
    day: u8,
    time: [u8; 3],
    micros: u32,
}

impl Parts {
    fn new(value: &[u8]) -> Option<Self> {
        let (&length, parts) = value.split_first()?;
        let mut all = [0; 11];
        all.get_mut(..length.into())?.copy_from_slice(parts.get(..length.into())?);
        let [y0, y1, month, day, hour, minute, second, m0, m1, m2, m3] = all;
        Some(Self {
            year: u16::from_le_bytes([y0, y1]),
            month,
            day,
            time: [hour, minute, second],
            micros: u32::from_le_bytes([m0, m1, m2, m3]),
        })
    }

    fn day(&self) -> Result<NaiveDate, String> {
        let Self { year, month, day, .. } = self;
        let date = NaiveDate::from_ymd_opt((*year).into(), (*month).into(), (*day).into());
        // There is no year 0 in MySQL: a date in it is one of its zero dates.
        let date = date.filter(|_| *year > 0);
        date.ok_or_else(|| format!("holds the date {year:04}-{month:02}-{day:02}, which is no day of the calendar"))
    }
}

fn date(builder: &mut ColumnBuilder, value: &[u8]) -> Result<(), String> {
    let parts = Parts::new(value).ok_or_else(|| odd(value))?;
    match builder {
        ColumnBuilder::Date(to) => to.append_value(Date32Type::from_naive_date(parts.day()?)),
        // As the server writes it: a zero date too is a text.
        ColumnBuilder::Bool(_)
        | ColumnBuilder::Int32(_)
        | ColumnBuilder::Int64(_)
        | ColumnBuilder::Float32(_)
        | ColumnBuilder::Float64(_)
        | ColumnBuilder::String(_)
        | ColumnBuilder::Bytes(_)
        | ColumnBuilder::Timestamp(_) => {
            return string(builder, &format!("{:04}-{:02}-{:02}", parts.year, parts.month, parts.day));
        }
    }
    Ok(())
}

fn date_time(builder: &mut ColumnBuilder, value: &[u8]) -> Result<(), String> {
    let parts = Parts::new(value).ok_or_else(|| odd(value))?;
    let [hour, minute, second] = parts.time.map(u32::from);
    let time = parts.day()?.and_hms_micro_opt(hour, minute, second, parts.micros).ok_or_else(|| odd(value))?;
    match builder {
        ColumnBuilder::Timestamp(to) => to.append_value(time.and_utc().timestamp_micros()),
        ColumnBuilder::Bool(_)
        | ColumnBuilder::Int32(_)
        | ColumnBuilder::Int64(_)
        | ColumnBuilder::Float32(_)
        | ColumnBuilder::Float64(_)
        | ColumnBuilder::String(_)
        | ColumnBuilder::Bytes(_)
        | ColumnBuilder::Date(_) => return Err(format!("holds the time {time}")),
    }
    Ok(())
}

/// The declared type of a column that holds values of a type; `None` when no column can.
pub(super) fn sql_type(column_type: &ColumnType) -> Option<Cow<'static, str>> {
    let sql = match column_type {
        ColumnType::Bool => "BOOLEAN",
        ColumnType::Int32 => "INT",
        ColumnType::Int64 => "BIGINT",
        ColumnType::UInt32 => "INT UNSIGNED",
        ColumnType::UInt64 => "BIGINT UNSIGNED",
        ColumnType::Float32 => "FLOAT",
        ColumnType::Float64 => "DOUBLE",
        ColumnType::String => "LONGTEXT",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "DATETIME(6)",
        ColumnType::Bytes => "LONGBLOB",
        ColumnType::Headers | ColumnType::Foreign(_) => return None,
    };
    Some(sql.into())
}
