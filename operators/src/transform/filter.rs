//! `transform.filter`: keeps the rows whose column passes a comparison.

use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltStage;
use schemars::JsonSchema;
use serde::Deserialize;

/// Keeps the rows for which every comparison given holds; a null passes none but `is_null`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    /// The column to look at.
    pub column: String,
    /// equal to
    pub eq: Option<Scalar>,
    /// not equal to
    pub ne: Option<Scalar>,
    /// less than
    pub lt: Option<Scalar>,
    /// at most
    pub le: Option<Scalar>,
    /// greater than
    pub gt: Option<Scalar>,
    /// at least
    pub ge: Option<Scalar>,
    /// whether it is null
    pub is_null: Option<bool>,
}

/// A value to compare with; dates and timestamps are written as strings.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// true or false
    Bool(bool),
    /// a whole number
    Int(i64),
    /// any number
    Float(f64),
    /// text
    String(String),
}

impl FilterConfig {
    pub(super) fn build(&self, _input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        unimplemented!()
    }
}
