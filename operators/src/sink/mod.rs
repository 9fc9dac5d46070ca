//! Where rows go. The sink that holds the rows holds the positions, and both arrive in one atomic step.

pub mod kafka;
pub mod parquet;
pub mod table;
pub mod topic;

pub use parquet::{is_parquet_file, parquet_file};

use crate::config::Context;
use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::{BuiltSink, Inflow};
use schemars::JsonSchema;
use serde::Deserialize;

/// The sinks a flow can write to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkConfig {
    /// A topic of a Kafka cluster.
    Kafka(kafka::KafkaConfig),
    /// Parquet files in a directory.
    Parquet(parquet::ParquetConfig),
    /// A table of a database.
    Table(table::TableConfig),
    /// The embedded durable topic.
    Topic(topic::TopicConfig),
}

impl SinkConfig {
    /// Builds the stage; changes nothing and asks no server.
    pub fn build(&self, input: &Schema, inflow: Inflow, context: &Context) -> Result<BuiltSink, Vec<Problem>> {
        match self {
            Self::Kafka(config) => config.build(input, inflow.partitions, context),
            Self::Parquet(config) => config.build(input, inflow, context),
            Self::Table(config) => config.build(input, context),
            Self::Topic(config) => config.build(input, inflow.partitions, context),
        }
    }
}
