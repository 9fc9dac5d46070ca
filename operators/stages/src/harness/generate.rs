//! Rows made up for a test that only says how many.

use super::cells;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array, new_null_array,
};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field};
use operators_core::schema::{Schema, type_name};
use std::sync::Arc;

/// Texts of one column differ by a number below this, so that keys come again.
const TEXTS: u64 = 10;
/// Numbers lie below this.
const NUMBERS: u64 = 1000;
/// Days from 2000-01-01 on, which is so many days after 1970-01-01.
const FIRST_DAY: i32 = 10_957;

/// So many rows of these columns, none of them null. The same numbers give the same rows.
pub(super) fn rows(columns: &Schema, count: u64, seed: u64, partition: u32) -> Result<RecordBatch, String> {
    let made = columns.0.fields().iter().enumerate().map(|(index, field)| {
        let mut random = Random(mix(seed ^ mix(u64::from(partition) << 32 | index as u64)));
        column(field, count, &mut random)
    });
    let made = made.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::clone(&columns.0), made).map_err(|error| error.to_string())
}

fn column(field: &Field, count: u64, random: &mut Random) -> Result<ArrayRef, String> {
    let text = |n: u64| format!("{}-{n}", field.name());
    let draw = |below: u64, random: &mut Random| (0..count).map(|_| random.below(below)).collect::<Vec<_>>();
    // Two decimals, above and below 0.
    let decimal = |n: u64| (n as f64 - NUMBERS as f64 / 2.0) / 100.0;
    Ok(match field.data_type() {
        DataType::Boolean => Arc::new(draw(2, random).iter().map(|n| Some(*n == 1)).collect::<BooleanArray>()),
        DataType::Int32 => Arc::new(draw(NUMBERS, random).iter().map(|n| *n as i32).collect::<Int32Array>()),
        DataType::Int64 => Arc::new(draw(NUMBERS, random).iter().map(|n| *n as i64).collect::<Int64Array>()),
        DataType::UInt32 => Arc::new(draw(NUMBERS, random).iter().map(|n| *n as u32).collect::<UInt32Array>()),
        DataType::UInt64 => Arc::new(draw(NUMBERS, random).into_iter().collect::<UInt64Array>()),
        DataType::Float32 => {
            Arc::new(draw(NUMBERS, random).iter().map(|n| decimal(*n) as f32).collect::<Float32Array>())
        }
        DataType::Float64 => Arc::new(draw(NUMBERS, random).iter().map(|n| decimal(*n)).collect::<Float64Array>()),
        DataType::Utf8 => Arc::new(StringArray::from_iter_values(draw(TEXTS, random).into_iter().map(text))),
        DataType::Binary => Arc::new(BinaryArray::from_iter_values(draw(TEXTS, random).into_iter().map(text))),
        DataType::Date32 => {
            Arc::new(Date32Array::from_iter_values(draw(NUMBERS, random).iter().map(|n| FIRST_DAY + *n as i32)))
        }
        DataType::Timestamp(_, zone) => {
            let micros = |n: &u64| (i64::from(FIRST_DAY) * 86_400 + *n as i64) * 1_000_000;
            let times = TimestampMicrosecondArray::from_iter_values(draw(NUMBERS, random).iter().map(micros));
            Arc::new(times.with_timezone_opt(zone.clone()))
        }
        other => nothing(field, count as usize).ok_or_else(|| {
            format!("column `{}` is of type {}, and no values of it can be made up", field.name(), type_name(other))
        })?,
    })
}

/// A column without values, where it may be one.
pub(super) fn nothing(field: &Field, count: usize) -> Option<ArrayRef> {
    if field.is_nullable() {
        return Some(new_null_array(field.data_type(), count));
    }
    let one = cells::missing(field.data_type())?;
    concat(&vec![&*one; count.max(1)]).ok().map(|column| column.slice(0, count))
}

/// Numbers that look random and follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % bound
    }
}

fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
