//! Runs a test of a pipeline file: the flow, life after life, then what was found beside what was expected.
//!
//! A test with crashes runs without them first. Then it runs with them, and where a commit is published in several steps
//! that a crash may stand between, once for each: all must end alike.

mod compare;
mod diff;
#[cfg(test)]
mod tests;

use crate::config::pipeline::CommitConfig;
use crate::config::{BuiltFlow, BuiltTest};
use crate::halt::Halt;
use crate::plan::{Plan, PlannedFlow, Resume};
use crate::report::counted;
use crate::run::Running;
use operators::config::{Interval, Size};
use operators::trial::{Crash, Found, Lived, Moment, World};
use std::sync::Arc;
use std::time::Duration;

/// Longer than any test takes: time closes no epoch of a test.
const NEVER: Duration = Duration::from_hours(24);

/// How a test went.
pub(crate) struct Verdict {
    /// How often the flow was run from its first row on.
    pub(crate) runs: u64,
    /// What was wrong with the last of these; nothing when the test passed.
    pub(crate) failed: Option<Failed>,
}

/// A run that did not end as expected.
pub(crate) struct Failed {
    /// The crashes it had.
    pub(crate) crashes: Vec<Crash>,
    /// Everything that was wrong, each in its lines.
    pub(crate) problems: Vec<String>,
}

/// What the runs of a test share.
pub(crate) struct Tested<'a> {
    pub(crate) test: &'a BuiltTest,
    pub(crate) flow: &'a BuiltFlow,
    /// The name under which its progress is stored.
    pub(crate) id: String,
    /// Bytes that rows on their way may hold.
    pub(crate) memory: u64,
}

/// Why a run has nothing to compare.
enum Broken {
    /// A crash is at a step that its commit does not have: all steps have been seen.
    NoSuchStep,
    /// In words.
    Failed(String),
}

impl From<operators::Error> for Broken {
    fn from(error: operators::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Tested<'_> {
    pub(crate) fn verdict(&self) -> Verdict {
        let mut runs = 1;
        let failed = |runs, crashes: &[Crash], problems| {
            let crashes = crashes.to_vec();
            Verdict { runs, failed: Some(Failed { crashes, problems }) }
        };
        let whole = match self.run(&[]) {
            Ok(found) => found,
            Err(Broken::Failed(reason)) => return failed(runs, &[], vec![reason]),
            Err(Broken::NoSuchStep) => return failed(runs, &[], Vec::new()),
        };
        let problems = compare::with_expected(&self.test.expect, &whole, self.test.rows.count());
        if !problems.is_empty() {
            return failed(runs, &[], problems);
        }
        for step in 0.. {
            let crashes: Vec<_> = self.test.crashes.iter().map(|crash| at_step(*crash, step)).collect();
            // Without a crash that has steps, the second turn would be the first one again.
            if crashes.is_empty() || (step > 0 && crashes == self.test.crashes) {
                break;
            }
            let problems = match self.run(&crashes) {
                Ok(found) => {
                    let mut problems = compare::with_expected(&self.test.expect, &found, self.test.rows.count());
                    if problems.is_empty() {
                        problems = compare::with_uninterrupted(&whole, &found);
                    }
                    problems
                }
                Err(Broken::NoSuchStep) => break,
                Err(Broken::Failed(reason)) => vec![reason],
            };
            runs += 1;
            if !problems.is_empty() {
                return failed(runs, &crashes, problems);
            }
        }
        Verdict { runs, failed: None }
    }

    /// Runs the flow from its first row to its end, through these crashes.
    fn run(&self, crashes: &[Crash]) -> Result<Found, Broken> {
        let world = self.test.trial.world()?;
        for crash in crashes {
            let (lived, ended) = self.live(&world, Some(*crash))?;
            match ended {
                _ if lived.crashed() => {}
                Err(reason) => return Err(Broken::Failed(reason)),
                Ok(()) => return Err(not_reached(*crash, lived.last_commit())),
            }
            world.crash(self.test.seed);
        }
        let (_, ended) = self.live(&world, None)?;
        ended.map_err(Broken::Failed)?;
        Ok(world.found(&self.id)?)
    }

    /// One life of the program; how it ended, and its failure if it had one.
    fn live(&self, world: &World<'_>, crash: Option<Crash>) -> Result<(Lived, Result<(), String>), Broken> {
        let Self { test, flow, .. } = self;
        let (source, sink, lived) = world.begin(&test.rows, test.commit_rows, crash)?;
        let rows = test.commit_rows.saturating_mul(test.workers.into());
        let built = BuiltFlow {
            name: flow.name.clone(),
            // One worker reads all, and each may read its share of these.
            commit: CommitConfig { every: Interval(NEVER), rows, bytes: Size(u64::MAX) },
            retry_for: Interval(Duration::ZERO),
            source_name: flow.source_name.clone(),
            source,
            stages: flow.stages.clone(),
            sink_name: flow.sink_name.clone(),
            sink,
            fingerprint: flow.fingerprint.clone(),
        };
        let flow = PlannedFlow {
            built: Arc::new(built),
            id: self.id.clone(),
            resume: Resume::Beginning,
            upstream: Vec::new(),
        };
        let plan = Plan { name: test.name.clone(), memory: self.memory, workers: test.workers, flows: vec![flow] };
        let ended = Running::new(plan, true, Halt::new()).run();
        Ok((lived, ended.map_err(|failure| failure.to_string())))
    }
}

fn at_step(crash: Crash, step: u64) -> Crash {
    match crash.moment {
        Moment::During(_) => Crash { moment: Moment::During(step), ..crash },
        Moment::Before | Moment::After => crash,
    }
}

/// The run is over, and the crash has not come.
fn not_reached(crash: Crash, last: Option<u64>) -> Broken {
    match (crash.moment, last) {
        (Moment::During(step), Some(last)) if step > 0 && last >= crash.commit => Broken::NoSuchStep,
        (_, last) => {
            let commits = last.map_or(0, |last| last + 1);
            let there = match commits {
                0 => "there were no commits".to_owned(),
                1 => "there was 1 commit, commit 0".to_owned(),
                _ => format!("there were {}, 0 to {}", counted(commits, "commit"), commits - 1),
            };
            Broken::Failed(format!("the crash {crash} never came: {there}"))
        }
    }
}
