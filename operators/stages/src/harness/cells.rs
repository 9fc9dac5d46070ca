//! Single values as a test writes them, as columns; `show` has the other direction.
//!
//! A value is taken as its column's type asks, and nothing is changed to make it fit.

use super::rows::{Cell, Row};
use arrow::array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, ListArray, PrimitiveArray, StringArray,
    TimestampMicrosecondArray, new_empty_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Date32Type, Field, TimeUnit};
use chrono::{DateTime, NaiveDate};
use operators_core::error::Problem;
use operators_core::schema::type_name;
use std::sync::Arc;

/// Begins bytes that are written as hexadecimal digits.
const HEX: &str = "0x";

/// The value of one row for a column, as an array of one. What is not written is null, or empty for a list.
pub(super) fn value(row: &Row, field: &Field) -> Result<ArrayRef, Problem> {
    match row.given.get(field.name()) {
        Some(Some(cell)) => array(cell, field.data_type()).map_err(|wanted| {
            let name = field.name();
            let is = type_name(field.data_type());
            let message = format!("column `{name}` is of type {is}, which {} is not", shown(cell));
            row.problem(Some(name), message).help(wanted)
        }),
        _ if field.is_nullable() => Ok(new_null_array(field.data_type(), 1)),
        Some(None) => Err(row.problem(Some(field.name()), format!("column `{}` is never null", field.name()))),
        None => missing(field.data_type()).ok_or_else(|| {
            row.problem(None, format!("column `{}` is missing", field.name()))
                .help("it has no default, so give it a value")
        }),
    }
}

/// What a column that is never null holds where a test does not write it.
pub(super) fn missing(data_type: &DataType) -> Option<ArrayRef> {
    let DataType::List(item) = data_type else { return None };
    let empty = new_empty_array(item.data_type());
    let list = ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths([0]), empty, None);
    list.ok().map(|list| Arc::new(list) as ArrayRef)
}

/// A value of a type; the error says what would be one.
fn array(cell: &Cell, data_type: &DataType) -> Result<ArrayRef, &'static str> {
    const WHOLE: &str = "a whole number within its range";
    const NUMBER: &str = "a number";
    let text = |wanted| if let Cell::Text(text) = cell { Ok(text.as_str()) } else { Err(wanted) };
    let number = match cell {
        Cell::Whole(number) => Ok(*number as f64),
        Cell::Number(number) => Ok(*number),
        Cell::Flag(_) | Cell::Text(_) => Err(NUMBER),
    };
    Ok(match data_type {
        DataType::Boolean => match cell {
            Cell::Flag(flag) => Arc::new(BooleanArray::from(vec![*flag])),
            _ => return Err("true or false"),
        },
        DataType::Int32 => whole::<Int32Type>(cell).ok_or(WHOLE)?,
        DataType::Int64 => whole::<Int64Type>(cell).ok_or(WHOLE)?,
        DataType::UInt32 => whole::<UInt32Type>(cell).ok_or(WHOLE)?,
        DataType::UInt64 => whole::<UInt64Type>(cell).ok_or(WHOLE)?,
        DataType::Float32 => Arc::new(PrimitiveArray::<Float32Type>::from_value(number? as f32, 1)),
        DataType::Float64 => Arc::new(PrimitiveArray::<Float64Type>::from_value(number?, 1)),
        DataType::Utf8 => Arc::new(StringArray::from(vec![text("text in quotes")?])),
        DataType::Binary => {
            const BYTES: &str = "text in quotes, or hexadecimal digits behind 0x, two for each byte";
            Arc::new(BinaryArray::from(vec![bytes(text(BYTES)?).ok_or(BYTES)?.as_slice()]))
        }
        DataType::Date32 => {
            const DAY: &str = "a day in quotes, such as \"2000-01-31\"";
            let day: NaiveDate = text(DAY)?.parse().map_err(|_| DAY)?;
            Arc::new(Date32Array::from(vec![Date32Type::from_naive_date(day)]))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            const TIME: &str = "a time in quotes, such as \"2000-01-31T06:00:00Z\"";
            let time = DateTime::parse_from_rfc3339(text(TIME)?).map_err(|_| TIME)?;
            let times = TimestampMicrosecondArray::from(vec![time.timestamp_micros()]);
            Arc::new(times.with_timezone_opt(zone.clone()))
        }
        _ => return Err("nothing: a test cannot write values of this type; leave the column out"),
    })
}

fn whole<T: ArrowPrimitiveType<Native: TryFrom<i64>>>(cell: &Cell) -> Option<ArrayRef> {
    let Cell::Whole(number) = cell else { return None };
    Some(Arc::new(PrimitiveArray::<T>::from_value(T::Native::try_from(*number).ok()?, 1)))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let Some(digits) = text.strip_prefix(HEX) else { return Some(text.as_bytes().to_vec()) };
    let byte = |pair: &[u8]| match pair {
        // Parsing alone would take a sign for a digit.
        [a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
            u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()
        }
        _ => None,
    };
    digits.as_bytes().chunks(2).map(byte).collect()
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Flag(flag) => flag.to_string(),
        Cell::Whole(number) => number.to_string(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Parts, Rows, Written};
    use super::*;
    use crate::show::spelled;
    use arrow::array::Array;
    use operators_core::config::ColumnType as T;

    /// The one row of a line of JSON.
    fn row(line: &str) -> Row {
        let Ok(Parts::Together(Written::Rows(mut rows))) = Rows::Lines(line.to_owned()).written() else {
            panic!("{line} is no row")
        };
        rows.remove(0)
    }

    #[test]
    fn every_type_is_written_and_read_back() {
        let cells = [
            (T::Bool, "true", "true"),
            (T::Int32, "-7", "-7"),
            (T::Int64, "9007199254740993", "9007199254740993"),
            (T::Float32, "0.5", "0.5"),
            (T::Float64, "20", "20.0"),
            (T::Float64, "-0.1", "-0.1"),
            (T::String, r#""it's \"x\"""#, r#""it's \"x\"""#),
            (T::Bytes, r#""plain""#, r#""plain""#),
            (T::Bytes, r#""0xff00""#, r#""0xff00""#),
            (T::Bytes, r#""0x3078""#, r#""0x3078""#),
            (T::Date, r#""2000-02-29""#, r#""2000-02-29""#),
            (T::Timestamp, r#""2000-01-01T02:00:00.5+02:00""#, r#""2000-01-01T00:00:00.500Z""#),
            (T::Int32, "null", "null"),
        ];
        for (of, written, read) in cells {
            let field = Field::new("c", of.data_type(), true);
            let column = value(&row(&format!("{{\"c\": {written}}}")), &field).unwrap();
            assert_eq!(spelled(&*column, 0), read, "{of:?} {written}");
        }
    }

    #[test]
    fn nothing_is_changed_to_make_it_fit() {
        let cells = [
            (T::Bool, "1"),
            (T::Int32, "1.0"),
            (T::Int32, "2147483648"),
            (T::Int64, r#""1""#),
            (T::Float64, r#""1.5""#),
            (T::String, "1"),
            (T::Bytes, r#""0xf""#),
            (T::Bytes, r#""0x+f""#),
            (T::Date, r#""2000-02-30""#),
            (T::Date, r#""2000-01-01T00:00:00Z""#),
            (T::Timestamp, r#""2000-01-01""#),
        ];
        for (of, written) in cells {
            let field = Field::new("c", of.data_type(), true);
            let problem = value(&row(&format!("{{\"c\": {written}}}")), &field).unwrap_err();
            assert!(problem.message.starts_with("line 1: column `c` is of type "), "{problem:?}");
        }
    }

    #[test]
    fn what_is_not_written_is_null_where_it_may_be() {
        let row = row("{}");
        assert!(value(&row, &Field::new("c", DataType::Utf8, true)).unwrap().is_null(0));
        assert!(value(&row, &Field::new("c", DataType::Utf8, false)).is_err());
        let list = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
        assert_eq!(value(&row, &Field::new("c", list, false)).unwrap().len(), 1);
    }
}
