//! `partition.source`: rows keep the partition they were read from.

use operators_core::chunk::Chunk;
use operators_core::error::{Problem, Result};
use operators_core::schema::Schema;
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Keeps the partitions of the source.
///
/// ```toml
/// [flow.partition.source]
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {}

impl SourceConfig {
    pub(super) fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        Ok(BuiltStage {
            stage: Arc::new(Source),
            schema: input.clone(),
            partitions: None,
            dead_letters: false,
            about: About { summary: "the partitions of the source".to_owned(), fingerprint: Vec::new() },
        })
    }
}

struct Source;

impl Stage for Source {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(Self)
    }
}

impl Apply for Source {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        Ok(Applied { rows: vec![chunk], ..Applied::default() })
    }
}
