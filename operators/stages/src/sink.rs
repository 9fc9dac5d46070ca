//! Where rows go. The sink that holds the rows holds the positions, and both arrive in one atomic step.

use operators_core::config::Context;
use operators_core::error::Problem;
use operators_core::schema::Schema;
use operators_core::stage::{BuiltSink, Inflow};
use schemars::JsonSchema;
use serde::Deserialize;

/// The sinks a flow can write to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkConfig {
    /// A topic of a Kafka cluster.
    Kafka(kafka::sink::KafkaConfig),
    /// Parquet files in a directory.
    Parquet(files::sink::ParquetConfig),
    /// A table of a database.
    Table(sql::sink::table::TableConfig),
    /// The embedded durable topic.
    Topic(sql::sink::topic::TopicConfig),
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
