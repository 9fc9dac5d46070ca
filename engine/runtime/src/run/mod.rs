//! Starts a plan, keeps each of its flows going, waits for their end.

mod retry;

use crate::dataflow::worker::{Blueprint, execute};
use crate::flow::budget::Budget;
use crate::flow::epoch::OpenEpoch;
use crate::flow::halt::{Failure, Halt};
use crate::flow::meter::Meter;
use crate::flow::{End, Flow, bug, panicked};
use crate::plan::{Plan, PlannedFlow, Resume, fits};
use crate::run::retry::Patience;
use crate::threads::Threads;
use crate::threads::committer::Begin;
use operators_core::progress::{Progress, Run, Tally, Version};
use operators_core::{Checkpoint, Error};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};

/// Rows on their way may hold `1 / ROWS_SHARE` of the memory; the rest is for what cannot be charged to them: encoders
/// and their files, databases, the allocator's slack.
const ROWS_SHARE: u64 = 2;

/// A plan whose meters can be read while it runs.
pub struct Running {
    plan: Arc<Plan>,
    drain: bool,
    halt: Arc<Halt>,
    meters: Vec<Arc<Meter>>,
    /// Begins the id of every run of this process.
    process: String,
}

impl Running {
    /// Prepares a run. With `drain` it ends by itself once every source has ended or caught up.
    pub fn new(plan: Plan, drain: bool, halt: Arc<Halt>) -> Self {
        let memory = plan.memory / ROWS_SHARE / plan.flows.len().max(1) as u64;
        let meter = |flow: &PlannedFlow| Arc::new(Meter::new(flow.built.stage_names(), Budget::new(memory)));
        let meters = plan.flows.iter().map(meter).collect();
        Self { plan: Arc::new(plan), drain, halt, meters, process: uuid::Uuid::now_v7().to_string() }
    }

    /// What runs.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    /// The flows' names and meters, in the order of the file.
    pub fn meters(&self) -> Vec<(String, Arc<Meter>)> {
        let names = self.plan.flows.iter().map(|flow| flow.built.name.clone());
        names.zip(self.meters.iter().cloned()).collect()
    }

    /// Runs until every source has ended, or the halt says stop, or something fails for good.
    pub fn run(self) -> Result<(), Failure> {
        // Refused before anything outside is touched.
        for PlannedFlow { built, resume, .. } in &self.plan.flows {
            if let Resume::Refused(reason) = resume {
                return Err(Failure::new(&built.name, &Error::Other(reason.clone())));
            }
        }
        std::thread::scope(|scope| {
            for (planned, meter) in self.plan.flows.iter().zip(&self.meters) {
                scope.spawn(|| self.keep(planned, meter));
            }
        });
        self.halt.failure().cloned().map_or(Ok(()), Err)
    }

    /// Runs a flow to its end; what may pass begins it again from its last commit.
    fn keep(&self, planned: &PlannedFlow, meter: &Arc<Meter>) {
        // What is logged while the sink opens and between attempts is of this flow too.
        let _span = tracing::error_span!("flow", flow = %planned.built.name).entered();
        let mut patience = Patience::new(planned.built.retry_for.0, planned.built.commit.every.0);
        let mut earlier = Earlier::default();
        while let Err(failure) = self.guarded(planned, meter, &mut earlier) {
            earlier.attempts += 1;
            if !failure.may_pass || self.halt.is_stopping() {
                // What ends the others is not their trouble.
                if failure.flow == planned.built.name {
                    meter.add_trouble(&failure);
                }
                return self.halt.fail(failure);
            }
            let Some(pause) = patience.after_failure(&meter.read()) else {
                let lost = patience.lost(failure);
                meter.add_trouble(&lost);
                return self.halt.fail(lost);
            };
            tracing::info!(%failure, ?pause, "begins again from the last commit");
            meter.add_restart(&failure);
            self.halt.sleep(pause);
            patience.begin();
        }
        planned.built.source.source.ended();
    }

    /// An attempt, in which a panic outside its threads is a failure like one in them.
    fn guarded(&self, planned: &PlannedFlow, meter: &Arc<Meter>, earlier: &mut Earlier) -> Result<(), Failure> {
        let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt(planned, meter, earlier)));
        attempt.unwrap_or_else(|panic| Err(Failure::new(&planned.built.name, &bug(panicked("it", &*panic)))))
    }

    /// Runs a flow once, from its last commit to its end or its first failure; nothing of it is left then.
    fn attempt(&self, planned: &PlannedFlow, meter: &Arc<Meter>, earlier: &mut Earlier) -> Result<(), Failure> {
        let built = &planned.built;
        let halt = Halt::below(&self.halt);
        let flow = Flow {
            name: built.name.clone(),
            // A run id of its own: what a server still does for an earlier attempt is fenced like another process.
            run: Run { id: format!("{}-{}", self.process, earlier.attempts), flow: planned.built.id.clone() },
            commit: built.commit,
            source_name: built.source_name.clone(),
            source: Arc::clone(&built.source.source),
            fingerprint: built.fingerprint.clone(),
            identity: OnceLock::new(),
            sink_name: built.sink_name.clone(),
            sink: Arc::clone(&built.sink.sink),
            workers: self.plan.workers,
            halt: Arc::clone(&halt),
            budget: Arc::clone(meter.budget()),
            meter: Arc::clone(meter),
            end: self.end(planned),
            open: OpenEpoch::default(),
        };
        let committed = meter.read().last_commit.map(|(_, progress)| progress.version);
        let last = earlier.last_seen.after(committed);
        let owned = self.still_owns(planned, last).and_then(|()| open(planned, flow, last));
        let (blueprint, found) = owned.map_err(|error| Failure::new(&built.name, &error))?;
        earlier.take_over(last, found, meter);
        let threads = Arc::new(Threads::default());
        let executed = execute(blueprint, &threads);
        threads.join();
        if let Err(error) = executed {
            halt.fail(Failure::new(&built.name, &Error::Other(format!("a worker stopped: {error}"))));
        }
        halt.failure().cloned().map_or(Ok(()), Err)
    }

    /// An attempt may not take over from a copy that has committed since this process last did: that copy is newer.
    fn still_owns(&self, planned: &PlannedFlow, last: LastSeen) -> Result<(), Error> {
        if last == LastSeen::NeverOpened {
            return Ok(());
        }
        let sink = &planned.built.sink;
        let Some(there) = sink.sink.progress(&planned.built.id)? else { return Ok(()) };
        if there.run.id.starts_with(&self.process) || last.includes(there.version) {
            return Ok(());
        }
        let reason = format!("run {} has committed version {} since", there.run.id, there.version);
        Err(Error::Fenced { place: sink.place.clone(), reason })
    }

    fn end(&self, planned: &PlannedFlow) -> End {
        if self.drain {
            End::After(planned.upstream.iter().map(|&index| Arc::clone(&self.meters[index])).collect())
        } else {
            End::Never
        }
    }
}

/// What the attempts before this one leave behind.
#[derive(Default)]
struct Earlier {
    attempts: u32,
    /// What the sink held when it was last taken over.
    last_seen: LastSeen,
    /// What it held of the flow when it was first taken over.
    before: Tally,
}

impl Earlier {
    /// The sink is taken over, and holds `found`; until now this process had seen `last`.
    fn take_over(&mut self, last: LastSeen, found: Option<Progress>, meter: &Meter) {
        self.last_seen = found.as_ref().map_or(LastSeen::Empty, |progress| LastSeen::At(progress.version));
        match (last, found) {
            (LastSeen::NeverOpened, found) => self.before = found.map(|progress| progress.totals).unwrap_or_default(),
            (LastSeen::Empty | LastSeen::At(_), Some(found)) if !last.includes(found.version) => {
                meter.add_found(found.totals - self.before, found);
            }
            (LastSeen::Empty | LastSeen::At(_), _) => {}
        }
    }
}

/// The last commit that this process has seen in a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LastSeen {
    /// It has not opened the sink yet.
    #[default]
    NeverOpened,
    /// The sink held no commit of the flow.
    Empty,
    /// The sink held, or was given, this version.
    At(Version),
}

impl LastSeen {
    /// The same after commits of this process, of which `committed` is the last.
    fn after(self, committed: Option<Version>) -> Self {
        match (self, committed) {
            (Self::NeverOpened, _) | (_, None) => self,
            (Self::Empty, Some(version)) => Self::At(version),
            (Self::At(seen), Some(version)) => Self::At(seen.max(version)),
        }
    }

    /// Whether a commit is one of those seen.
    fn includes(self, version: Version) -> bool {
        match self {
            Self::NeverOpened | Self::Empty => false,
            Self::At(last) => version <= last,
        }
    }
}

/// Takes the sink over, and goes on from what it then says: the plan's own look may be older.
fn open(planned: &PlannedFlow, flow: Flow, last: LastSeen) -> Result<(Blueprint, Option<Progress>), Error> {
    let built = &planned.built;
    let opened = built.sink.sink.open(&flow.run)?;
    if let Some(progress) = &opened.progress {
        fits(built, progress)?;
        if let Some(identity) = &progress.source {
            flow.identity.get_or_init(|| identity.clone());
        }
        built.source.source.anchored(&progress.anchors);
    }
    let found = opened.progress.as_ref().map(|progress| progress.version);
    if let LastSeen::At(known) = last
        && found.is_none_or(|found| found < known)
    {
        let holds = found.map_or("nothing".to_owned(), |found| format!("version {found}"));
        return Err(Error::Refused {
            place: built.sink.place.clone(),
            reason: format!(
                "version {known} was committed, and now {holds} is there: it was deleted, replaced, or has lost what it \
                 had confirmed. Put it back; or start again, and the flow goes on from what is there"
            ),
        });
    }
    let first = found.map_or(Version::FIRST, Version::next);
    let from = opened.progress.as_ref().map(|progress| progress.positions.clone()).unwrap_or_default();
    let stages = built.stages.iter().map(|stage| (stage.name.clone(), Arc::clone(&stage.built.stage))).collect();
    let starts = match opened.progress {
        Some(_) => Checkpoint::default(),
        None => built.source.source.starts()?,
    };
    let begin = Begin { committer: opened.committer, last: opened.progress.clone(), starts };
    let blueprint = Blueprint { flow: Arc::new(flow), stages, from, first, begin: Mutex::new(Some(begin)) };
    Ok((blueprint, opened.progress))
}
