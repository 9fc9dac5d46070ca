//! `encode.json`: each row as one JSON object.

use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;

/// Writes each row as one JSON object into `value`; nulls are left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonConfig {}

impl JsonConfig {
    pub(super) fn build(&self, _input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        unimplemented!()
    }
}
