//! `transform.select`: keeps columns and renames them.

use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Keeps the columns named, in that order, under new names where given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectConfig {
    /// The columns to keep, by their names before renaming.
    pub columns: Vec<String>,
    /// New names: `{ old = "new" }`.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
}

impl SelectConfig {
    pub(super) fn build(&self, _input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        unimplemented!()
    }
}
