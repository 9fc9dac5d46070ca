//! The columns on an edge, in words the engine can print without knowing Arrow.

use crate::error::Problem;
use crate::types::ColumnType;
use arrow::datatypes::{Field, SchemaRef};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// The columns that flow on one edge of the graph.
#[derive(Clone, Debug)]
pub struct Schema {
    columns: Arc<[Column]>,
    /// The same columns as record batches have them: made once, as every batch needs it.
    arrow: SchemaRef,
}

impl Schema {
    /// The columns in their order.
    pub fn new(columns: Vec<Column>) -> Self {
        let fields: Vec<_> = columns.iter().map(Column::arrow).collect();
        Self { columns: columns.into(), arrow: Arc::new(arrow::datatypes::Schema::new(fields)) }
    }

    /// The columns of a schema from elsewhere, such as that of a Parquet file.
    pub fn from_arrow(arrow: impl Into<SchemaRef>) -> Self {
        let arrow = arrow.into();
        Self { columns: arrow.fields().iter().map(|field| Column::from_arrow(field)).collect(), arrow }
    }

    /// The schema of record batches with these columns.
    pub fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The columns in their order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The index of a column, or the problem of the config value that names it; `at` are the keys that lead there.
    pub fn index_of(&self, column: &str, at: &[&str]) -> Result<usize, Problem> {
        self.columns.iter().position(|there| there.name == column).ok_or_else(|| Problem {
            at: at.iter().map(|&key| key.to_owned()).collect(),
            message: format!("there is no column `{column}` here"),
            help: Some(format!("the columns are: {}", self.names())),
        })
    }

    /// The names of the columns, for a hint in an error.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name.as_str()).collect();
        names.join(", ")
    }
}

/// Equal columns make equal schemas.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns
    }
}

impl Eq for Schema {}

impl fmt::Display for Schema {
    /// `station_id: string, degrees: float64?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.columns.iter().map(Column::to_string).collect();
        f.write_str(&columns.join(", "))
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Unique among the columns of its edge.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether it may hold nulls.
    pub nullable: bool,
}

impl Column {
    /// A column of this name and type.
    pub fn new(name: impl Into<String>, column_type: impl Into<ColumnType>, nullable: bool) -> Self {
        Self { name: name.into(), column_type: column_type.into(), nullable }
    }

    /// A column of a schema from elsewhere.
    pub fn from_arrow(field: &Field) -> Self {
        Self::new(field.name(), ColumnType::from_arrow(field.data_type()), field.is_nullable())
    }

    fn arrow(&self) -> Field {
        Field::new(&self.name, self.column_type.arrow(), self.nullable)
    }
}

impl fmt::Display for Column {
    /// `degrees: float64?`, where `?` marks a column that may hold nulls.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.nullable { "?" } else { "" };
        write!(f, "{}: {}{mark}", self.name, self.column_type)
    }
}
