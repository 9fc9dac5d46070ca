//! Messages of topics as columns: `value`, and `key` where rows have one.

use crate::error::{Error, Problem, Result};
use crate::schema::Schema;
use crate::types::{ColumnType, Family};
use arrow::array::{AsArray, BinaryArray, RecordBatch};
use arrow::compute::cast;

const KEY: &str = "key";
const VALUE: &str = "value";

/// How the rows before a sink become messages.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    /// Whether rows have keys.
    keyed: bool,
}

impl Messages {
    /// Checks that rows with these columns can be sent to a topic of so many partitions.
    pub fn check(input: &Schema, partitions: Option<u32>) -> Result<(Self, u32), Vec<Problem>> {
        let mut problems = Vec::new();
        match input.column(VALUE) {
            Some(column) if is_message(&column.column_type) => {}
            Some(column) => {
                let message = format!("a message is bytes, and the column `{VALUE}` is {}", column.column_type);
                problems.push(Problem::whole(message).help("add an encode stage, such as encode.json"));
            }
            None => {
                let message = format!("there is no column `{VALUE}` to send; the rows have {}", input.names());
                problems.push(Problem::whole(message).help("add an encode stage, such as encode.json"));
            }
        }
        if let Some(column) = input.column(KEY).filter(|column| !is_key(&column.column_type)) {
            let message = format!("a key is a string or bytes, and the column `{KEY}` is {}", column.column_type);
            problems.push(Problem::whole(message).help("cast it to string, or rename it with transform.select"));
        }
        if partitions.is_none() {
            let message = "nothing says how many partitions the topic has";
            problems.push(Problem::whole(message).help("add partition.key or partition.round_robin to the flow"));
        }
        match partitions {
            Some(partitions) if problems.is_empty() => Ok((Self { keyed: input.column(KEY).is_some() }, partitions)),
            _ => Err(problems),
        }
    }

    /// The rows without the columns that are no part of a message.
    pub(crate) fn only(self, rows: &RecordBatch) -> Result<RecordBatch> {
        let schema = rows.schema_ref();
        let columns: Vec<_> =
            (0..schema.fields().len()).filter(|&at| matches!(schema.field(at).name().as_str(), KEY | VALUE)).collect();
        Ok(rows.project(&columns)?)
    }

    /// Keys, where rows have them, and values.
    pub fn columns(self, rows: &RecordBatch) -> Result<(Option<BinaryArray>, BinaryArray)> {
        let column = |name| {
            let column = rows.column_by_name(name);
            let column = column.ok_or_else(|| Error::Other(format!("rows came without their column `{name}`")))?;
            Ok::<_, Error>(cast(column, &ColumnType::Bytes.arrow())?.as_binary().clone())
        };
        Ok((self.keyed.then(|| column(KEY)).transpose()?, column(VALUE)?))
    }
}

/// Whether values of a type can be the keys of messages: bytes, or text, which is its bytes.
pub fn is_key(column_type: &ColumnType) -> bool {
    match column_type.family() {
        Family::Bytes | Family::Text => true,
        Family::Bool | Family::Integer | Family::Real | Family::Time | Family::Other => false,
    }
}

/// Whether values of a type are messages as topics keep them: bytes.
pub fn is_message(column_type: &ColumnType) -> bool {
    match column_type.family() {
        Family::Bytes => true,
        Family::Bool | Family::Integer | Family::Real | Family::Text | Family::Time | Family::Other => false,
    }
}
