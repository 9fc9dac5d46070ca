//! The columns on an edge, in words the engine can print without knowing Arrow.

use crate::error::Problem;
use arrow::datatypes::{DataType, Field, SchemaRef};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// The columns that flow on one edge of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema(pub SchemaRef);

impl Schema {
    /// The columns in their order.
    pub fn new(fields: Vec<Field>) -> Self {
        Self(Arc::new(arrow::datatypes::Schema::new(fields)))
    }

    /// The columns in their order, in words.
    pub fn columns(&self) -> Vec<Column> {
        let column = |field: &Arc<Field>| Column {
            name: field.name().clone(),
            data_type: type_name(field.data_type()),
            nullable: field.is_nullable(),
        };
        self.0.fields().iter().map(column).collect()
    }

    /// The column of this name.
    pub fn field(&self, column: &str) -> Option<&Field> {
        self.0.field_with_name(column).ok()
    }

    /// The index of a column, or the problem of the config value that names it; `at` are the keys that lead there.
    pub fn index_of(&self, column: &str, at: &[&str]) -> Result<usize, Problem> {
        self.0.index_of(column).map_err(|_| Problem {
            at: at.iter().map(|&key| key.to_owned()).collect(),
            message: format!("there is no column `{column}` here"),
            help: Some(format!("the columns are: {}", self.names())),
        })
    }

    /// The names of the columns, for a hint in an error.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.fields().iter().map(|f| f.name().as_str()).collect();
        names.join(", ")
    }
}

impl fmt::Display for Schema {
    /// `station_id: string, degrees: float64?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.columns().iter().map(Column::to_string).collect();
        f.write_str(&columns.join(", "))
    }
}

/// A column, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Unique among the columns of its edge.
    pub name: String,
    /// As pipeline files spell it: `string`.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Whether it may hold nulls.
    pub nullable: bool,
}

impl fmt::Display for Column {
    /// `degrees: float64?`, where `?` marks a column that may hold nulls.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.nullable { "?" } else { "" };
        write!(f, "{}: {}{mark}", self.name, self.data_type)
    }
}

/// A type's name as pipeline files and errors spell it.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "bool".into(),
        DataType::Utf8 => "string".into(),
        DataType::Binary => "bytes".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(_, _) => "timestamp".into(),
        other => other.to_string().to_lowercase(),
    }
}
