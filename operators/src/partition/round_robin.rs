//! `partition.round_robin`: rows take turns.

use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;

/// Spreads rows evenly: each goes to the partition after the one before it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoundRobinConfig {
    /// Number of partitions.
    pub partitions: u32,
}

impl RoundRobinConfig {
    pub(super) fn build(&self, _input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        unimplemented!()
    }
}
