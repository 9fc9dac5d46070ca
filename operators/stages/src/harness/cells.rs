//! Values of each type as columns: single ones as a test writes them, and many made up; `show` has the other direction.
//!
//! A value is taken as its column's type asks, and nothing is changed to make it fit.

use super::rows::{Cell, Row};
use arrow::array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array, ListArray,
    PrimitiveArray, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array, new_empty_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Date32Type;
use chrono::{DateTime, NaiveDate};
use operators_core::error::Problem;
use operators_core::schema::Column;
use operators_core::types::{ColumnType, header};
use std::sync::Arc;

/// Begins bytes that are written as hexadecimal digits.
const HEX: &str = "0x";
/// Made-up texts of one column differ by a number below this, so that keys come again.
const TEXTS: u64 = 10;
/// Made-up numbers lie below this.
const NUMBERS: u64 = 1000;
/// Made-up days begin with 2000-01-01, which is so many days after 1970-01-01.
const FIRST_DAY: i32 = 10_957;

/// The value of one row for a column, as an array of one. What is not written is null, or empty for a list.
pub(super) fn value(row: &Row, column: &Column) -> Result<ArrayRef, Problem> {
    let Column { name, column_type, nullable } = column;
    match row.given.get(name) {
        Some(Some(cell)) => array(cell, column_type).map_err(|wanted| {
            let message = format!("column `{name}` is of type {column_type}, which {} is not", shown(cell));
            row.problem(Some(name), message).help(wanted)
        }),
        _ if *nullable => Ok(new_null_array(&column_type.arrow(), 1)),
        Some(None) => Err(row.problem(Some(name), format!("column `{name}` is never null"))),
        None => missing(column_type, 1).ok_or_else(|| {
            row.problem(None, format!("column `{name}` is missing")).help("it has no default, so give it a value")
        }),
    }
}

/// A column without values, where it may be one.
pub(super) fn nothing(column: &Column, count: usize) -> Option<ArrayRef> {
    if column.nullable {
        return Some(new_null_array(&column.column_type.arrow(), count));
    }
    missing(&column.column_type, count)
}

/// What a column that is never null holds where a test does not write it.
fn missing(column_type: &ColumnType, count: usize) -> Option<ArrayRef> {
    match column_type {
        ColumnType::Headers => {
            let (item, offsets) = (header(), OffsetBuffer::from_lengths(vec![0; count]));
            let empty = new_empty_array(item.data_type());
            Some(Arc::new(ListArray::try_new(item, offsets, empty, None).ok()?))
        }
        ColumnType::Bool
        | ColumnType::Int32
        | ColumnType::Int64
        | ColumnType::UInt32
        | ColumnType::UInt64
        | ColumnType::Float32
        | ColumnType::Float64
        | ColumnType::String
        | ColumnType::Bytes
        | ColumnType::Date
        | ColumnType::Timestamp
        | ColumnType::Foreign(_) => None,
    }
}

/// A value of a type; the error says what would be one.
fn array(cell: &Cell, column_type: &ColumnType) -> Result<ArrayRef, &'static str> {
    const WHOLE: &str = "a whole number within its range";
    const NUMBER: &str = "a number";
    let text = |wanted| if let Cell::Text(text) = cell { Ok(text.as_str()) } else { Err(wanted) };
    let number = match cell {
        Cell::Whole(number) => Ok(*number as f64),
        Cell::Number(number) => Ok(*number),
        Cell::Flag(_) | Cell::Text(_) => Err(NUMBER),
    };
    Ok(match column_type {
        ColumnType::Bool => match cell {
            Cell::Flag(flag) => Arc::new(BooleanArray::from(vec![*flag])),
            Cell::Whole(_) | Cell::Number(_) | Cell::Text(_) => return Err("true or false"),
        },
        ColumnType::Int32 => whole::<Int32Type>(cell).ok_or(WHOLE)?,
        ColumnType::Int64 => whole::<Int64Type>(cell).ok_or(WHOLE)?,
        ColumnType::UInt32 => whole::<UInt32Type>(cell).ok_or(WHOLE)?,
        ColumnType::UInt64 => whole::<UInt64Type>(cell).ok_or(WHOLE)?,
        ColumnType::Float32 => Arc::new(PrimitiveArray::<Float32Type>::from_value(number? as f32, 1)),
        ColumnType::Float64 => Arc::new(PrimitiveArray::<Float64Type>::from_value(number?, 1)),
        ColumnType::String => Arc::new(StringArray::from(vec![text("text in quotes")?])),
        ColumnType::Bytes => {
            const BYTES: &str = "text in quotes, or hexadecimal digits behind 0x, two for each byte";
            Arc::new(BinaryArray::from(vec![bytes(text(BYTES)?).ok_or(BYTES)?.as_slice()]))
        }
        ColumnType::Date => {
            const DAY: &str = "a day in quotes, such as \"2000-01-31\"";
            let day: NaiveDate = text(DAY)?.parse().map_err(|_| DAY)?;
            Arc::new(Date32Array::from(vec![Date32Type::from_naive_date(day)]))
        }
        ColumnType::Timestamp => {
            const TIME: &str = "a time in quotes, such as \"2000-01-31T06:00:00Z\"";
            let time = DateTime::parse_from_rfc3339(text(TIME)?).map_err(|_| TIME)?;
            let times = TimestampMicrosecondArray::from(vec![time.timestamp_micros()]);
            Arc::new(times.with_data_type(column_type.arrow()))
        }
        ColumnType::Headers | ColumnType::Foreign(_) => {
            return Err("nothing: a test cannot write values of this type; leave the column out");
        }
    })
}

/// Values made up for a column from numbers that `draw` gives, each below the bound it is given.
pub(super) fn made_up(column: &Column, count: usize, mut draw: impl FnMut(u64) -> u64) -> Result<ArrayRef, String> {
    let Column { name, column_type, .. } = column;
    let text = |n: u64| format!("{name}-{n}");
    let mut draw = |below: u64| (0..count).map(|_| draw(below)).collect::<Vec<_>>();
    // Two decimals, above and below 0.
    let decimal = |n: u64| (n as f64 - NUMBERS as f64 / 2.0) / 100.0;
    Ok(match column_type {
        ColumnType::Bool => Arc::new(draw(2).iter().map(|n| Some(*n == 1)).collect::<BooleanArray>()),
        ColumnType::Int32 => Arc::new(draw(NUMBERS).iter().map(|n| *n as i32).collect::<Int32Array>()),
        ColumnType::Int64 => Arc::new(draw(NUMBERS).iter().map(|n| *n as i64).collect::<Int64Array>()),
        ColumnType::UInt32 => Arc::new(draw(NUMBERS).iter().map(|n| *n as u32).collect::<UInt32Array>()),
        ColumnType::UInt64 => Arc::new(draw(NUMBERS).into_iter().collect::<UInt64Array>()),
        ColumnType::Float32 => Arc::new(draw(NUMBERS).iter().map(|n| decimal(*n) as f32).collect::<Float32Array>()),
        ColumnType::Float64 => Arc::new(draw(NUMBERS).iter().map(|n| decimal(*n)).collect::<Float64Array>()),
        ColumnType::String => Arc::new(StringArray::from_iter_values(draw(TEXTS).into_iter().map(text))),
        ColumnType::Bytes => Arc::new(BinaryArray::from_iter_values(draw(TEXTS).into_iter().map(text))),
        ColumnType::Date => {
            Arc::new(Date32Array::from_iter_values(draw(NUMBERS).iter().map(|n| FIRST_DAY + *n as i32)))
        }
        ColumnType::Timestamp => {
            let micros = |n: &u64| (i64::from(FIRST_DAY) * 86_400 + *n as i64) * 1_000_000;
            let times = TimestampMicrosecondArray::from_iter_values(draw(NUMBERS).iter().map(micros));
            Arc::new(times.with_data_type(column_type.arrow()))
        }
        ColumnType::Headers | ColumnType::Foreign(_) => nothing(column, count)
            .ok_or_else(|| format!("column `{name}` is of type {column_type}, and no values of it can be made up"))?,
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
    use operators_core::types::DeclaredType as T;

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
            let column = Column::new("c", of, true);
            let values = value(&row(&format!("{{\"c\": {written}}}")), &column).unwrap();
            assert_eq!(spelled(&column.column_type, &*values, 0), read, "{of:?} {written}");
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
            let column = Column::new("c", of, true);
            let problem = value(&row(&format!("{{\"c\": {written}}}")), &column).unwrap_err();
            assert!(problem.message.starts_with("line 1: column `c` is of type "), "{problem:?}");
        }
    }

    #[test]
    fn what_is_not_written_is_null_where_it_may_be() {
        let row = row("{}");
        assert!(value(&row, &Column::new("c", T::String, true)).unwrap().is_null(0));
        assert!(value(&row, &Column::new("c", T::String, false)).is_err());
        assert_eq!(value(&row, &Column::new("c", ColumnType::Headers, false)).unwrap().len(), 1);
    }
}
