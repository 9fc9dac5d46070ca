//! `decode.protobuf`: wire format to Arrow columns, without a message in between.
//!
//! One pass over the bytes of each row finds its fields; numbers go to their columns at once, strings are gathered
//! afterwards, column by column. What counts as a well-formed message, and what its fields hold, is decided by prost's
//! own primitives.

use crate::protobuf::{Field, Message, Scalar};
use crate::value;
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, UInt32Array, UInt64Array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::SchemaRef;
use operators_core::chunk::Chunk;
use operators_core::config::{Context, OnError};
use operators_core::dead_letter::{self, Rejected};
use operators_core::error::{Problem, Result};
use operators_core::schema::Schema;
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
use prost::DecodeError;
use prost::encoding::{self as wire, DecodeContext, WireType};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Reads `value` as a Protocol Buffers message; gives one column per field, in the order of their declaration.
///
/// A field declared `optional` is null where the message lacks it; any other holds its default. Unknown fields are
/// passed over, an enum is its number. The message must be flat: nothing nested, repeated, or in a oneof.
///
/// ```toml
/// [flow.decode.protobuf]
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
    /// What to do with bytes that are no such message.
    #[serde(default)]
    pub on_error: OnError,
}

const STAGE: &str = "decode.protobuf";

impl ProtobufConfig {
    pub(super) fn build(&self, input: &Schema, context: &Context) -> Result<BuiltStage, Vec<Problem>> {
        let message = match (Message::load(context, &self.schema, &self.message), value::expect(input)) {
            (Ok(message), Ok(())) => message,
            (message, input) => return Err(message.err().into_iter().flatten().chain(input.err()).collect()),
        };
        let schema = Schema::new(message.fields.iter().map(Field::column).collect());
        let about = About {
            summary: format!("reads {} messages", message.name),
            fingerprint: vec![("fields", message.fingerprint())],
        };
        let decoder =
            Decoder { keys: Keys::new(&message), message, schema: Arc::clone(schema.arrow()), on_error: self.on_error };
        let dead_letters = self.on_error == OnError::DeadLetter;
        Ok(BuiltStage { stage: Arc::new(Protobuf(Arc::new(decoder))), schema, partitions: None, dead_letters, about })
    }
}

#[derive(Clone)]
struct Protobuf(Arc<Decoder>);

struct Decoder {
    message: Message,
    keys: Keys,
    schema: SchemaRef,
    on_error: OnError,
}

impl Stage for Protobuf {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(self.clone())
    }
}

impl Apply for Protobuf {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        let messages = value::messages(&chunk)?;
        let (rows, rejected) = self.0.decode(messages)?;
        dead_letter::part(STAGE, self.0.on_error, chunk.with_rows(rows), rejected, |indices| {
            value::take(messages, indices)
        })
    }
}

impl Decoder {
    /// A row for each message; what stands in a rejected one means nothing.
    fn decode(&self, messages: &BinaryArray) -> Result<(RecordBatch, Vec<Rejected>)> {
        let fields = &self.message.fields;
        let mut columns: Vec<_> =
            fields.iter().map(|field| Column::new(field.scalar, field.presence, messages.len())).collect();
        let mut rejected = Vec::new();
        for row in 0..messages.len() {
            if messages.is_null(row) {
                rejected.push(Rejected { row, reason: "the message has no bytes (a tombstone)".into() });
            } else if let Err((field, fault)) = self.read(messages.value(row), row, &mut columns) {
                rejected.push(Rejected { row, reason: self.reason(field, &fault) });
            }
        }
        let mut arrays = Vec::with_capacity(columns.len());
        for (index, column) in columns.into_iter().enumerate() {
            arrays.push(column.finish(|row| {
                rejected.push(Rejected { row, reason: self.reason(Some(index), &Fault::NotUtf8) });
            })?);
        }
        Ok((RecordBatch::try_new(Arc::clone(&self.schema), arrays)?, rejected))
    }

    /// Reads the fields of one message into their columns.
    fn read<'a>(
        &self,
        message: &'a [u8],
        row: usize,
        columns: &mut [Column<'a>],
    ) -> Result<(), (Option<usize>, Fault)> {
        let mut bytes = message;
        while let Some((&first, rest)) = bytes.split_first() {
            let column = match self.keys.short.get(usize::from(first)) {
                Some(&Some(column)) => {
                    bytes = rest;
                    column
                }
                _ => match self.long_key(&mut bytes)? {
                    Some(column) => column,
                    None => continue,
                },
            };
            columns[column].read(row, &mut bytes).map_err(|fault| (Some(column), fault))?;
        }
        Ok(())
    }

    /// Reads any key; an unknown field is passed over whole.
    fn long_key(&self, bytes: &mut &[u8]) -> Result<Option<usize>, (Option<usize>, Fault)> {
        let (number, wire_type) = wire::decode_key(bytes).map_err(|error| (None, error.into()))?;
        let column = self.keys.column(number);
        let outcome = match column {
            Some(column) => wire::check_wire_type(self.message.fields[column].scalar.wire_type(), wire_type),
            None => wire::skip_field(wire_type, number, bytes, DecodeContext::default()),
        };
        outcome.map(|()| column).map_err(|error| (column, error.into()))
    }

    fn reason(&self, field: Option<usize>, fault: &Fault) -> String {
        let name = &self.message.name;
        let fault = fault.to_string();
        let fault = fault.trim_start_matches("failed to decode Protobuf message: ");
        match field {
            Some(field) => format!("not a {name}: field `{}`: {fault}", self.message.fields[field].name),
            None => format!("not a {name}: {fault}"),
        }
    }
}

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Wire(#[from] DecodeError),
    #[error("the message ends within the field")]
    Cut,
    #[error("not UTF-8")]
    NotUtf8,
}

/// Which column holds a field, by the key before it on the wire.
struct Keys {
    /// By the key itself where that is one byte and its wire type is the field's: nearly always.
    short: [Option<usize>; 128],
    /// By number, ascending.
    numbers: Vec<(u32, usize)>,
}

impl Keys {
    fn new(message: &Message) -> Self {
        let mut short = [None; 128];
        let mut numbers = Vec::with_capacity(message.fields.len());
        for (column, field) in message.fields.iter().enumerate() {
            let mut key = Vec::new();
            wire::encode_key(field.number, field.scalar.wire_type(), &mut key);
            if let [key] = *key {
                short[usize::from(key)] = Some(column);
            }
            numbers.push((field.number, column));
        }
        numbers.sort_unstable();
        Self { short, numbers }
    }

    fn column(&self, number: u32) -> Option<usize> {
        let index = self.numbers.binary_search_by_key(&number, |&(number, _)| number).ok()?;
        Some(self.numbers[index].1)
    }
}

/// A column being filled: one slot per row, which holds the default until the message says otherwise.
struct Column<'a> {
    present: Option<Vec<bool>>,
    values: Values<'a>,
}

enum Values<'a> {
    Double(Vec<f64>),
    Float(Vec<f32>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Uint32(Vec<u32>),
    Uint64(Vec<u64>),
    Sint32(Vec<i32>),
    Sint64(Vec<i64>),
    Fixed32(Vec<u32>),
    Fixed64(Vec<u64>),
    Sfixed32(Vec<i32>),
    Sfixed64(Vec<i64>),
    Bool(Vec<bool>),
    String(Vec<&'a [u8]>),
    Bytes(Vec<&'a [u8]>),
}

impl<'a> Column<'a> {
    fn new(scalar: Scalar, presence: bool, rows: usize) -> Self {
        let values = match scalar {
            Scalar::Double => Values::Double(vec![0.0; rows]),
            Scalar::Float => Values::Float(vec![0.0; rows]),
            Scalar::Int32 => Values::Int32(vec![0; rows]),
            Scalar::Int64 => Values::Int64(vec![0; rows]),
            Scalar::Uint32 => Values::Uint32(vec![0; rows]),
            Scalar::Uint64 => Values::Uint64(vec![0; rows]),
            Scalar::Sint32 => Values::Sint32(vec![0; rows]),
            Scalar::Sint64 => Values::Sint64(vec![0; rows]),
            Scalar::Fixed32 => Values::Fixed32(vec![0; rows]),
            Scalar::Fixed64 => Values::Fixed64(vec![0; rows]),
            Scalar::Sfixed32 => Values::Sfixed32(vec![0; rows]),
            Scalar::Sfixed64 => Values::Sfixed64(vec![0; rows]),
            Scalar::Bool => Values::Bool(vec![false; rows]),
            Scalar::String => Values::String(vec![&[]; rows]),
            Scalar::Bytes => Values::Bytes(vec![&[]; rows]),
        };
        Self { present: presence.then(|| vec![false; rows]), values }
    }

    /// Reads the value at the front of `bytes`, which has the wire type of the field; the last of several in one
    /// message wins.
    fn read(&mut self, row: usize, bytes: &mut &'a [u8]) -> Result<(), Fault> {
        let limits = DecodeContext::default();
        match &mut self.values {
            Values::Double(values) => wire::double::merge(WireType::SixtyFourBit, &mut values[row], bytes, limits)?,
            Values::Float(values) => wire::float::merge(WireType::ThirtyTwoBit, &mut values[row], bytes, limits)?,
            Values::Int32(values) => wire::int32::merge(WireType::Varint, &mut values[row], bytes, limits)?,
            Values::Int64(values) => wire::int64::merge(WireType::Varint, &mut values[row], bytes, limits)?,
            Values::Uint32(values) => wire::uint32::merge(WireType::Varint, &mut values[row], bytes, limits)?,
            Values::Uint64(values) => wire::uint64::merge(WireType::Varint, &mut values[row], bytes, limits)?,
            Values::Sint32(values) => wire::sint32::merge(WireType::Varint, &mut values[row], bytes, limits)?,
            Values::Sint64(values) => wire::sint64::merge(WireType::Varint, &mut values[row], bytes, limits)?,
            Values::Fixed32(values) => wire::fixed32::merge(WireType::ThirtyTwoBit, &mut values[row], bytes, limits)?,
            Values::Fixed64(values) => wire::fixed64::merge(WireType::SixtyFourBit, &mut values[row], bytes, limits)?,
            Values::Sfixed32(values) => wire::sfixed32::merge(WireType::ThirtyTwoBit, &mut values[row], bytes, limits)?,
            Values::Sfixed64(values) => wire::sfixed64::merge(WireType::SixtyFourBit, &mut values[row], bytes, limits)?,
            Values::Bool(values) => wire::bool::merge(WireType::Varint, &mut values[row], bytes, limits)?,
            Values::String(values) => {
                let earlier = std::mem::replace(&mut values[row], delimited(bytes)?);
                // Only the last value is looked at when the column is finished, but none may be malformed.
                if !earlier.is_empty() && std::str::from_utf8(earlier).is_err() {
                    return Err(Fault::NotUtf8);
                }
            }
            Values::Bytes(values) => values[row] = delimited(bytes)?,
        }
        if let Some(present) = &mut self.present {
            present[row] = true;
        }
        Ok(())
    }

    /// The filled column; rows with text that is not UTF-8 are told to `reject`.
    fn finish(self, reject: impl FnMut(usize)) -> Result<ArrayRef> {
        let nulls = self.present.map(NullBuffer::from);
        Ok(match self.values {
            Values::Double(values) => Arc::new(Float64Array::try_new(values.into(), nulls)?),
            Values::Float(values) => Arc::new(Float32Array::try_new(values.into(), nulls)?),
            Values::Int32(values) | Values::Sint32(values) | Values::Sfixed32(values) => {
                Arc::new(Int32Array::try_new(values.into(), nulls)?)
            }
            Values::Int64(values) | Values::Sint64(values) | Values::Sfixed64(values) => {
                Arc::new(Int64Array::try_new(values.into(), nulls)?)
            }
            Values::Uint32(values) | Values::Fixed32(values) => Arc::new(UInt32Array::try_new(values.into(), nulls)?),
            Values::Uint64(values) | Values::Fixed64(values) => Arc::new(UInt64Array::try_new(values.into(), nulls)?),
            Values::Bool(values) => Arc::new(BooleanArray::new(values.into(), nulls)),
            Values::String(values) => Arc::new(text(values, nulls, reject)?),
            Values::Bytes(values) => {
                let (offsets, bytes) = gather(&values);
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
        })
    }
}

/// The bytes of a string or bytes field at the front of `bytes`.
fn delimited<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let length = match bytes.split_first() {
        Some((&length, rest)) if length < 0x80 => {
            *bytes = rest;
            usize::from(length)
        }
        _ => usize::try_from(wire::decode_varint(bytes)?).map_err(|_| Fault::Cut)?,
    };
    let (value, rest) = bytes.split_at_checked(length).ok_or(Fault::Cut)?;
    *bytes = rest;
    Ok(value)
}

/// A column of text, checked as a whole, and row by row only where that fails.
fn text(mut values: Vec<&[u8]>, nulls: Option<NullBuffer>, mut reject: impl FnMut(usize)) -> Result<StringArray> {
    let (offsets, bytes) = gather(&values);
    if let Ok(text) = StringArray::try_new(offsets, bytes, nulls.clone()) {
        return Ok(text);
    }
    for (row, value) in values.iter_mut().enumerate() {
        if std::str::from_utf8(value).is_err() {
            reject(row);
            *value = &[];
        }
    }
    let (offsets, bytes) = gather(&values);
    Ok(StringArray::try_new(offsets, bytes, nulls)?)
}

/// All values behind one another. They are distinct parts of one column of bytes, so their offsets fit again.
fn gather(values: &[&[u8]]) -> (OffsetBuffer<i32>, Buffer) {
    let offsets = OffsetBuffer::<i32>::from_lengths(values.iter().map(|value| value.len()));
    let mut bytes = Vec::with_capacity(offsets.last() as usize);
    for value in values {
        bytes.extend_from_slice(value);
    }
    (offsets, Buffer::from_vec(bytes))
}
