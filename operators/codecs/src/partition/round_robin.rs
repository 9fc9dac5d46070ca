//! `partition.round_robin`: rows take turns.

use super::split::{self, Turns};
use operators_core::chunk::Chunk;
use operators_core::error::{Problem, Result};
use operators_core::schema::Schema;
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Spreads rows evenly: each goes to the partition after the one before it.
///
/// Every worker counts its own rows, and counts from partition 0 in each run.
///
/// ```toml
/// [flow.partition.round_robin]
/// partitions = 4
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoundRobinConfig {
    /// Number of partitions.
    pub partitions: u32,
}

impl RoundRobinConfig {
    pub(super) fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        if let Some(problem) = split::check(self.partitions) {
            return Err(vec![problem]);
        }
        Ok(BuiltStage {
            stage: Arc::new(RoundRobin { partitions: self.partitions }),
            schema: input.clone(),
            partitions: Some(self.partitions),
            dead_letters: false,
            about: About {
                summary: format!("in turns over {} partitions", self.partitions),
                fingerprint: vec![("partitions", self.partitions.to_string())],
            },
        })
    }
}

struct RoundRobin {
    partitions: u32,
}

impl Stage for RoundRobin {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(Handle { partitions: self.partitions, turns: Turns::new(self.partitions) })
    }
}

struct Handle {
    partitions: u32,
    turns: Turns,
}

impl Apply for Handle {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        let rows = split::split(chunk, self.partitions, |_| self.turns.take())?;
        Ok(Applied { rows, ..Applied::default() })
    }
}
