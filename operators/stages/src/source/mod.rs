//! Where rows come from. Adding a source touches two files: the new one, and the closed enum below.

pub mod weather;

use operators_core::config::Context;
use operators_core::error::Problem;
use operators_core::stage::BuiltSource;
use schemars::JsonSchema;
use serde::Deserialize;

/// The sources a flow can read from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceConfig {
    /// Simulated weather stations.
    Weather(weather::WeatherConfig),
    /// A table of a database, read by id.
    Table(sql::source::table::TableConfig),
    /// A Kafka topic.
    Kafka(Box<kafka::source::KafkaConfig>),
    /// The embedded durable topic.
    Topic(sql::source::topic::TopicConfig),
}

impl SourceConfig {
    /// Builds the stage; touches nothing outside.
    pub fn build(&self, context: &Context) -> Result<BuiltSource, Vec<Problem>> {
        match self {
            Self::Weather(config) => config.build(),
            Self::Table(config) => config.build(context),
            Self::Kafka(config) => config.build(context),
            Self::Topic(config) => config.build(context),
        }
    }
}
