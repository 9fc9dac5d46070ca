//! A message as both directions see it: a list of scalar fields, each of which is a column.

use operators_core::error::Problem;
use operators_core::schema::Column;
use operators_core::types::ColumnType;
use prost::encoding::WireType;
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};

/// A message whose fields are all scalar.
#[derive(Debug)]
pub(crate) struct Message {
    /// Full name.
    pub(crate) name: String,
    /// In the order of their declaration; never empty.
    pub(crate) fields: Vec<Field>,
}

/// A field of a message, which is a column of the same name.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) scalar: Scalar,
    /// Whether the message tells a field that is not set from one that holds its default.
    pub(crate) presence: bool,
}

/// How a value is written on the wire, and the type it has; an enum is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
}

impl Message {
    /// Checks that every field can be a column; each that cannot is a problem of its own.
    pub(super) fn plan(descriptor: &MessageDescriptor) -> Result<Self, Vec<Problem>> {
        let name = descriptor.full_name().to_owned();
        let declared = &descriptor.descriptor_proto().field;
        let declared = declared.iter().filter_map(|field| descriptor.get_field_by_name(field.name()));
        let mut fields = Vec::new();
        let mut problems = Vec::new();
        for field in declared {
            match Field::plan(&field) {
                Ok(field) => fields.push(field),
                Err((what, help)) => {
                    let message = format!("field `{}` of `{name}` is {what}, which cannot be a column", field.name());
                    problems.push(Problem::at("message", message).help(help));
                }
            }
        }
        if fields.is_empty() && problems.is_empty() {
            let problem = Problem::at("message", format!("`{name}` has no fields, so its rows would have no columns"));
            problems.push(problem.help("name a message that has fields"));
        }
        if problems.is_empty() { Ok(Self { name, fields }) } else { Err(problems) }
    }

    /// What gives stored rows their meaning: `1 date string, 2 degrees double?`, where `?` marks presence.
    pub(crate) fn fingerprint(&self) -> String {
        let fields = self.fields.iter().map(|field| {
            let mark = if field.presence { "?" } else { "" };
            format!("{} {} {}{mark}", field.number, field.name, field.scalar.name())
        });
        fields.collect::<Vec<_>>().join(", ")
    }
}

impl Field {
    /// What the field is and what would help, when it cannot be a column.
    fn plan(field: &FieldDescriptor) -> Result<Self, (&'static str, &'static str)> {
        const FLAT: &str = "use a message whose fields are scalars or enums, each at most once";
        if field.is_map() {
            return Err(("a map", FLAT));
        }
        if field.is_list() {
            return Err(("repeated", FLAT));
        }
        if field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) {
            return Err(("part of a oneof", "declare its fields `optional`, outside of the oneof"));
        }
        if field.cardinality() == Cardinality::Required {
            return Err(("required", "declare it `optional`"));
        }
        let scalar = match field.kind() {
            Kind::Message(_) if field.is_group() => return Err(("a group", FLAT)),
            Kind::Message(_) => return Err(("a message", FLAT)),
            Kind::Double => Scalar::Double,
            Kind::Float => Scalar::Float,
            Kind::Int32 | Kind::Enum(_) => Scalar::Int32,
            Kind::Int64 => Scalar::Int64,
            Kind::Uint32 => Scalar::Uint32,
            Kind::Uint64 => Scalar::Uint64,
            Kind::Sint32 => Scalar::Sint32,
            Kind::Sint64 => Scalar::Sint64,
            Kind::Fixed32 => Scalar::Fixed32,
            Kind::Fixed64 => Scalar::Fixed64,
            Kind::Sfixed32 => Scalar::Sfixed32,
            Kind::Sfixed64 => Scalar::Sfixed64,
            Kind::Bool => Scalar::Bool,
            Kind::String => Scalar::String,
            Kind::Bytes => Scalar::Bytes,
        };
        let name = field.name().to_owned();
        Ok(Self { name, number: field.number(), scalar, presence: field.supports_presence() })
    }

    /// The column that holds the field.
    pub(crate) fn column(&self) -> Column {
        Column::new(&self.name, self.scalar.column_type(), self.presence)
    }
}

impl Scalar {
    /// The type that holds every value, and nothing else.
    pub(crate) fn column_type(self) -> ColumnType {
        match self {
            Self::Double => ColumnType::Float64,
            Self::Float => ColumnType::Float32,
            Self::Int32 | Self::Sint32 | Self::Sfixed32 => ColumnType::Int32,
            Self::Int64 | Self::Sint64 | Self::Sfixed64 => ColumnType::Int64,
            Self::Uint32 | Self::Fixed32 => ColumnType::UInt32,
            Self::Uint64 | Self::Fixed64 => ColumnType::UInt64,
            Self::Bool => ColumnType::Bool,
            Self::String => ColumnType::String,
            Self::Bytes => ColumnType::Bytes,
        }
    }

    /// How the wire tells where a value of it ends.
    pub(crate) fn wire_type(self) -> WireType {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::SixtyFourBit,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => WireType::ThirtyTwoBit,
            Self::Int32 | Self::Int64 | Self::Uint32 | Self::Uint64 => WireType::Varint,
            Self::Sint32 | Self::Sint64 | Self::Bool => WireType::Varint,
            Self::String | Self::Bytes => WireType::LengthDelimited,
        }
    }

    /// As schema files spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::Float => "float",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Sint32 => "sint32",
            Self::Sint64 => "sint64",
            Self::Fixed32 => "fixed32",
            Self::Fixed64 => "fixed64",
            Self::Sfixed32 => "sfixed32",
            Self::Sfixed64 => "sfixed64",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Bytes => "bytes",
        }
    }
}
