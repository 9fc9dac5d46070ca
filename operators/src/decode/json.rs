//! `decode.json`: one JSON object per message to Arrow columns.

use crate::config::{ColumnType, OnError};
use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Reads `value` as one JSON object; gives the columns named here, null where the object lacks them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonConfig {
    /// The columns to read and their types.
    pub columns: BTreeMap<String, ColumnType>,
    /// What to do with bytes that are no such object.
    #[serde(default)]
    pub on_error: OnError,
}

impl JsonConfig {
    pub(super) fn build(&self, _input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        unimplemented!()
    }
}
