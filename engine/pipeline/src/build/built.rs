//! Flows that can run.

use crate::file::CommitConfig;
use operators_core::config::Interval;
use operators_core::progress::Fingerprint;
use operators_core::stage::{BuiltSink, BuiltSource, BuiltStage};

/// A flow with every stage built; the columns of each fit the next.
pub struct BuiltFlow {
    /// Unique in the file.
    pub name: String,
    /// Pipeline and flow, under which its progress is stored: `weather/archive`.
    pub id: String,
    /// When an epoch closes.
    pub commit: CommitConfig,
    /// How long it is begun again without a commit.
    pub retry_for: Interval,
    /// Name of the source: `source.topic`.
    pub source_name: String,
    /// Where rows come from.
    pub source: BuiltSource,
    /// The stages between source and sink, in the order rows pass them.
    pub stages: Vec<NamedStage>,
    /// Name of the sink: `sink.parquet`.
    pub sink_name: String,
    /// Where rows go.
    pub sink: BuiltSink,
    /// What gives stored positions their meaning: `source.topic.topic` and alike, and `sink.columns`.
    pub fingerprint: Fingerprint,
}

impl BuiltFlow {
    /// Names of source, stages and sink, in the order rows pass them.
    pub fn stage_names(&self) -> Vec<String> {
        let stages = self.stages.iter().map(|stage| &stage.name);
        [&self.source_name].into_iter().chain(stages).chain([&self.sink_name]).cloned().collect()
    }
}

/// A stage between source and sink.
#[derive(Clone)]
pub struct NamedStage {
    /// Slot and kind: `decode.protobuf`; unique in its flow, the second filter is `transform.filter#2`.
    pub name: String,
    /// The stage.
    pub built: BuiltStage,
}
