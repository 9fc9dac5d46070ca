//! Columns to bytes: each encoder keeps the columns it was given and adds `value`.

pub mod json;
pub mod protobuf;

use operators_core::config::Context;
use operators_core::error::Problem;
use operators_core::schema::Schema;
use operators_core::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;

/// How columns become the bytes of a message.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodeConfig {
    /// Protocol Buffers.
    Protobuf(protobuf::ProtobufConfig),
    /// JSON.
    Json(json::JsonConfig),
}

impl EncodeConfig {
    /// Builds the stage; touches nothing outside but the schema file it names.
    pub fn build(&self, input: &Schema, context: &Context) -> Result<BuiltStage, Vec<Problem>> {
        match self {
            Self::Protobuf(config) => config.build(input, context),
            Self::Json(config) => config.build(input),
        }
    }
}
