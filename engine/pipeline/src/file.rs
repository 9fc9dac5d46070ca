//! The pipeline file, exactly as written; the doc comments here and on the stages' configs are its reference.

use operators_core::config::{Interval, Size};
use schemars::JsonSchema;
use serde::Deserialize;
use stages::decode::DecodeConfig;
use stages::encode::EncodeConfig;
use stages::harness::Rows;
use stages::partition::PartitionConfig;
use stages::sink::SinkConfig;
use stages::source::SourceConfig;
use stages::transform::TransformConfig;
use std::collections::BTreeMap;
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
    /// Tests of the flows, each a `[[test]]`, for `weatherflow test`; all else passes over them.
    #[serde(default)]
    pub test: Vec<Test>,
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

/// An epoch closes at the first of these.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CommitConfig {
    /// This long after the one before, a tenth less where nothing came in that tenth, or a tenth after its first row if
    /// that is later.
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

pub(crate) fn retry_for() -> Interval {
    Interval(Duration::from_secs(15 * 60))
}

fn memory() -> Size {
    Size(256 << 20)
}

/// A test: a flow with its real stages and commit, from rows in memory into a sink that is gone afterwards.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What it shows, in words.
    pub name: String,
    /// The flow it runs.
    pub flow: String,
    /// The rows that the source gives: a list of tables, text with a JSON object a line (`{ file = "rows.jsonl" }`), a
    /// number of rows to make up, or any of these for each partition: `{ 0 = [...], 3 = 100 }`. A row has the columns
    /// of the source, or those that the flow's decoder gives. Days and times are text, bytes are text or hexadecimal
    /// digits behind `0x`, and a column that is not written is null.
    pub rows: Rows,
    /// Other numbers made up.
    #[serde(default)]
    pub seed: u64,
    /// What closes an epoch, in the place of the flow's own settings.
    #[serde(default)]
    pub commit: TestCommit,
    /// Worker threads.
    #[serde(default = "workers")]
    #[schemars(range(min = 1, max = 256))]
    pub workers: u32,
    /// Where the program is killed and begun again: `"before commit 0"`, `"during commit 1"`, `"after commit 2"`, or a
    /// list of these, one after the other. Commits are counted from 0, as batches are.
    pub crash: Option<Crashes>,
    /// What must be there in the end, the same with all crashes and without any.
    #[serde(default)]
    pub expect: Expect,
}

/// When a test commits.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestCommit {
    /// With this many rows; without it, as many as the flow says. Time closes no epoch of a test.
    #[schemars(range(min = 1))]
    pub rows: Option<u64>,
}

/// One crash or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Crashes {
    /// one
    One(String),
    /// one after the other, each in a new run
    Several(Vec<String>),
}

/// What a test compares. Whatever is here, the sink's own audit must find nothing lost and nothing doubled.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The rows in the sink, in any form that rows have. A list is compared with all partitions, one after the other; by
    /// partition, those that are not named must be empty. A row is compared by the columns that it names.
    pub rows: Option<Rows>,
    /// Rows that were put aside, with the columns `source_partition`, `position`, `stage`, `reason` and `raw`.
    pub dead_letters: Option<Rows>,
    /// How many rows a transform left out.
    pub filtered: Option<u64>,
    /// How many rows were left out as they could not be processed.
    pub skipped: Option<u64>,
    /// The data files of a Parquet sink, all of them, by name.
    pub files: Option<Vec<String>>,
    /// The next position of each source partition; rows are counted from 0.
    pub positions: Option<BTreeMap<String, u64>>,
}

pub(crate) fn workers() -> u32 {
    1
}
