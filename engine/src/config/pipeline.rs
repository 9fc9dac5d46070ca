//! stub
use operators::config::{Interval, Size};
use operators::progress::Fingerprint;
use operators::stage::{BuiltSink, BuiltSource, BuiltStage};

/// When an epoch closes: at the first of these.
#[derive(Clone, Copy, Debug)]
pub struct CommitConfig {
    /// time
    pub every: Interval,
    /// rows
    pub rows: u64,
    /// bytes
    pub bytes: Size,
}
/// flow
pub struct BuiltFlow {
    /// n
    pub name: String,
    /// c
    pub commit: CommitConfig,
    /// s
    pub source: BuiltSource,
    /// s
    pub stages: Vec<NamedStage>,
    /// s
    pub sink: BuiltSink,
    /// f
    pub fingerprint: Fingerprint,
    /// f
    pub source_name: String,
    /// f
    pub sink_name: String,
}
/// stage
pub struct NamedStage {
    /// n
    pub name: String,
    /// b
    pub built: BuiltStage,
}
