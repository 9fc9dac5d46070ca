//! The rows a test gives its flow: those of the source, or what a decoder will read from them.

use super::cells;
use super::codec;
use super::generate;
use super::rows::{Parts, Row, Rows, Written};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use codecs::decode::DecodeConfig;
use operators_core::config::Context;
use operators_core::error::Problem;
use operators_core::schema::{Column, Schema};
use operators_core::stage::BuiltStage;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The column that a decoder reads.
const VALUE: &str = "value";

/// What a flow's rows may look like.
pub(super) struct Input {
    source: Schema,
    decoded: Option<Decoded>,
}

/// The columns that a decoder gives, and how they become messages.
struct Decoded {
    columns: Schema,
    encoder: BuiltStage,
}

/// Rows of the source, by partition.
#[derive(Clone, Debug)]
pub struct TrialRows(pub(super) BTreeMap<u32, RecordBatch>);

impl TrialRows {
    /// All rows.
    pub fn count(&self) -> u64 {
        self.0.values().map(|rows| rows.num_rows() as u64).sum()
    }
}

impl Input {
    pub(super) fn new(source: &Schema, decode: Option<(&DecodeConfig, &Schema)>, context: &Context) -> Self {
        let decoded = decode.and_then(|(config, columns)| {
            let encoder = codec::encoder(config, columns, context)?;
            Some(Decoded { columns: columns.clone(), encoder })
        });
        Self { source: source.clone(), decoded }
    }

    /// The columns of the source.
    pub(super) fn source(&self) -> &Schema {
        &self.source
    }

    /// The rows as the source will give them; a number of rows is made up, as `seed` has it.
    pub(super) fn rows(&self, rows: &Rows, seed: u64) -> Result<TrialRows, Vec<Problem>> {
        let parts = match rows.written()? {
            Parts::Together(written) => BTreeMap::from([(0, written)]),
            Parts::Apart(parts) => parts,
        };
        let (mut batches, mut problems) = (BTreeMap::new(), Vec::new());
        for (partition, written) in parts {
            let made = match written {
                Written::Count(count) => self.generated(count, seed, partition).map_err(|problem| vec![problem]),
                Written::Rows(rows) => self.given(&rows),
            };
            match made {
                Ok(rows) => _ = batches.insert(partition, rows),
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() { Ok(TrialRows(batches)) } else { Err(problems) }
    }

    fn given(&self, rows: &[Row]) -> Result<RecordBatch, Vec<Problem>> {
        let (mut batches, mut problems) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match self.row(row) {
                Ok(batch) => batches.push(batch),
                Err(more) => problems.extend(more),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        concat_batches(self.source.arrow(), &batches).map_err(|error| vec![Problem::whole(error.to_string())])
    }

    /// A row that names columns of the source alone is one of the source; any other is one that the decoder will give.
    fn row(&self, row: &Row) -> Result<RecordBatch, Vec<Problem>> {
        let of_source = !row.given.is_empty() && row.given.keys().all(|name| self.source.column(name).is_some());
        let Some(decoded) = self.decoded.as_ref().filter(|_| !of_source) else {
            return columns(&self.source, row, "");
        };
        let also = format!("; or those of the source: {}", self.source.names());
        let columns = columns(&decoded.columns, row, &also)?;
        self.messages(decoded, columns).map_err(|reason| vec![row.problem(None, reason)])
    }

    fn generated(&self, count: u64, seed: u64, partition: u32) -> Result<RecordBatch, Problem> {
        let columns = self.decoded.as_ref().map_or(&self.source, |decoded| &decoded.columns);
        let made = generate::rows(columns, count, seed, partition).map_err(Problem::whole)?;
        match &self.decoded {
            Some(decoded) => self.messages(decoded, made).map_err(Problem::whole),
            None => Ok(made),
        }
    }

    /// Rows of the source that decode to these columns.
    fn messages(&self, decoded: &Decoded, columns: RecordBatch) -> Result<RecordBatch, String> {
        let count = columns.num_rows();
        let encoded = codec::through(&decoded.encoder, columns).map_err(|error| error.to_string())?;
        let messages = encoded.and_then(|rows| rows.column_by_name(VALUE).cloned());
        let messages = messages.ok_or("these columns cannot be encoded")?;
        let rest = |column: &Column| -> Result<ArrayRef, String> {
            match column.name.as_str() {
                VALUE => Ok(Arc::clone(&messages)),
                name => cells::nothing(column, count).ok_or_else(|| format!("column `{name}` is never null")),
            }
        };
        let all = self.source.columns().iter().map(rest).collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(self.source.arrow()), all).map_err(|error| error.to_string())
    }
}

/// A row of these columns; `also` follows the list of what may stand in it.
fn columns(schema: &Schema, row: &Row, also: &str) -> Result<RecordBatch, Vec<Problem>> {
    let mut problems = unknown(schema, row, also);
    let mut columns = Vec::new();
    for column in schema.columns() {
        match cells::value(row, column) {
            Ok(value) => columns.push(value),
            // What was misspelled is missing too.
            Err(_) if !problems.is_empty() && !row.given.contains_key(&column.name) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    RecordBatch::try_new(Arc::clone(schema.arrow()), columns)
        .map_err(|error| vec![row.problem(None, error.to_string())])
}

/// A problem for each column that is not there.
pub(super) fn unknown(schema: &Schema, row: &Row, also: &str) -> Vec<Problem> {
    let strange = row.given.keys().filter(|name| schema.column(name).is_none());
    let problem = |name: &String| {
        let help = format!("the columns are: {}{also}", schema.names());
        row.problem(Some(name), format!("there is no column `{name}` here")).help(help)
    };
    strange.map(problem).collect()
}
