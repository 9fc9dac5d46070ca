//! The types of columns: a closed list. Code that decides about a type matches on [`ColumnType`] (or on its
//! [`Family`]) and names every variant, so that the compiler reports each place that a new type concerns.
//!
//! Arrow's `DataType` is made here, and a schema from elsewhere (a Parquet file, Arrow IPC) is converted here, once.

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// UTC by its offset: Arrow knows names of zones only with a database of them built in.
const UTC: &str = "+00:00";

/// The type of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// true or false
    Bool,
    /// 32-bit integer
    Int32,
    /// 64-bit integer
    Int64,
    /// 32-bit integer without sign
    UInt32,
    /// 64-bit integer without sign
    UInt64,
    /// 32-bit floating point
    Float32,
    /// 64-bit floating point
    Float64,
    /// UTF-8 text
    String,
    /// raw bytes
    Bytes,
    /// a day without time and zone
    Date,
    /// microseconds since 1970-01-01 UTC
    Timestamp,
    /// the headers of a message in their order: a list of `name` (string) and `value` (bytes that may be null)
    Headers,
    /// a type that no stage gives: only Parquet files of others have it, to be shown and filtered
    Foreign(ForeignType),
}

/// A type that only files of others have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignType {
    arrow: DataType,
    family: Family,
}

/// What the values of a type are, where all types of a family are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// true or false
    Bool,
    /// whole numbers
    Integer,
    /// numbers with a fraction
    Real,
    /// UTF-8 text
    Text,
    /// raw bytes
    Bytes,
    /// days, and points of time
    Time,
    /// anything else, such as lists
    Other,
}

impl ForeignType {
    /// The type as Arrow names it.
    pub fn arrow(&self) -> &DataType {
        &self.arrow
    }

    /// The family it belongs to.
    pub fn family(&self) -> Family {
        self.family
    }
}

impl ColumnType {
    /// The Arrow type that holds it.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::String => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::Headers => DataType::List(header()),
            Self::Foreign(foreign) => foreign.arrow.clone(),
        }
    }

    /// The type of a column in a schema from elsewhere; its [`arrow`](Self::arrow) is the very type given.
    pub fn from_arrow(data_type: &DataType) -> Self {
        let foreign = |family| Self::Foreign(ForeignType { arrow: data_type.clone(), family });
        match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::UInt32 => Self::UInt32,
            DataType::UInt64 => Self::UInt64,
            DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Utf8 => Self::String,
            DataType::Binary => Self::Bytes,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if **zone == *UTC => Self::Timestamp,
            DataType::Timestamp(_, _) => foreign(Family::Time),
            DataType::List(item) if *item == header() => Self::Headers,
            DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => foreign(Family::Integer),
            DataType::Float16
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => foreign(Family::Real),
            DataType::Null
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Duration(_)
            | DataType::Interval(_)
            | DataType::FixedSizeBinary(_)
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::List(_)
            | DataType::ListView(_)
            | DataType::FixedSizeList(..)
            | DataType::LargeList(_)
            | DataType::LargeListView(_)
            | DataType::Struct(_)
            | DataType::Union(..)
            | DataType::Dictionary(..)
            | DataType::Map(..)
            | DataType::RunEndEncoded(..) => foreign(Family::Other),
        }
    }

    /// The family it belongs to. Of these types `String` alone is text, and `Bytes` alone is bytes.
    pub fn family(&self) -> Family {
        match self {
            Self::Bool => Family::Bool,
            Self::Int32 | Self::Int64 | Self::UInt32 | Self::UInt64 => Family::Integer,
            Self::Float32 | Self::Float64 => Family::Real,
            Self::String => Family::Text,
            Self::Bytes => Family::Bytes,
            Self::Date | Self::Timestamp => Family::Time,
            Self::Headers => Family::Other,
            Self::Foreign(foreign) => foreign.family,
        }
    }
}

/// The parts of one header.
pub fn header_fields() -> Fields {
    vec![Field::new("name", DataType::Utf8, false), Field::new("value", DataType::Binary, true)].into()
}

/// The items of a column of [headers](ColumnType::Headers).
pub fn header() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(header_fields()), false))
}

impl fmt::Display for ColumnType {
    /// As pipeline files and errors spell it: `string`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int32 => f.write_str("int32"),
            Self::Int64 => f.write_str("int64"),
            Self::UInt32 => f.write_str("uint32"),
            Self::UInt64 => f.write_str("uint64"),
            Self::Float32 => f.write_str("float32"),
            Self::Float64 => f.write_str("float64"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Headers => f.write_str(&self.arrow().to_string().to_lowercase()),
            Self::Foreign(foreign) => match foreign.family {
                Family::Time => f.write_str("timestamp"),
                Family::Bool | Family::Integer | Family::Real | Family::Text | Family::Bytes | Family::Other => {
                    f.write_str(&foreign.arrow.to_string().to_lowercase())
                }
            },
        }
    }
}

impl Serialize for ColumnType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The type of a column, as pipeline files spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ColumnType")]
pub enum DeclaredType {
    /// true or false
    Bool,
    /// 32-bit integer
    Int32,
    /// 64-bit integer
    Int64,
    /// 32-bit floating point
    Float32,
    /// 64-bit floating point
    Float64,
    /// UTF-8 text
    String,
    /// raw bytes
    Bytes,
    /// a day without time and zone
    Date,
    /// microseconds since 1970-01-01 UTC
    Timestamp,
}

impl DeclaredType {
    /// The type to declare for reading what was written from a column of a type; `None` where there is none.
    pub fn for_reading(written: &ColumnType) -> Option<Self> {
        match written {
            ColumnType::Bool => Some(Self::Bool),
            ColumnType::Int32 => Some(Self::Int32),
            ColumnType::Int64 | ColumnType::UInt32 | ColumnType::UInt64 => Some(Self::Int64),
            ColumnType::Float32 => Some(Self::Float32),
            ColumnType::Float64 => Some(Self::Float64),
            ColumnType::String => Some(Self::String),
            ColumnType::Bytes => Some(Self::Bytes),
            ColumnType::Date => Some(Self::Date),
            ColumnType::Timestamp => Some(Self::Timestamp),
            ColumnType::Headers | ColumnType::Foreign(_) => None,
        }
    }
}

impl From<DeclaredType> for ColumnType {
    fn from(declared: DeclaredType) -> Self {
        match declared {
            DeclaredType::Bool => Self::Bool,
            DeclaredType::Int32 => Self::Int32,
            DeclaredType::Int64 => Self::Int64,
            DeclaredType::Float32 => Self::Float32,
            DeclaredType::Float64 => Self::Float64,
            DeclaredType::String => Self::String,
            DeclaredType::Bytes => Self::Bytes,
            DeclaredType::Date => Self::Date,
            DeclaredType::Timestamp => Self::Timestamp,
        }
    }
}

impl fmt::Display for DeclaredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ColumnType::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests;
