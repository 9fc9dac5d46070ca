//! `transform.cast`: changes the types of columns.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{Float32Type, Float64Type};
use arrow::util::display::array_value_to_string;
use operators_core::chunk::Chunk;
use operators_core::error::{Error, Problem, Result};
use operators_core::position::Position;
use operators_core::schema::{Column, Schema};
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
use operators_core::types::{ColumnType, DeclaredType};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes the types of columns; a value that does not fit its new type stops the flow.
///
/// A float that becomes an integer loses its fraction, a number that becomes a float the digits it has no room for, a
/// timestamp that becomes a date its time of day.
///
/// ```toml
/// [[flow.transform]]
/// cast = { columns = { degrees = "float32" } }
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CastConfig {
    /// New types: `{ degrees = "float32" }`.
    pub columns: BTreeMap<String, DeclaredType>,
}

impl CastConfig {
    pub(super) fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        let problems = self.problems(input);
        if !problems.is_empty() {
            return Err(problems);
        }
        let cast = |column: &Column| match self.columns.get(&column.name) {
            Some(to) => {
                let (to, change) = (ColumnType::from(*to), Change::new(&column.column_type, *to));
                (Column { column_type: to, ..column.clone() }, change)
            }
            None => (column.clone(), Change::None),
        };
        let (columns, changes): (Vec<_>, Vec<_>) = input.columns().iter().map(cast).unzip();
        let schema = Schema::new(columns);
        let casts: Vec<_> = self.columns.iter().map(|(column, to)| format!("{column} to {to}")).collect();
        Ok(BuiltStage {
            stage: Arc::new(Cast { schema: schema.clone(), changes: changes.into() }),
            schema,
            partitions: None,
            dead_letters: false,
            about: About { summary: casts.join(", "), fingerprint: Vec::new() },
        })
    }

    fn problems(&self, input: &Schema) -> Vec<Problem> {
        if self.columns.is_empty() {
            return vec![Problem::at("columns", "casts no column").help(format!("some of: {}", input.names()))];
        }
        let problem = |(column, to): (&String, &DeclaredType)| {
            let index = match input.index_of(column, &["columns", column]) {
                Ok(index) => index,
                Err(problem) => return Some(problem),
            };
            let from = &input.columns()[index].column_type;
            let message = format!("`{column}` is {from}, which cannot become {to}");
            let problem = Problem { at: vec!["columns".to_owned(), column.clone()], message, help: None };
            (!is_possible(from, *to)).then_some(problem)
        };
        self.columns.iter().filter_map(problem).collect()
    }
}

/// Whether some values of a type have a counterpart in another.
fn is_possible(from: &ColumnType, to: DeclaredType) -> bool {
    let is_known_to_arrow = can_cast_types(&from.arrow(), &ColumnType::from(to).arrow());
    match from {
        // Arrow would also give an integer's bytes as this machine orders them, which is no format to store.
        ColumnType::Int32 | ColumnType::Int64 | ColumnType::UInt32 | ColumnType::UInt64 => match to {
            DeclaredType::Bytes => false,
            DeclaredType::Bool
            | DeclaredType::Int32
            | DeclaredType::Int64
            | DeclaredType::Float32
            | DeclaredType::Float64
            | DeclaredType::String
            | DeclaredType::Date
            | DeclaredType::Timestamp => is_known_to_arrow,
        },
        ColumnType::Bool
        | ColumnType::Float32
        | ColumnType::Float64
        | ColumnType::String
        | ColumnType::Bytes
        | ColumnType::Date
        | ColumnType::Timestamp
        | ColumnType::Headers => is_known_to_arrow,
        // No flow has them.
        ColumnType::Foreign(_) => false,
    }
}

/// What becomes of a column, and how a value shows that did not survive its cast.
#[derive(Clone, Copy)]
enum Change {
    /// It goes on as it is.
    None,
    /// It is cast; a value that does not fit becomes null.
    ToNull,
    /// It is cast; a value that does not fit becomes infinite.
    ToInfinity,
}

impl Change {
    fn new(from: &ColumnType, to: DeclaredType) -> Self {
        if *from == ColumnType::from(to) {
            return Self::None;
        }
        match from {
            ColumnType::Float64 => match to {
                DeclaredType::Float32 => Self::ToInfinity,
                DeclaredType::Bool
                | DeclaredType::Int32
                | DeclaredType::Int64
                | DeclaredType::Float64
                | DeclaredType::String
                | DeclaredType::Bytes
                | DeclaredType::Date
                | DeclaredType::Timestamp => Self::ToNull,
            },
            ColumnType::Bool
            | ColumnType::Int32
            | ColumnType::Int64
            | ColumnType::UInt32
            | ColumnType::UInt64
            | ColumnType::Float32
            | ColumnType::String
            | ColumnType::Bytes
            | ColumnType::Date
            | ColumnType::Timestamp
            | ColumnType::Headers
            | ColumnType::Foreign(_) => Self::ToNull,
        }
    }

    /// The first row whose value did not survive its cast.
    fn first_lost(self, from: &ArrayRef, to: &ArrayRef) -> Option<usize> {
        let mut rows = 0..from.len();
        match self {
            Self::None => None,
            Self::ToNull if from.null_count() == to.null_count() => None,
            Self::ToNull => rows.find(|&row| from.is_valid(row) && to.is_null(row)),
            Self::ToInfinity => {
                let (from, to) = (from.as_primitive::<Float64Type>(), to.as_primitive::<Float32Type>());
                let overflowed = |row: &usize| from.value(*row).is_finite() && to.value(*row).is_infinite();
                rows.find(|row| from.is_valid(*row) && overflowed(row))
            }
        }
    }
}

#[derive(Clone)]
struct Cast {
    /// The columns as they go on.
    schema: Schema,
    /// What becomes of each.
    changes: Arc<[Change]>,
}

impl Stage for Cast {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(self.clone())
    }
}

impl Apply for Cast {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        let columns = self.schema.columns().iter().zip(self.changes.iter()).zip(chunk.rows.columns());
        let columns = columns.map(|((column, change), values)| cast(values, column, *change, &chunk));
        let rows = RecordBatch::try_new(Arc::clone(self.schema.arrow()), columns.collect::<Result<_>>()?)?;
        Ok(Applied { rows: vec![chunk.with_rows(rows)], ..Applied::default() })
    }
}

/// A column of the chunk with its new type, or an error that names the first row whose value does not fit.
fn cast(values: &ArrayRef, column: &Column, change: Change, chunk: &Chunk) -> Result<ArrayRef> {
    let to = match change {
        Change::None => return Ok(Arc::clone(values)),
        Change::ToNull | Change::ToInfinity => column.column_type.arrow(),
    };
    // Arrow's strict mode does not say which row failed; its safe mode marks those that did with nulls.
    let cast = cast_with_options(values, &to, &CastOptions { safe: true, ..CastOptions::default() })?;
    let Some(row) = change.first_lost(values, &cast) else { return Ok(cast) };
    let value: String = array_value_to_string(values, row)?.chars().take(60).collect();
    Err(Error::Value {
        stage: "transform.cast",
        partition: chunk.source,
        position: Position(chunk.positions.value(row)),
        column: column.name.clone(),
        reason: format!(
            "`{value}` does not fit into {}. Cast to a type that holds it, or leave such rows out with \
             transform.filter before",
            column.column_type
        ),
    })
}
