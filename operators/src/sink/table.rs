//! `sink.table`: rows and progress in one SQL transaction.

use crate::config::Context;
use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltSink;
use schemars::JsonSchema;
use serde::Deserialize;

/// Inserts rows into a table; creates it, with an `id` that grows, when it is not there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The database: `sqlite:PATH`.
    pub url: String,
    /// The table.
    pub table: String,
}

impl TableConfig {
    pub(super) fn build(&self, _input: &Schema, _context: &Context) -> Result<BuiltSink, Vec<Problem>> {
        unimplemented!()
    }
}
