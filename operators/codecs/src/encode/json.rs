//! `encode.json`: each row as one JSON object.

use crate::json;
use crate::value;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::{Float32Type, Float64Type};
use operators_core::chunk::Chunk;
use operators_core::config::OnError;
use operators_core::dead_letter::{self, Rejected};
use operators_core::error::{Problem, Result};
use operators_core::schema::Schema;
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
use operators_core::types::ColumnType;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Writes each row as one JSON object into `value`; nulls are left out.
///
/// Days are written `"2000-01-31"`, timestamps RFC 3339, bytes hexadecimal. JSON has no NaN and no infinity, so a row
/// that holds one is an error.
///
/// ```toml
/// [flow.encode.json]
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonConfig {
    /// What to do with a row that JSON cannot hold.
    #[serde(default)]
    pub on_error: OnError,
}

const STAGE: &str = "encode.json";

impl JsonConfig {
    pub(super) fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        let schema = value::append(input).map_err(|problem| vec![problem])?;
        let encoder = Encoder { schema: schema.clone(), on_error: self.on_error };
        let about = About { summary: "writes JSON objects".into(), fingerprint: vec![("columns", input.to_string())] };
        let dead_letters = self.on_error == OnError::DeadLetter;
        Ok(BuiltStage { stage: Arc::new(Json(Arc::new(encoder))), schema, partitions: None, dead_letters, about })
    }
}

#[derive(Clone)]
struct Json(Arc<Encoder>);

struct Encoder {
    /// The columns that come, and after them the messages.
    schema: Schema,
    on_error: OnError,
}

impl Stage for Json {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(self.clone())
    }
}

impl Apply for Json {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        let messages = json::objects(&chunk.rows)?;
        let encoded = value::with_messages(&chunk, &self.0.schema, messages)?;
        dead_letter::part(STAGE, self.0.on_error, encoded, not_finite(&self.0.schema, &chunk.rows), |indices| {
            json::objects(&compute::take_record_batch(&chunk.rows, indices)?)
        })
    }
}

/// The rows with a float that JSON has no number for.
fn not_finite(schema: &Schema, rows: &RecordBatch) -> Vec<Rejected> {
    let mut rejected = Vec::new();
    for (column, values) in schema.columns().iter().zip(rows.columns()) {
        let mut check = |row, value: Option<f64>| {
            if let Some(value) = value.filter(|value| !value.is_finite()) {
                let reason = format!("column `{}` is {value}, which JSON cannot hold", column.name);
                rejected.push(Rejected { row, reason });
            }
        };
        match column.column_type {
            ColumnType::Float32 => {
                let values = values.as_primitive::<Float32Type>().iter().map(|value| value.map(f64::from));
                values.enumerate().for_each(|(row, value)| check(row, value));
            }
            ColumnType::Float64 => {
                let values = values.as_primitive::<Float64Type>().iter();
                values.enumerate().for_each(|(row, value)| check(row, value));
            }
            ColumnType::Bool
            | ColumnType::Int32
            | ColumnType::Int64
            | ColumnType::UInt32
            | ColumnType::UInt64
            | ColumnType::String
            | ColumnType::Bytes
            | ColumnType::Date
            | ColumnType::Timestamp
            | ColumnType::Headers
            | ColumnType::Foreign(_) => {}
        }
    }
    rejected
}
