//! `source.table`: the rows of a database table, in the order of their ids.

use crate::config::{ColumnType, Context};
use crate::error::Problem;
use crate::stage::BuiltSource;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Reads the rows of a table in the order of an id that only grows.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The database: `sqlite:PATH`.
    pub url: String,
    /// The table.
    pub table: String,
    /// Integer column that is unique, never null and only grows.
    #[serde(default = "id")]
    pub cursor: String,
    /// The columns to read and their types.
    pub columns: BTreeMap<String, ColumnType>,
}

impl TableConfig {
    pub(super) fn build(&self, _context: &Context) -> Result<BuiltSource, Vec<Problem>> {
        unimplemented!()
    }
}

fn id() -> String {
    "id".to_owned()
}
