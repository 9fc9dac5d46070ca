//! What all answers are made of: the plan's graph, and the meters of what runs.

use runtime::Halt;
use runtime::meter::{Health, Meter, Reading};
use runtime::plan::Plan;
use serde::Serialize;
use stages::sample::Sampler;
use std::sync::Arc;
use std::time::Instant;

/// A run, for those who look at it. Looking only reads counters.
pub(crate) struct View {
    pub(super) pipeline: String,
    pub(super) flows: Vec<Watched>,
    pub(super) halt: Arc<Halt>,
    pub(super) began: Instant,
}

/// One flow of it.
pub(super) struct Watched {
    pub(super) name: String,
    pub(super) graph: Graph,
    pub(super) meter: Arc<Meter>,
}

/// The stages of a flow, and what flows between them.
#[derive(Debug, Serialize)]
pub(super) struct Graph {
    /// Source, stages and sink, in the order rows pass them.
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(Debug, Serialize)]
struct Node {
    /// `sink.parquet`
    name: String,
    /// What it does, or where rows come from or go, in words without secrets.
    summary: String,
}

#[derive(Debug, Serialize)]
struct Edge {
    /// Index of the node that gives.
    from: usize,
    /// Index of the node that takes.
    to: usize,
    /// The columns that pass.
    columns: String,
}

/// How a flow is doing, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Its source has not answered yet.
    Starting,
    Running,
    /// It begins again from its last commit, until it gets through or has run out of patience.
    TryingAgain,
    /// It is closing and committing what is open.
    Stopping,
    /// It has ended and everything is committed.
    Done,
    Failed,
}

impl Watched {
    pub(super) fn state(&self, reading: &Reading, halt: &Halt) -> State {
        match (halt.failure(), &reading.health) {
            (Some(failure), _) if failure.flow == self.name => State::Failed,
            (None, Health::Trouble(_)) => State::TryingAgain,
            _ if reading.done => State::Done,
            _ if halt.is_stopping() => State::Stopping,
            (_, Health::Starting) => State::Starting,
            _ => State::Running,
        }
    }
}

impl View {
    /// Of a plan and its meters, in the same order; the flows give samples from now on.
    pub(crate) fn new(plan: &Plan, meters: Vec<(String, Arc<Meter>)>, halt: Arc<Halt>) -> Self {
        let flows = plan.flows.iter().zip(meters).map(|(flow, (name, meter))| {
            let built = &flow.built;
            let stages = built.stages.iter().map(|stage| (&stage.name, &stage.built.about, Some(&stage.built.schema)));
            let source = (&built.source_name, &built.source.about, Some(&built.source.schema));
            let all: Vec<_> =
                [source].into_iter().chain(stages).chain([(&built.sink_name, &built.sink.about, None)]).collect();
            let columns: Vec<_> = all.iter().filter_map(|(_, _, schema)| *schema).collect();
            let node = |(name, about, _): &(&String, &operators_core::stage::About, _)| Node {
                name: (*name).clone(),
                summary: about.summary.clone(),
            };
            let edge = |(from, schema): (usize, &&operators_core::Schema)| Edge {
                from,
                to: from + 1,
                columns: schema.to_string(),
            };
            let graph =
                Graph { nodes: all.iter().map(node).collect(), edges: columns.iter().enumerate().map(edge).collect() };
            if let Some(sampler) = columns.last().and_then(|schema| Sampler::new(schema)) {
                meter.sample(sampler);
            }
            Watched { name, graph, meter }
        });
        Self { pipeline: plan.name.clone(), flows: flows.collect(), halt, began: Instant::now() }
    }
}
