//! `source.topic`: the messages of the embedded topic, in the order of their offsets.

use crate::config::Context;
use crate::error::Problem;
use crate::stage::BuiltSource;
use schemars::JsonSchema;
use serde::Deserialize;

/// Reads the messages of an embedded topic; gives the columns `key` and `value`, both bytes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    /// The database that holds the topic: `sqlite:PATH`.
    pub url: String,
    /// The topic.
    pub topic: String,
}

impl TopicConfig {
    pub(super) fn build(&self, _context: &Context) -> Result<BuiltSource, Vec<Problem>> {
        unimplemented!()
    }
}
