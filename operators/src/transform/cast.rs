//! `transform.cast`: changes the types of columns.

use crate::config::ColumnType;
use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Changes the types of columns; a value that does not fit its new type stops the flow.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CastConfig {
    /// New types: `{ degrees = "float32" }`.
    pub columns: BTreeMap<String, ColumnType>,
}

impl CastConfig {
    pub(super) fn build(&self, _input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        unimplemented!()
    }
}
