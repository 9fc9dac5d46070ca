//! `/status`: everything that is known of the run, as JSON. Times are milliseconds since 1970, lengths of time seconds.

use super::view::{Graph, State, View, Watched};
use axum::Json;
use axum::extract::State as Of;
use axum::response::{IntoResponse, Response};
use operators_core::Lag;
use operators_core::progress::Tally;
use runtime::meter::{Landed, Latency, StageReading, Trouble};
use runtime::{Failure, Halt};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) async fn status(Of(view): Of<Arc<View>>) -> Response {
    Json(Status::of(&view)).into_response()
}

/// The run at one moment.
#[derive(Serialize)]
pub(super) struct Status<'a> {
    pipeline: &'a str,
    /// Of the program.
    version: &'static str,
    at: u128,
    uptime: f64,
    flows: Vec<FlowStatus<'a>>,
}

#[derive(Serialize)]
struct FlowStatus<'a> {
    name: &'a str,
    state: State,
    /// Why it does not run.
    error: Option<ErrorStatus>,
    graph: &'a Graph,
    /// What has passed each node of the graph, in its order; rows that are read again are counted again.
    passed: Vec<Passed>,
    /// Rows read in this run, committed or not.
    read: u64,
    /// Rows committed in this run.
    committed: Tally,
    /// The last commit of this run.
    version: Option<u64>,
    /// Next position of every source partition after it.
    positions: BTreeMap<u32, u64>,
    /// The last commits of this run, the newest at the end.
    commits: Vec<CommitStatus>,
    commit_duration: Duration,
    /// Rows in the source that are not read yet, by partition, where it can tell.
    lag: Lag,
    epochs_in_flight: u64,
    epoch_age: Option<f64>,
    memory_used: u64,
    memory_limit: u64,
    restarts: u64,
    /// The last of what went wrong, the newest at the end.
    troubles: Vec<TroubleStatus>,
}

#[derive(Serialize)]
struct Passed {
    rows: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct ErrorStatus {
    stage: Option<String>,
    reason: String,
}

#[derive(Serialize)]
struct TroubleStatus {
    at: u128,
    #[serde(flatten)]
    error: ErrorStatus,
}

#[derive(Serialize)]
struct CommitStatus {
    at: u128,
    version: u64,
    tally: Tally,
    took: f64,
}

#[derive(Serialize)]
struct Duration {
    count: u64,
    sum: f64,
    /// Commits that took at most so many seconds: bound and number.
    buckets: Vec<(f64, u64)>,
}

impl<'a> Status<'a> {
    pub(super) fn of(view: &'a View) -> Self {
        Self {
            pipeline: &view.pipeline,
            version: env!("CARGO_PKG_VERSION"),
            at: milliseconds(SystemTime::now()),
            uptime: view.began.elapsed().as_secs_f64(),
            flows: view.flows.iter().map(|flow| FlowStatus::of(flow, &view.halt)).collect(),
        }
    }
}

impl<'a> FlowStatus<'a> {
    fn of(flow: &'a Watched, halt: &Halt) -> Self {
        let reading = flow.meter.read();
        let progress = reading.last_commit.as_ref().map(|(_, progress)| progress);
        Self {
            name: &flow.name,
            state: flow.state(&reading, halt),
            error: reading.trouble().cloned().map(Into::into),
            graph: &flow.graph,
            version: progress.map(|progress| progress.version.0),
            positions: progress
                .map(|progress| progress.positions.0.iter().map(|(&partition, at)| (partition, at.0)).collect())
                .unwrap_or_default(),
            passed: reading.passed.into_iter().map(Into::into).collect(),
            read: reading.read,
            committed: reading.committed,
            commits: reading.commits.into_iter().map(Into::into).collect(),
            commit_duration: reading.latency.into(),
            lag: reading.lag,
            epochs_in_flight: reading.epochs,
            epoch_age: reading.epoch_age.map(|age| age.as_secs_f64()),
            memory_used: reading.memory.0,
            memory_limit: reading.memory.1,
            restarts: reading.restarts,
            troubles: reading.troubles.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<StageReading> for Passed {
    fn from(stage: StageReading) -> Self {
        Self { rows: stage.rows, bytes: stage.bytes }
    }
}

impl From<Landed> for CommitStatus {
    fn from(commit: Landed) -> Self {
        let Landed { at, version, tally, took } = commit;
        Self { at: milliseconds(at), version, tally, took: took.as_secs_f64() }
    }
}

impl From<Latency> for Duration {
    fn from(latency: Latency) -> Self {
        let buckets = Latency::BOUNDS.into_iter().zip(latency.buckets).collect();
        Self { count: latency.count, sum: latency.sum.as_secs_f64(), buckets }
    }
}

impl From<Failure> for ErrorStatus {
    fn from(failure: Failure) -> Self {
        Self { stage: failure.stage, reason: failure.reason }
    }
}

impl From<Trouble> for TroubleStatus {
    fn from(trouble: Trouble) -> Self {
        Self { at: milliseconds(trouble.at), error: trouble.failure.into() }
    }
}

fn milliseconds(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
