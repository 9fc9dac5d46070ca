//! Values of the types that only Parquet files of others have, and of the parts of nested ones.

use super::value::{Value, number, object, of_bytes, other, time};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Int8Type, Int16Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
};
use operators_core::schema::{Column, Schema};
use operators_core::types::ColumnType;
use serde::ser::Serializer;

/// A value that is not null.
pub(super) fn value<S: Serializer>(
    data_type: &DataType,
    array: &dyn Array,
    row: usize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match data_type {
        DataType::Null => serializer.serialize_none(),
        DataType::Int8 => serializer.serialize_i8(number::<Int8Type>(array, row)),
        DataType::Int16 => serializer.serialize_i16(number::<Int16Type>(array, row)),
        DataType::UInt8 => serializer.serialize_u8(number::<UInt8Type>(array, row)),
        DataType::UInt16 => serializer.serialize_u16(number::<UInt16Type>(array, row)),
        DataType::LargeUtf8 => serializer.serialize_str(array.as_string::<i64>().value(row)),
        DataType::Utf8View => serializer.serialize_str(array.as_string_view().value(row)),
        DataType::LargeBinary => serializer.serialize_str(&of_bytes(array.as_binary::<i64>().value(row))),
        DataType::BinaryView => serializer.serialize_str(&of_bytes(array.as_binary_view().value(row))),
        DataType::FixedSizeBinary(_) => serializer.serialize_str(&of_bytes(array.as_fixed_size_binary().value(row))),
        DataType::Timestamp(unit, zone) => {
            let time = match unit {
                TimeUnit::Second => time::<TimestampSecondType>(array, row, zone.is_some()),
                TimeUnit::Millisecond => time::<TimestampMillisecondType>(array, row, zone.is_some()),
                TimeUnit::Microsecond => time::<TimestampMicrosecondType>(array, row, zone.is_some()),
                TimeUnit::Nanosecond => time::<TimestampNanosecondType>(array, row, zone.is_some()),
            };
            match time {
                Some(time) => serializer.serialize_str(&time),
                None => other(array, row, serializer),
            }
        }
        DataType::List(_) => list(&*array.as_list::<i32>().value(row), serializer),
        DataType::LargeList(_) => list(&*array.as_list::<i64>().value(row), serializer),
        DataType::FixedSizeList(_, _) => list(&*array.as_fixed_size_list().value(row), serializer),
        DataType::Map(_, _) => list(&array.as_map().value(row), serializer),
        DataType::Struct(fields) => {
            let parts = Schema::from_arrow(arrow::datatypes::Schema::new(fields.clone()));
            let parts = parts.columns().iter().zip(array.as_struct().columns());
            let part = |(part, array)| -> (&str, &ColumnType, &dyn Array) {
                let (Column { name, column_type, .. }, array): (&Column, &arrow::array::ArrayRef) = (part, array);
                (name, column_type, &**array)
            };
            object(parts.map(part), row, serializer)
        }
        DataType::Float16
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::Union(..)
        | DataType::Dictionary(..)
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::RunEndEncoded(..) => other(array, row, serializer),
        // Types of this program's own, which are shown as such.
        DataType::Boolean
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Binary
        | DataType::Utf8 => other(array, row, serializer),
    }
}

/// The items of one list.
pub(super) fn list<S: Serializer>(items: &dyn Array, serializer: S) -> Result<S::Ok, S::Error> {
    let column_type = &ColumnType::from_arrow(items.data_type());
    serializer.collect_seq((0..items.len()).map(|row| Value { column_type, array: items, row }))
}
