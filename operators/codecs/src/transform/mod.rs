//! Columns to columns.

pub mod cast;
pub mod filter;
pub mod select;
#[cfg(test)]
mod tests;

use operators_core::error::Problem;
use operators_core::schema::Schema;
use operators_core::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;

/// What can be done with rows between decoding and encoding.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransformConfig {
    /// Keeps some rows.
    Filter(filter::FilterConfig),
    /// Keeps some columns, in the order given, and renames them.
    Select(select::SelectConfig),
    /// Changes the types of columns.
    Cast(cast::CastConfig),
}

impl TransformConfig {
    /// Builds the stage; touches nothing outside.
    pub fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        match self {
            Self::Filter(config) => config.build(input),
            Self::Select(config) => config.build(input),
            Self::Cast(config) => config.build(input),
        }
    }
}
