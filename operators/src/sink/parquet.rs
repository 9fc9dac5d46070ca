//! `sink.parquet`: batches of Parquet files, each published with its positions by one rename.

use crate::config::Context;
use crate::error::Problem;
use crate::schema::Schema;
use crate::stage::BuiltSink;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Writes Parquet files into a directory, one per partition and batch.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParquetConfig {
    /// The directory: `file:PATH`.
    pub url: String,
    /// How column chunks are compressed.
    #[serde(default)]
    pub compression: Compression,
}

/// How Parquet column chunks are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// not at all
    None,
    /// fast
    Snappy,
    /// small
    #[default]
    Zstd,
}

impl ParquetConfig {
    pub(super) fn build(&self, _input: &Schema, _context: &Context) -> Result<BuiltSink, Vec<Problem>> {
        unimplemented!()
    }
}
