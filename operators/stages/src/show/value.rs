//! One value as text: exact, and nothing in it moves a terminal's cursor.

use super::foreign;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, ArrowTimestampType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::SecondsFormat;
use operators_core::terminal::acts;
use operators_core::types::ColumnType;
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde::{Serialize, ser};
use serde_json::ser::Formatter;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use unicode_width::UnicodeWidthChar;

/// One value of a column, as JSON has it. Numbers keep every digit; days are `2000-01-31`, times RFC 3339, bytes as
/// [`of_bytes`] has them; what JSON has no number for is `"NaN"`, `"Infinity"` or `"-Infinity"`.
pub(super) struct Value<'a> {
    pub(super) column_type: &'a ColumnType,
    pub(super) array: &'a dyn Array,
    pub(super) row: usize,
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { column_type, array, row } = *self;
        if array.is_null(row) {
            return serializer.serialize_none();
        }
        match column_type {
            ColumnType::Bool => serializer.serialize_bool(array.as_boolean().value(row)),
            ColumnType::Int32 => serializer.serialize_i32(number::<Int32Type>(array, row)),
            ColumnType::Int64 => serializer.serialize_i64(number::<Int64Type>(array, row)),
            ColumnType::UInt32 => serializer.serialize_u32(number::<UInt32Type>(array, row)),
            ColumnType::UInt64 => serializer.serialize_u64(number::<UInt64Type>(array, row)),
            ColumnType::Float32 => match number::<Float32Type>(array, row) {
                value if value.is_finite() => serializer.serialize_f32(value),
                value => serializer.serialize_str(not_finite(value.into())),
            },
            ColumnType::Float64 => match number::<Float64Type>(array, row) {
                value if value.is_finite() => serializer.serialize_f64(value),
                value => serializer.serialize_str(not_finite(value)),
            },
            ColumnType::String => serializer.serialize_str(array.as_string::<i32>().value(row)),
            ColumnType::Bytes => serializer.serialize_str(&of_bytes(array.as_binary::<i32>().value(row))),
            ColumnType::Date => match array.as_primitive::<Date32Type>().value_as_date(row) {
                Some(day) => serializer.collect_str(&day),
                None => other(array, row, serializer),
            },
            ColumnType::Timestamp => match time::<TimestampMicrosecondType>(array, row, true) {
                Some(time) => serializer.serialize_str(&time),
                None => other(array, row, serializer),
            },
            ColumnType::Headers => foreign::list(&*array.as_list::<i32>().value(row), serializer),
            ColumnType::Foreign(foreign) => foreign::value(foreign.arrow(), array, row, serializer),
        }
    }
}

pub(super) fn number<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

fn not_finite(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// What is stored with a zone is a moment, shown in UTC; without one it is what a clock somewhere showed.
pub(super) fn time<T: ArrowTimestampType>(array: &dyn Array, row: usize, has_zone: bool) -> Option<String> {
    let time = arrow::temporal_conversions::as_datetime::<T>(number::<T>(array, row))?;
    Some(match has_zone {
        true => time.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true),
        false => time.format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
    })
}

/// Types that no stage gives, and values outside of every calendar, as text.
pub(super) fn other<S: Serializer>(array: &dyn Array, row: usize, serializer: S) -> Result<S::Ok, S::Error> {
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(array, &options).map_err(S::Error::custom)?;
    serializer.collect_str(&formatter.value(row))
}

/// One row of several columns.
pub(super) fn object<'a, S: Serializer>(
    columns: impl Iterator<Item = (&'a str, &'a ColumnType, &'a dyn Array)>,
    row: usize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_map(None)?;
    for (name, column_type, array) in columns {
        object.serialize_entry(name, &Value { column_type, array, row })?;
    }
    object.end()
}

/// Writes JSON in which every character that a terminal would not just print is escaped.
pub(super) fn write_json(value: &impl ser::Serialize, out: &mut dyn Write) -> io::Result<()> {
    Ok(value.serialize(&mut serde_json::Serializer::with_formatter(out, Harmless))?)
}

struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| acts(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            write!(writer, "\\u{:04x}", u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Bytes that are printable text as that text, any others as `0x` and hexadecimal digits. Text that begins with `0x`
/// becomes digits too, so that `0x` always means digits.
pub(super) fn of_bytes(bytes: &[u8]) -> Cow<'_, str> {
    let prints =
        |text: &&str| !text.starts_with("0x") && text.chars().all(|c| !acts(c) || matches!(c, '\t' | '\n' | '\r'));
    match str::from_utf8(bytes).ok().filter(prints) {
        Some(text) => text.into(),
        None => bytes
            .iter()
            .fold("0x".to_owned(), |mut digits, byte| {
                // Writing to a string cannot fail.
                let _ = write!(digits, "{byte:02x}");
                digits
            })
            .into(),
    }
}

/// Text as JSON writes it, without the quotes around it.
pub(super) fn plain(text: &str) -> String {
    let quoted = json(&text);
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().replace("\\\"", "\"")
}

/// A value as JSON has it, which is how a pipeline file would spell it too.
pub(crate) fn spelled(column_type: &ColumnType, array: &dyn Array, row: usize) -> String {
    json(&Value { column_type, array, row })
}

/// A value for people: as in JSON, with quotes only around text that would look like something else without them.
pub(super) fn cell(column_type: &ColumnType, array: &dyn Array, row: usize) -> String {
    let json = json(&Value { column_type, array, row });
    let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return json };
    let misleads = inner.is_empty() || inner == "null" || inner.trim() != inner || inner.starts_with("\\\"");
    if misleads { json } else { inner.replace("\\\"", "\"") }
}

fn json(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    match write_json(value, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("cannot be shown: {error}"),
    }
}

/// The cells that text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Text in at most so many cells; what is left out shows as an ellipsis.
pub(super) fn cut(text: &str, cells: usize) -> Cow<'_, str> {
    if width(text) <= cells {
        return text.into();
    }
    let mut left = cells.saturating_sub(1);
    let fits = |c: &char| {
        let cells = c.width().unwrap_or(0);
        let fits = cells <= left;
        left = left.saturating_sub(cells);
        fits
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push('…');
    kept.into()
}
