//! `decode.protobuf`: wire format to Arrow columns.

use crate::config::{Context, OnError};
use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;

/// Reads `value` as a Protocol Buffers message; gives one column per field.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtobufConfig {
    /// The `.proto` file.
    pub schema: String,
    /// Full name of the message: `weather.Report`.
    pub message: String,
    /// What to do with bytes that are no such message.
    #[serde(default)]
    pub on_error: OnError,
}

impl ProtobufConfig {
    pub(super) fn build(&self, _input: &Schema, _context: &Context) -> Result<BuiltStage, Vec<Problem>> {
        unimplemented!()
    }
}
