//! Starts a plan, waits for its end, sums it up.

use crate::budget::Budget;
use crate::dataflow::worker::{Blueprint, execute};
use crate::flow::{End, Flow};
use crate::halt::{Failure, Halt};
use crate::meter::Meter;
use crate::plan::{Plan, PlannedFlow, Resume, fits};
use crate::threads::Threads;
use crate::threads::committer::Begin;
use operators::Error;
use operators::progress::{Run, Version};
use std::sync::{Arc, Mutex, OnceLock};

/// Rows on their way may hold `1 / ROWS_SHARE` of the memory; the rest is for what cannot be charged to them: encoders
/// and their files, databases, the allocator's slack.
const ROWS_SHARE: u64 = 2;

/// A plan whose meters can be read while it runs.
pub struct Running {
    plan: Plan,
    drain: bool,
    halt: Arc<Halt>,
    meters: Vec<Arc<Meter>>,
}

impl Running {
    /// Prepares a run. With `drain` it ends by itself once every source has ended or caught up.
    pub fn new(plan: Plan, drain: bool, halt: Arc<Halt>) -> Self {
        let meters = plan.flows.iter().map(|_| Arc::new(Meter::new(plan.workers))).collect();
        Self { plan, drain, halt, meters }
    }

    /// The flows' names and meters, in the order of the file.
    pub fn meters(&self) -> Vec<(String, Arc<Meter>)> {
        let names = self.plan.flows.iter().map(|flow| flow.built.name.clone());
        names.zip(self.meters.iter().cloned()).collect()
    }

    /// Runs until every source has ended, or the halt says stop, or something fails.
    pub fn run(self) -> Result<(), Failure> {
        let id = uuid::Uuid::now_v7().to_string();
        let memory = self.plan.memory / ROWS_SHARE / self.plan.flows.len().max(1) as u64;
        let mut blueprints = Vec::with_capacity(self.plan.flows.len());
        for (planned, meter) in self.plan.flows.iter().zip(&self.meters) {
            let run = Run { id: id.clone(), flow: planned.id.clone() };
            let flow = Flow {
                name: planned.built.name.clone(),
                run,
                commit: planned.built.commit,
                source: Arc::clone(&planned.built.source.source),
                fingerprint: planned.built.fingerprint.clone(),
                identity: OnceLock::new(),
                sink: Arc::clone(&planned.built.sink.sink),
                workers: self.plan.workers,
                halt: Arc::clone(&self.halt),
                budget: Budget::new(memory),
                meter: Arc::clone(meter),
                end: self.end(planned),
                open: crate::flow::OpenEpoch::default(),
            };
            let name = flow.name.clone();
            blueprints.push(open(planned, flow).map_err(|error| Failure { flow: name, reason: error.to_string() })?);
        }
        let threads = Arc::new(Threads::default());
        let executed = execute(blueprints, self.plan.workers, &self.halt, &threads);
        threads.join();
        if let Err(error) = executed {
            self.halt.fail(&self.plan.name, format!("a worker stopped: {error}"));
        }
        self.halt.failure().cloned().map_or(Ok(()), Err)
    }

    fn end(&self, planned: &PlannedFlow) -> End {
        if self.drain {
            End::After(planned.upstream.iter().map(|&index| Arc::clone(&self.meters[index])).collect())
        } else {
            End::Never
        }
    }
}

/// Takes the sink over, and goes on from what it then says: the plan's own look may be older.
fn open(planned: &PlannedFlow, flow: Flow) -> Result<Blueprint, Error> {
    let built = &planned.built;
    // Refused before anything outside is touched.
    if let Resume::Refused(reason) = &planned.resume {
        return Err(Error::Other(reason.clone()));
    }
    let opened = built.sink.sink.open(&flow.run)?;
    if let Some(progress) = &opened.progress {
        fits(built, progress)?;
        if let Some(identity) = &progress.source {
            flow.identity.get_or_init(|| identity.clone());
        }
    }
    let first = opened.progress.as_ref().map_or(Version::FIRST, |progress| progress.version.next());
    let from = opened.progress.as_ref().map(|progress| progress.positions.clone()).unwrap_or_default();
    let stages = built.stages.iter().map(|stage| (stage.name.clone(), Arc::clone(&stage.built.stage))).collect();
    let begin = Begin { committer: opened.committer, last: opened.progress };
    Ok(Blueprint { flow: Arc::new(flow), stages, from, first, begin: Mutex::new(Some(begin)) })
}
