//! Which partition of the sink a row goes to.

pub mod key;
pub mod round_robin;
pub mod source;
mod split;
#[cfg(test)]
mod tests;

use operators_core::error::Problem;
use operators_core::schema::Schema;
use operators_core::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;

/// How rows are spread over the sink's partitions; without this slot they keep the partitions of their source.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartitionConfig {
    /// Rows with equal keys go to one partition, the one Kafka's own clients would choose.
    Key(key::KeyConfig),
    /// Rows take turns.
    RoundRobin(round_robin::RoundRobinConfig),
    /// Rows keep the partition they were read from.
    Source(source::SourceConfig),
}

impl PartitionConfig {
    /// Builds the stage; touches nothing outside.
    pub fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        match self {
            Self::Key(config) => config.build(input),
            Self::RoundRobin(config) => config.build(input),
            Self::Source(config) => config.build(input),
        }
    }
}
