//! `sink.topic`: messages and progress in one SQL transaction of the embedded topic.

use crate::config::Context;
use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltSink;
use schemars::JsonSchema;
use serde::Deserialize;

/// Appends messages to an embedded topic: the column `value`, and `key` where there is one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    /// The database that holds the topic: `sqlite:PATH`.
    pub url: String,
    /// The topic.
    pub topic: String,
}

impl TopicConfig {
    pub(super) fn build(
        &self,
        _input: &Schema,
        _partitions: Option<u32>,
        _context: &Context,
    ) -> Result<BuiltSink, Vec<Problem>> {
        unimplemented!()
    }
}
