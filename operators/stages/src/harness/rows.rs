//! Rows as a test writes them.

use operators_core::error::Problem;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Rows: how many, one by one, as JSON lines, or any of these for each partition.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "rows are a number of them from 0 on, a list of tables, text with a JSON object a line, or a table that \
                 has any of these for each partition"
)]
pub enum Rows {
    /// so many
    Count(u64),
    /// a JSON object a line
    Lines(String),
    /// one by one
    List(Vec<BTreeMap<String, Cell>>),
    /// by partition
    Partitions(BTreeMap<String, Batch>),
}

/// Rows of one partition.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "rows are a number of them from 0 on, a list of tables, or text with a JSON object a line"
)]
pub enum Batch {
    /// so many
    Count(u64),
    /// a JSON object a line
    Lines(String),
    /// one by one
    List(Vec<BTreeMap<String, Cell>>),
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a value is text, a number, or true or false")]
pub enum Cell {
    /// true or false
    Flag(bool),
    /// a whole number
    Whole(i64),
    /// any number
    Number(f64),
    /// text, a day, a time, or bytes
    Text(String),
}

/// A row as written: null is a null, and a column that is not there is not there.
pub(super) type Given = BTreeMap<String, Option<Cell>>;

/// Something that was written for all partitions together, or for each that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parts<T> {
    /// Whatever the partition.
    Together(T),
    /// By partition; there is nothing in those that are not named.
    Apart(BTreeMap<u32, T>),
}

/// What stands for the rows of one partition, or of all.
pub(super) enum Written {
    Count(u64),
    Rows(Vec<Row>),
}

/// A row and the keys that lead to it.
pub(super) struct Row {
    pub(super) given: Given,
    pub(super) at: Vec<String>,
    /// Where in a text of JSON lines it stands, to begin a message with.
    line: Option<usize>,
}

impl Row {
    /// A problem of the row, or of one of its columns.
    pub(super) fn problem(&self, column: Option<&str>, message: impl Into<String>) -> Problem {
        let message = message.into();
        match self.line {
            Some(line) => Problem { at: self.at.clone(), message: format!("line {line}: {message}"), help: None },
            None => {
                let at = self.at.iter().cloned().chain(column.map(str::to_owned)).collect();
                Problem { at, message, help: None }
            }
        }
    }
}

impl Rows {
    /// What was written, with every mistake in its form.
    pub(super) fn written(&self) -> Result<Parts<Written>, Vec<Problem>> {
        match self {
            Self::Count(count) => Ok(Parts::Together(Written::Count(*count))),
            Self::Lines(text) => lines(text, &[]).map(Parts::Together),
            Self::List(rows) => Ok(Parts::Together(list(rows, &[]))),
            Self::Partitions(batches) => {
                let (mut parts, mut problems) = (BTreeMap::new(), Vec::new());
                for (key, batch) in batches {
                    match (partition(key), batch.written(key)) {
                        (Ok(partition), Ok(written)) => _ = parts.insert(partition, written),
                        (partition, written) => {
                            problems.extend(partition.err());
                            problems.extend(written.err().into_iter().flatten());
                        }
                    }
                }
                if problems.is_empty() { Ok(Parts::Apart(parts)) } else { Err(problems) }
            }
        }
    }
}

impl Batch {
    fn written(&self, key: &str) -> Result<Written, Vec<Problem>> {
        let at = [key.to_owned()];
        match self {
            Self::Count(count) => Ok(Written::Count(*count)),
            Self::Lines(text) => lines(text, &at),
            Self::List(rows) => Ok(list(rows, &at)),
        }
    }
}

/// The number of a partition, which is a key where it stands.
pub fn partition(key: &str) -> Result<u32, Problem> {
    let number = key.parse().ok().filter(|number: &u32| number.to_string() == key);
    number.ok_or_else(|| {
        Problem::at(key, format!("`{key}` is no partition")).help("partitions are numbered from 0 on: { 0 = ... }")
    })
}

fn list(rows: &[BTreeMap<String, Cell>], at: &[String]) -> Written {
    let row = |(index, row): (usize, &BTreeMap<String, Cell>)| Row {
        given: row.iter().map(|(column, cell)| (column.clone(), Some(cell.clone()))).collect(),
        at: at.iter().cloned().chain([index.to_string()]).collect(),
        line: None,
    };
    Written::Rows(rows.iter().enumerate().map(row).collect())
}

fn lines(text: &str, at: &[String]) -> Result<Written, Vec<Problem>> {
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let row = |given| Row { given, at: at.to_vec(), line: Some(line) };
        match serde_json::from_str(text) {
            Ok(given) => rows.push(row(given)),
            Err(error) => problems.push(row(Given::new()).problem(None, format!("not one JSON object: {error}"))),
        }
    }
    if problems.is_empty() { Ok(Written::Rows(rows)) } else { Err(problems) }
}
