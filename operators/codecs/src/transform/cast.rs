//! `transform.cast`: changes the types of columns.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use arrow::util::display::array_value_to_string;
use operators_core::chunk::Chunk;
use operators_core::config::ColumnType;
use operators_core::error::{Error, Problem, Result};
use operators_core::position::Position;
use operators_core::schema::{Schema, type_name};
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
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
    pub columns: BTreeMap<String, ColumnType>,
}

impl CastConfig {
    pub(super) fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        let problems = self.problems(input);
        if !problems.is_empty() {
            return Err(problems);
        }
        let cast = |field: &Arc<Field>| match self.columns.get(field.name()) {
            Some(to) => field.as_ref().clone().with_data_type(to.data_type()),
            None => field.as_ref().clone(),
        };
        let schema = Schema::new(input.0.fields().iter().map(cast).collect());
        let casts: Vec<_> =
            self.columns.iter().map(|(c, to)| format!("{c} to {}", type_name(&to.data_type()))).collect();
        Ok(BuiltStage {
            stage: Arc::new(Cast { schema: schema.clone() }),
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
        let problem = |(column, to): (&String, &ColumnType)| {
            let index = match input.index_of(column, &["columns", column]) {
                Ok(index) => index,
                Err(problem) => return Some(problem),
            };
            let (from, to) = (input.0.field(index).data_type(), to.data_type());
            let message = format!("`{column}` is {}, which cannot become {}", type_name(from), type_name(&to));
            let problem = Problem { at: vec!["columns".to_owned(), column.clone()], message, help: None };
            (!is_possible(from, &to)).then_some(problem)
        };
        self.columns.iter().filter_map(problem).collect()
    }
}

/// Arrow would also give an integer's bytes as this machine orders them, which is no format to store.
fn is_possible(from: &DataType, to: &DataType) -> bool {
    can_cast_types(from, to) && !(from.is_integer() && *to == DataType::Binary)
}

#[derive(Clone)]
struct Cast {
    /// The columns as they go on; one whose type differs from the chunk's is cast.
    schema: Schema,
}

impl Stage for Cast {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(self.clone())
    }
}

impl Apply for Cast {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        let fields = self.schema.0.fields().iter();
        let columns = fields.zip(chunk.rows.columns()).map(|(field, values)| cast(values, field, &chunk));
        let rows = RecordBatch::try_new(Arc::clone(&self.schema.0), columns.collect::<Result<_>>()?)?;
        Ok(Applied { rows: vec![chunk.with_rows(rows)], ..Applied::default() })
    }
}

/// A column of the chunk with its new type, or an error that names the first row whose value does not fit.
fn cast(values: &ArrayRef, field: &Field, chunk: &Chunk) -> Result<ArrayRef> {
    if values.data_type() == field.data_type() {
        return Ok(Arc::clone(values));
    }
    // Arrow's strict mode does not say which row failed; its safe mode marks those that did with nulls.
    let cast = cast_with_options(values, field.data_type(), &CastOptions { safe: true, ..CastOptions::default() })?;
    let Some(row) = first_lost(values, &cast) else { return Ok(cast) };
    let value: String = array_value_to_string(values, row)?.chars().take(60).collect();
    let is = type_name(field.data_type());
    Err(Error::Value {
        stage: "transform.cast",
        partition: chunk.source,
        position: Position(chunk.positions.value(row)),
        column: field.name().clone(),
        reason: format!(
            "`{value}` does not fit into {is}. Cast to a type that holds it, or leave such rows out with \
             transform.filter before"
        ),
    })
}

/// The first row whose value did not survive its cast.
fn first_lost(from: &ArrayRef, to: &ArrayRef) -> Option<usize> {
    let mut rows = 0..from.len();
    if let (Some(from), Some(to)) = (from.as_primitive_opt::<Float64Type>(), to.as_primitive_opt::<Float32Type>()) {
        // Too large a double becomes infinity, not null.
        let overflowed = |row: &usize| from.value(*row).is_finite() && to.value(*row).is_infinite();
        return rows.find(|row| from.is_valid(*row) && overflowed(row));
    }
    if from.null_count() == to.null_count() {
        return None;
    }
    rows.find(|&row| from.is_valid(row) && to.is_null(row))
}
