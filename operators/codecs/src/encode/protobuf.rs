//! `encode.protobuf`: Arrow columns to wire format, all messages of a chunk in one buffer.

use crate::json;
use crate::protobuf::{Field, Message, Scalar};
use crate::value;
use arrow::array::{Array, AsArray, BinaryArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute;
use arrow::datatypes::{Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use operators_core::chunk::Chunk;
use operators_core::config::{Context, OnError};
use operators_core::dead_letter::{self, Rejected};
use operators_core::error::{Error, Problem, Result};
use operators_core::schema::Schema;
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
use prost::encoding::{self as wire, WireType};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Writes one Protocol Buffers message per row into `value`; columns and fields match by name.
///
/// Every field needs a column of its own type; columns that are no fields stay beside the message. A null leaves an
/// `optional` field unset, and is an error in any other.
///
/// ```toml
/// [flow.encode.protobuf]
/// schema = "../proto/report.proto"
/// message = "weather.Report"
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtobufConfig {
    /// The `.proto` file.
    pub schema: String,
    /// Full name of the message: `weather.Report`.
    pub message: String,
    /// What to do with a row that the message cannot hold.
    #[serde(default)]
    pub on_error: OnError,
}

const STAGE: &str = "encode.protobuf";

impl ProtobufConfig {
    pub(super) fn build(&self, input: &Schema, context: &Context) -> Result<BuiltStage, Vec<Problem>> {
        let output = value::append(input);
        let message = Message::load(context, &self.schema, &self.message).and_then(|message| {
            let problems: Vec<_> = message.fields.iter().filter_map(|field| unfit(field, &message, input)).collect();
            if problems.is_empty() { Ok(message) } else { Err(problems) }
        });
        let (mut message, schema) = match (message, output) {
            (Ok(message), Ok(schema)) => (message, schema),
            (message, output) => return Err(message.err().into_iter().flatten().chain(output.err()).collect()),
        };
        let about = About {
            summary: format!("writes {} messages", message.name),
            fingerprint: vec![("fields", message.fingerprint())],
        };
        // Fields go out in the order of their numbers, as every other writer of the format has them.
        message.fields.sort_by_key(|field| field.number);
        let encoder = Encoder { message, schema: schema.clone(), on_error: self.on_error };
        Ok(BuiltStage {
            stage: Arc::new(Protobuf { encoder: Arc::new(encoder), length: 0 }),
            schema,
            partitions: None,
            dead_letters: self.on_error == OnError::DeadLetter,
            about,
        })
    }
}

/// Why the input cannot fill a field.
fn unfit(field: &Field, message: &Message, input: &Schema) -> Option<Problem> {
    let wanted = field.scalar.column_type();
    let name = &field.name;
    let Some(column) = input.column(name) else {
        let problem = format!("field `{name}` of `{}` has no column; the input has {}", message.name, input.names());
        return Some(Problem::at("message", problem).help("give it one before, or take the field out of the message"));
    };
    if column.column_type == wanted {
        return None;
    }
    let problem = format!(
        "field `{name}` of `{}` is {} and needs a column of {wanted}, but column `{name}` is {}",
        message.name,
        field.scalar.name(),
        column.column_type,
    );
    Some(Problem::at("message", problem).help("cast it before, with transform.cast, or change the field's type"))
}

#[derive(Clone)]
struct Protobuf {
    encoder: Arc<Encoder>,
    /// Length of the last chunk's messages, which is about that of the next.
    length: usize,
}

struct Encoder {
    /// Its fields in the order of their numbers.
    message: Message,
    schema: Schema,
    on_error: OnError,
}

impl Stage for Protobuf {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(self.clone())
    }
}

impl Apply for Protobuf {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        let (messages, rejected) = self.encoder.encode(&chunk.rows, self.length)?;
        self.length = messages.value_data().len();
        let encoded = value::with_messages(&chunk, &self.encoder.schema, messages)?;
        dead_letter::part(STAGE, self.encoder.on_error, encoded, rejected, |indices| {
            json::objects(&compute::take_record_batch(&chunk.rows, indices)?)
        })
    }
}

impl Encoder {
    /// A message for each row, `length` bytes in all or so; those of rejected rows lack what could not be written.
    fn encode(&self, rows: &RecordBatch, length: usize) -> Result<(BinaryArray, Vec<Rejected>)> {
        let fields = self.message.fields.iter();
        let columns: Vec<_> = fields.map(|field| Column::new(field, rows)).collect::<Result<_>>()?;
        let mut bytes = Vec::with_capacity(length);
        let mut offsets = Vec::with_capacity(rows.num_rows() + 1);
        offsets.push(0);
        for row in 0..rows.num_rows() {
            for column in &columns {
                column.write(row, &mut bytes);
            }
            offsets.push(offset(bytes.len())?);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let messages = BinaryArray::try_new(offsets, Buffer::from_vec(bytes), None)?;
        let mut rejected = Vec::new();
        for column in columns.iter().filter(|column| !column.field.presence) {
            let nulls = column.nulls.iter().flat_map(|nulls| (!nulls.inner()).set_indices().collect::<Vec<_>>());
            let reason = || format!("field `{}` of {} cannot be null", column.field.name, self.message.name);
            rejected.extend(nulls.map(|row| Rejected { row, reason: reason() }));
        }
        Ok((messages, rejected))
    }
}

fn offset(length: usize) -> Result<i32> {
    i32::try_from(length).map_err(|_| Error::Other("the messages of one chunk are over 2 GiB".into()))
}

/// A field and the column it is written from.
struct Column<'a> {
    field: &'a Field,
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Double(&'a [f64]),
    Float(&'a [f32]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Uint32(&'a [u32]),
    Uint64(&'a [u64]),
    Sint32(&'a [i32]),
    Sint64(&'a [i64]),
    Fixed32(&'a [u32]),
    Fixed64(&'a [u64]),
    Sfixed32(&'a [i32]),
    Sfixed64(&'a [i64]),
    Bool(&'a BooleanArray),
    String(&'a StringArray),
    Bytes(&'a BinaryArray),
}

impl<'a> Column<'a> {
    fn new(field: &'a Field, rows: &'a RecordBatch) -> Result<Self> {
        let missing = || Error::Other(format!("a chunk came without the column of field `{}`", field.name));
        let wanted = field.scalar.column_type().arrow();
        let column = rows.column_by_name(&field.name).filter(|column| *column.data_type() == wanted);
        let column = column.ok_or_else(missing)?;
        let values = match field.scalar {
            Scalar::Double => Values::Double(column.as_primitive::<Float64Type>().values()),
            Scalar::Float => Values::Float(column.as_primitive::<Float32Type>().values()),
            Scalar::Int32 => Values::Int32(column.as_primitive::<Int32Type>().values()),
            Scalar::Int64 => Values::Int64(column.as_primitive::<Int64Type>().values()),
            Scalar::Uint32 => Values::Uint32(column.as_primitive::<UInt32Type>().values()),
            Scalar::Uint64 => Values::Uint64(column.as_primitive::<UInt64Type>().values()),
            Scalar::Sint32 => Values::Sint32(column.as_primitive::<Int32Type>().values()),
            Scalar::Sint64 => Values::Sint64(column.as_primitive::<Int64Type>().values()),
            Scalar::Fixed32 => Values::Fixed32(column.as_primitive::<UInt32Type>().values()),
            Scalar::Fixed64 => Values::Fixed64(column.as_primitive::<UInt64Type>().values()),
            Scalar::Sfixed32 => Values::Sfixed32(column.as_primitive::<Int32Type>().values()),
            Scalar::Sfixed64 => Values::Sfixed64(column.as_primitive::<Int64Type>().values()),
            Scalar::Bool => Values::Bool(column.as_boolean()),
            Scalar::String => Values::String(column.as_string()),
            Scalar::Bytes => Values::Bytes(column.as_binary()),
        };
        Ok(Self { field, nulls: column.nulls(), values })
    }

    /// Appends the field of one row: not at all when it is null, or the default of a field without presence.
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let null = self.nulls.is_some_and(|nulls| nulls.is_null(row));
        if null || (!self.field.presence && self.is_default(row)) {
            return;
        }
        let number = self.field.number;
        match &self.values {
            Values::Double(values) => wire::double::encode(number, &values[row], out),
            Values::Float(values) => wire::float::encode(number, &values[row], out),
            Values::Int32(values) => wire::int32::encode(number, &values[row], out),
            Values::Int64(values) => wire::int64::encode(number, &values[row], out),
            Values::Uint32(values) => wire::uint32::encode(number, &values[row], out),
            Values::Uint64(values) => wire::uint64::encode(number, &values[row], out),
            Values::Sint32(values) => wire::sint32::encode(number, &values[row], out),
            Values::Sint64(values) => wire::sint64::encode(number, &values[row], out),
            Values::Fixed32(values) => wire::fixed32::encode(number, &values[row], out),
            Values::Fixed64(values) => wire::fixed64::encode(number, &values[row], out),
            Values::Sfixed32(values) => wire::sfixed32::encode(number, &values[row], out),
            Values::Sfixed64(values) => wire::sfixed64::encode(number, &values[row], out),
            Values::Bool(values) => wire::bool::encode(number, &values.value(row), out),
            Values::String(values) => delimited(number, values.value(row).as_bytes(), out),
            Values::Bytes(values) => delimited(number, values.value(row), out),
        }
    }

    fn is_default(&self, row: usize) -> bool {
        match &self.values {
            // By their bits: -0.0 is not the default, and a reader would not get its sign back.
            Values::Double(values) => values[row].to_bits() == 0,
            Values::Float(values) => values[row].to_bits() == 0,
            Values::Int32(values) | Values::Sint32(values) | Values::Sfixed32(values) => values[row] == 0,
            Values::Int64(values) | Values::Sint64(values) | Values::Sfixed64(values) => values[row] == 0,
            Values::Uint32(values) | Values::Fixed32(values) => values[row] == 0,
            Values::Uint64(values) | Values::Fixed64(values) => values[row] == 0,
            Values::Bool(values) => !values.value(row),
            Values::String(values) => values.value(row).is_empty(),
            Values::Bytes(values) => values.value(row).is_empty(),
        }
    }
}

/// Appends a string or bytes field.
fn delimited(number: u32, value: &[u8], out: &mut Vec<u8>) {
    wire::encode_key(number, WireType::LengthDelimited, out);
    wire::encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}
