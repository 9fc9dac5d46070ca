//! Builds a flow's graph on each worker, and drives it until it has ended or failed.

use super::parcel::Entry;
use super::{apply, commit, read, write};
use crate::flow::Flow;
use crate::flow::epoch::Epoch;
use crate::threads::Threads;
use crate::threads::committer::Begin;
use operators_core::Checkpoint;
use operators_core::progress::Version;
use operators_core::stage::Stage;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timely::dataflow::operators::probe::Handle as Probe;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Concatenate, Probe as _};
use timely::scheduling::Activator;
use timely::worker::Worker;

/// A flow, ready to be built on every worker.
pub(crate) struct Blueprint {
    pub(crate) flow: Arc<Flow>,
    /// Stages between source and sink, by name.
    pub(crate) stages: Vec<(String, Arc<dyn Stage>)>,
    /// Where the source begins.
    pub(crate) from: Checkpoint,
    /// The version of the first commit.
    pub(crate) first: Version,
    /// Taken by the worker that commits.
    pub(crate) begin: Mutex<Option<Begin>>,
}

/// Runs a flow on its workers; returns when it has ended or failed.
pub(crate) fn execute(blueprint: Blueprint, threads: &Arc<Threads>) -> Result<(), String> {
    let config = timely::Config {
        communication: match blueprint.flow.workers {
            1 => timely::CommunicationConfig::Thread,
            n => timely::CommunicationConfig::Process(n as usize),
        },
        // A worker that has nothing to do parks at once: data and timers wake it.
        worker: timely::WorkerConfig::default().idle_spin(Duration::ZERO),
    };
    let threads = Arc::clone(threads);
    let guards = timely::execute(config, move |worker| {
        let graph = build(worker, &blueprint, &threads);
        drive(worker, graph);
    })?;
    for result in guards.join() {
        result?;
    }
    Ok(())
}

/// A flow's graph on one worker.
struct Graph {
    flow: Arc<Flow>,
    durable: Probe<Epoch>,
    reader: Activator,
    seen: Option<Epoch>,
}

fn build(worker: &mut Worker, blueprint: &Blueprint, threads: &Threads) -> Graph {
    let Blueprint { flow, stages, from, first, begin } = blueprint;
    let durable = Probe::new();
    let reader = worker.dataflow_named(&flow.name, |scope| {
        let (mut chunks, spans, reader) = read::read(scope, flow, threads, from.clone(), durable.clone());
        let mut entries = vec![spans.clone().map(Entry::Read)];
        for (place, (name, stage)) in (1..).zip(stages) {
            let (applied, left_out) = apply::apply(flow, (place, name), stage, chunks);
            chunks = applied;
            entries.push(left_out);
        }
        let begin = (scope.index() == commit::COMMITTER)
            .then(|| begin.lock().unwrap_or_else(PoisonError::into_inner).take())
            .flatten();
        let deliveries = write::write(flow, threads, *first, chunks, spans);
        let entries = scope.concatenate(entries);
        commit::commit(flow, threads, begin, deliveries, entries).probe_with(&durable);
        reader
    });
    Graph { flow: Arc::clone(flow), durable, reader, seen: Some(0) }
}

fn drive(worker: &mut Worker, mut graph: Graph) {
    while graph.flow.halt.failure().is_none() && worker.step_or_park(None) {
        graph.follow();
    }
    graph.follow();
    // After a failure nothing may be stepped any more: frontiers of half-done epochs must not pass.
    for dataflow in worker.installed_dataflows() {
        worker.drop_dataflow(dataflow);
    }
}

impl Graph {
    /// Lets the source go on when an epoch has become durable.
    fn follow(&mut self) {
        let at = self.durable.with_frontier(|frontier| frontier.first().copied());
        if at != self.seen {
            self.seen = at;
            self.reader.activate();
        }
        if at.is_none() && self.flow.halt.failure().is_none() {
            self.flow.meter.set_done();
        }
    }
}
