//! `decode.json`: one JSON object per message to Arrow columns.

mod exact;

use crate::value;
use arrow::array::{Array, BinaryArray, RecordBatch};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::DecoderFactory;
use operators_core::chunk::Chunk;
use operators_core::config::OnError;
use operators_core::dead_letter::{self, Rejected};
use operators_core::error::{Problem, Result};
use operators_core::schema::{Column, Schema};
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
use operators_core::types::DeclaredType;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Reads `value` as one JSON object; gives the columns named here, null where the object lacks them.
///
/// Days are `"2000-01-31"`, timestamps RFC 3339 or a number of microseconds, bytes hexadecimal; a number may stand in
/// quotes. A value that its column cannot hold exactly is an error; keys that are no columns are passed over.
///
/// ```toml
/// [flow.decode.json]
/// columns = { station_id = "string", date = "string", degrees = "float64" }
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonConfig {
    /// The columns to read and their types.
    pub columns: BTreeMap<String, DeclaredType>,
    /// What to do with bytes that are no such object.
    #[serde(default)]
    pub on_error: OnError,
}

const STAGE: &str = "decode.json";

impl JsonConfig {
    pub(super) fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        let mut problems: Vec<_> = value::expect(input).err().into_iter().collect();
        if self.columns.is_empty() {
            problems.push(
                Problem::at("columns", "no column is named, so the rows would be empty")
                    .help("columns = { station_id = \"string\", degrees = \"float64\" }"),
            );
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let columns = self.columns.iter();
        let schema = Schema::new(columns.map(|(name, declared)| Column::new(name, *declared, true)).collect());
        let about = About { summary: "reads JSON objects".into(), fingerprint: vec![("columns", schema.to_string())] };
        let exact = Arc::new(exact::Exact::new(&schema));
        let decoder = Decoder { schema: schema.clone(), exact, on_error: self.on_error };
        let dead_letters = self.on_error == OnError::DeadLetter;
        Ok(BuiltStage { stage: Arc::new(Json(Arc::new(decoder))), schema, partitions: None, dead_letters, about })
    }
}

#[derive(Clone)]
struct Json(Arc<Decoder>);

struct Decoder {
    schema: Schema,
    exact: Arc<exact::Exact>,
    on_error: OnError,
}

impl Stage for Json {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(self.clone())
    }
}

impl Apply for Json {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        let messages = value::messages(&chunk)?;
        let (rows, rejected) = self.0.decode(messages)?;
        dead_letter::part(STAGE, self.0.on_error, chunk.with_rows(rows), rejected, |indices| {
            value::take(messages, indices)
        })
    }
}

/// Stands for a rejected message, so that rows and messages stay side by side.
const NOTHING: &[u8] = b"{}";

impl Decoder {
    /// A row for each message; that of a rejected one is all nulls.
    fn decode(&self, messages: &BinaryArray) -> Result<(RecordBatch, Vec<Rejected>)> {
        let mut rejected = Vec::new();
        let mut objects = Vec::with_capacity(messages.len());
        for (row, message) in messages.iter().enumerate() {
            objects.push(object(message).unwrap_or_else(|reason| {
                rejected.push(Rejected { row, reason });
                NOTHING
            }));
        }
        if let Ok(rows) = self.rows(&objects) {
            return Ok((rows, rejected));
        }
        for (row, object) in objects.iter_mut().enumerate() {
            if let Err(error) = self.rows(&[*object]) {
                rejected.push(Rejected { row, reason: error.to_string() });
                *object = NOTHING;
            }
        }
        Ok((self.rows(&objects)?, rejected))
    }

    /// A row for each object, or an error when any has a value that does not fit its column.
    fn rows(&self, objects: &[&[u8]]) -> Result<RecordBatch, ArrowError> {
        let exact: Arc<dyn DecoderFactory> = self.exact.clone();
        let mut decoder = ReaderBuilder::new(Arc::clone(self.schema.arrow()))
            .with_batch_size(objects.len())
            .with_decoder_factory(exact)
            .build_decoder()?;
        for object in objects {
            decoder.decode(object)?;
        }
        let rows = decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(self.schema.arrow())));
        if rows.num_rows() == objects.len() {
            Ok(rows)
        } else {
            Err(ArrowError::JsonError(format!("{} objects gave {} rows", objects.len(), rows.num_rows())))
        }
    }
}

/// Checks that a message is one JSON object and nothing else: Arrow's reader takes any stream of values, with commas
/// or without.
fn object(message: Option<&[u8]>) -> Result<&[u8], String> {
    let message = message.ok_or("the message has no bytes (a tombstone)")?;
    match serde_json::from_slice(message) {
        Ok(OneObject) => Ok(message),
        Err(error) => Err(format!("not one JSON object: {error}")),
    }
}

/// Any JSON object, read for its form alone.
struct OneObject;

impl<'de> Deserialize<'de> for OneObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = OneObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OneObject, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(OneObject)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
