//! `encode.protobuf`: Arrow columns to wire format.

use crate::config::{Context, OnError};
use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;

/// Writes one Protocol Buffers message per row into `value`; columns and fields match by name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtobufConfig {
    /// The `.proto` file.
    pub schema: String,
    /// Full name of the message: `weather.Report`.
    pub message: String,
    /// What to do with a row that the message cannot hold.
    #[serde(default)]
    pub on_error: OnError,
}

impl ProtobufConfig {
    pub(super) fn build(&self, _input: &Schema, _context: &Context) -> Result<BuiltStage, Vec<Problem>> {
        unimplemented!()
    }
}
