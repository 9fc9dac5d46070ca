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
    decoding: Decoding,
}

/// What becomes of the source's rows first.
enum Decoding {
    /// They go on as they are.
    None,
    /// They are decoded, and a test may give the columns that come of that.
    Both(Decoded),
    /// They are decoded, and nothing encodes what the decoder reads: a test gives messages as they are.
    OneWay,
}

/// Why a test cannot give columns, and what it gives.
const ONE_WAY: &str = "nothing encodes what this flow decodes, so a test gives the bytes of each message in `value`";

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
        let decoding = match decode {
            None => Decoding::None,
            Some((config, columns)) => match codec::encoder(config, columns, context) {
                Some(encoder) => Decoding::Both(Decoded { columns: columns.clone(), encoder }),
                None => Decoding::OneWay,
            },
        };
        Self { source: source.clone(), decoding }
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
        let decoded = match &self.decoding {
            Decoding::Both(decoded) if !of_source => decoded,
            Decoding::Both(_) | Decoding::None => return columns(&self.source, row, ""),
            Decoding::OneWay => return columns(&self.source, row, &format!("; {ONE_WAY}")),
        };
        let also = format!("; or those of the source: {}", self.source.names());
        let columns = columns(&decoded.columns, row, &also)?;
        self.messages(decoded, columns).map_err(|reason| vec![row.problem(None, reason)])
    }

    fn generated(&self, count: u64, seed: u64, partition: u32) -> Result<RecordBatch, Problem> {
        let made = |columns| generate::rows(columns, count, seed, partition).map_err(Problem::whole);
        match &self.decoding {
            Decoding::None => made(&self.source),
            Decoding::Both(decoded) => self.messages(decoded, made(&decoded.columns)?).map_err(Problem::whole),
            Decoding::OneWay => Err(Problem::whole(format!("messages can't be made up: {ONE_WAY}"))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use operators_core::types::ColumnType;

    fn problems(input: &Input, rows: &Rows) -> String {
        format!("{:?}", input.rows(rows, 0).unwrap_err())
    }

    #[test]
    fn messages_that_nothing_encodes_are_given_as_bytes() {
        let source = Schema::new(vec![Column::new("value", ColumnType::Bytes, true)]);
        let input = Input { source, decoding: Decoding::OneWay };
        let given = input.rows(&Rows::Lines(r#"{"value": "0xff00"}"#.to_owned()), 0).unwrap();
        assert_eq!(given.0[&0].column(0).as_binary::<i32>().value(0), [0xff, 0]);
        let columns = problems(&input, &Rows::Lines(r#"{"degrees": 1.5}"#.to_owned()));
        assert!(columns.contains("no column `degrees`") && columns.contains(ONE_WAY), "{columns}");
        let made_up = problems(&input, &Rows::Count(3));
        assert!(made_up.contains("can't be made up") && made_up.contains(ONE_WAY), "{made_up}");
    }
}
