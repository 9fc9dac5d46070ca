//! The pipeline file, exactly as written; the doc comments here and on the stages' configs are its reference.

use operators::config::{Interval, Size};
use operators::decode::DecodeConfig;
use operators::encode::EncodeConfig;
use operators::partition::PartitionConfig;
use operators::sink::SinkConfig;
use operators::source::SourceConfig;
use operators::transform::TransformConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// A pipeline: flows that run together in one process.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Name of the pipeline: lower-case letters, digits, `_` and `-`.
    pub name: String,
    /// Memory that the process stays within; half of it is for rows on their way, shared evenly by the flows.
    #[serde(default = "memory")]
    pub memory: Size,
    /// The flows, each a `[[flow]]`.
    pub flow: Vec<Flow>,
}

impl Pipeline {
    /// The name under which a flow's progress is stored: `weather/archive`.
    pub fn flow_id(&self, flow: &str) -> String {
        format!("{}/{flow}", self.name)
    }
}

/// One flow: rows from a source through stages into a sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Name of the flow, unique in the file: lower-case letters, digits, `_` and `-`.
    pub name: String,
    /// When an epoch closes and is committed.
    #[serde(default)]
    pub commit: CommitConfig,
    /// How long a flow whose servers do not answer is begun again from its last commit, until the run ends.
    #[serde(default = "retry_for")]
    pub retry_for: Interval,
    /// Where rows come from.
    pub source: SourceConfig,
    /// How the bytes of a message become columns.
    pub decode: Option<DecodeConfig>,
    /// What is done with rows, in order; each a `[[flow.transform]]`.
    #[serde(default)]
    pub transform: Vec<TransformConfig>,
    /// How columns become the bytes of a message.
    pub encode: Option<EncodeConfig>,
    /// How rows are spread over the sink's partitions.
    pub partition: Option<PartitionConfig>,
    /// Where rows go.
    pub sink: SinkConfig,
}

/// The slots of a flow that hold a stage, in the order rows pass them.
pub(super) const SLOTS: [&str; 6] = ["source", "decode", "transform", "encode", "partition", "sink"];

/// An epoch closes at the first of these.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CommitConfig {
    /// This long after the one before, or a tenth of it after its first row if that is later.
    pub every: Interval,
    /// With this many rows.
    #[schemars(range(min = 1))]
    pub rows: u64,
    /// With this many bytes of rows.
    pub bytes: Size,
}

impl Default for CommitConfig {
    fn default() -> Self {
        Self { every: Interval(Duration::from_secs(10)), rows: 4_000_000, bytes: Size(1 << 30) }
    }
}

pub(super) fn retry_for() -> Interval {
    Interval(Duration::from_secs(15 * 60))
}

fn memory() -> Size {
    Size(256 << 20)
}
