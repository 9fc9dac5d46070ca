//! `partition.key`: rows with equal keys go to one partition.

use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;

/// Spreads rows by the hash of a column, as Kafka's own clients do, and adds that column's bytes as `key`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The column whose value is the key: string or bytes.
    pub column: String,
    /// Number of partitions.
    pub partitions: u32,
}

impl KeyConfig {
    pub(super) fn build(&self, _input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        unimplemented!()
    }
}
