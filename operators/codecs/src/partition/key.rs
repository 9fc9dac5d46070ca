//! `partition.key`: rows with equal keys go to one partition.

use super::split::{self, Turns};
use crate::murmur2;
use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch};
use arrow::compute;
use operators_core::chunk::Chunk;
use operators_core::error::{Problem, Result};
use operators_core::message::{is_key, is_message};
use operators_core::schema::{Column, Schema};
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
use operators_core::types::ColumnType;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// The column a row's key travels in, as the sources and sinks of topics name it.
const KEY: &str = "key";

/// Spreads rows by the hash of a column, as Kafka's own clients do, and adds that column's bytes as `key`.
///
/// Rows whose key is null take turns, as they do in Kafka's own clients; their `key` stays null.
///
/// ```toml
/// [flow.partition.key]
/// column = "station_id"
/// partitions = 4
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The column whose value is the key: string or bytes.
    pub column: String,
    /// Number of partitions.
    pub partitions: u32,
}

impl KeyConfig {
    pub(super) fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        let column = self.check_column(input);
        let (column, schema) = match (column, split::check(self.partitions)) {
            (Ok(column), None) => column,
            (column, partitions) => return Err(column.err().into_iter().chain(partitions).collect()),
        };
        Ok(BuiltStage {
            stage: Arc::new(Key { column, schema: schema.clone(), partitions: self.partitions }),
            schema,
            partitions: Some(self.partitions),
            dead_letters: false,
            about: About {
                summary: format!("by the hash of {} over {} partitions", self.column, self.partitions),
                fingerprint: vec![("column", self.column.clone()), ("partitions", self.partitions.to_string())],
            },
        })
    }

    /// The index of the column and the schema that goes on.
    fn check_column(&self, input: &Schema) -> Result<(usize, Schema), Problem> {
        let index = input.index_of(&self.column, &["column"])?;
        let column = &input.columns()[index];
        if !is_key(&column.column_type) {
            let is = &column.column_type;
            return Err(Problem::at("column", format!("a key is string or bytes, and `{}` is {is}", self.column))
                .help(format!("before this stage: transform.cast with columns = {{ {} = \"string\" }}", self.column)));
        }
        if self.column == KEY && is_message(&column.column_type) {
            return Ok((index, input.clone()));
        }
        if input.column(KEY).is_some() {
            return Err(Problem::at("column", format!("the bytes of `{}` go on as `key`, a name taken", self.column))
                .help("rename or leave out the column `key` with transform.select, or make it bytes and use it here"));
        }
        let mut columns = input.columns().to_vec();
        columns.push(Column::new(KEY, ColumnType::Bytes, column.nullable));
        Ok((index, Schema::new(columns)))
    }
}

struct Key {
    column: usize,
    schema: Schema,
    partitions: u32,
}

impl Stage for Key {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(Handle {
            column: self.column,
            schema: self.schema.clone(),
            partitions: self.partitions,
            turns: Turns::new(self.partitions),
        })
    }
}

struct Handle {
    column: usize,
    schema: Schema,
    partitions: u32,
    turns: Turns,
}

impl Apply for Handle {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        let keys: ArrayRef = compute::cast(chunk.rows.column(self.column), &ColumnType::Bytes.arrow())?;
        let keys = BinaryArray::from(keys.to_data());
        let mut columns = chunk.rows.columns().to_vec();
        if columns.len() < self.schema.columns().len() {
            columns.push(Arc::new(keys.clone()));
        }
        let chunk = chunk.with_rows(RecordBatch::try_new(Arc::clone(self.schema.arrow()), columns)?);
        let rows = split::split(chunk, self.partitions, |row| match keys.is_valid(row) {
            true => murmur2::partition(keys.value(row), self.partitions),
            false => self.turns.take(),
        })?;
        Ok(Applied { rows, ..Applied::default() })
    }
}
