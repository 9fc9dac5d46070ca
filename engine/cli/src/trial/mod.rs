//! Runs a test of a pipeline file: the flow, life after life, then what was found beside what was expected.
//!
//! A test with crashes runs without them first, and then with them. Where a commit is published in several steps, it runs
//! once more for each step that a crash may stand before, one crash at a time: all must end alike.

mod compare;
mod diff;
#[cfg(test)]
mod tests;

use crate::report::{counted, printed_lines};
use operators_core::config::{Interval, Size};
use pipeline::CommitConfig;
use pipeline::{BuiltFlow, BuiltTest};
use runtime::Halt;
use runtime::Running;
use runtime::plan::{Plan, PlannedFlow, Resume};
use stages::harness::{Crash, Found, Lived, Moment, World};
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
    /// Bytes that rows on their way may hold.
    pub(crate) memory: u64,
}

/// Why a run did not end as it must.
enum Broken {
    /// A crash is at a step that its commit does not have: all steps have been seen.
    NoSuchStep(Crash),
    /// In words.
    Failed(Vec<String>),
}

impl Broken {
    /// What the engine or a stage says, with nothing in it that a terminal obeys.
    fn reason(words: &str) -> Self {
        Self::Failed(vec![printed_lines(words)])
    }

    fn problems(self) -> Vec<String> {
        match self {
            Self::NoSuchStep(crash) => vec![format!("the crash {crash} never came: the commit has no more steps")],
            Self::Failed(problems) => problems,
        }
    }
}

impl From<operators_core::Error> for Broken {
    fn from(error: operators_core::Error) -> Self {
        Self::reason(&error.to_string())
    }
}

impl Tested<'_> {
    pub(crate) fn verdict(&self) -> Verdict {
        let mut runs = 0;
        let failed = self.runs(&mut runs).err();
        Verdict { runs, failed }
    }

    /// Counts the runs, up to the first that does not end as it must.
    fn runs(&self, count: &mut u64) -> Result<(), Failed> {
        let mut run = |crashes: &[Crash], whole: Option<&Found>| {
            let ended = self.compared(crashes, whole);
            *count += u64::from(!matches!(ended, Err(Broken::NoSuchStep(_))));
            ended
        };
        let failed =
            |crashes: &[Crash], broken: Broken| Failed { crashes: crashes.to_vec(), problems: broken.problems() };
        let whole = run(&[], None).map_err(|broken| failed(&[], broken))?;
        let written = &self.test.crashes;
        if !written.is_empty() {
            run(written, Some(&whole)).map_err(|broken| failed(written, broken))?;
        }
        for (which, _) in written.iter().enumerate().filter(|(_, crash)| matches!(crash.moment, Moment::During(_))) {
            for step in 1.. {
                let mut crashes = written.clone();
                crashes[which].moment = Moment::During(step);
                match run(&crashes, Some(&whole)) {
                    Ok(_) => {}
                    Err(Broken::NoSuchStep(_)) => break,
                    Err(broken) => return Err(failed(&crashes, broken)),
                }
            }
        }
        Ok(())
    }

    /// A run through these crashes, which ends as the test expects, and as the one without them did.
    fn compared(&self, crashes: &[Crash], whole: Option<&Found>) -> Result<Found, Broken> {
        let found = self.run(crashes)?;
        let mut problems = compare::with_expected(&self.test.expect, &found, self.test.rows.count());
        if let Some(whole) = whole.filter(|_| problems.is_empty()) {
            problems = compare::with_uninterrupted(whole, &found);
        }
        if problems.is_empty() { Ok(found) } else { Err(Broken::Failed(problems)) }
    }

    /// Runs the flow from its first row to its end, through these crashes.
    fn run(&self, crashes: &[Crash]) -> Result<Found, Broken> {
        let world = self.test.trial.world()?;
        for crash in crashes {
            let (lived, ended) = self.live(&world, Some(*crash))?;
            match ended {
                _ if lived.crashed() => {}
                Err(reason) => return Err(Broken::reason(&reason)),
                Ok(()) => return Err(not_reached(*crash, lived.last_commit())),
            }
            world.crash(self.test.seed);
        }
        let (_, ended) = self.live(&world, None)?;
        ended.map_err(|reason| Broken::reason(&reason))?;
        Ok(world.found(&self.flow.id)?)
    }

    /// One life of the program; how it ended, and its failure if it had one.
    fn live(&self, world: &World<'_>, crash: Option<Crash>) -> Result<(Lived, Result<(), String>), Broken> {
        let Self { test, flow, .. } = self;
        let (source, sink, lived) = world.begin(&test.rows, test.commit_rows, crash)?;
        let rows = test.commit_rows.saturating_mul(test.workers.into());
        let built = BuiltFlow {
            name: flow.name.clone(),
            id: flow.id.clone(),
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
        let flow = PlannedFlow { built: Arc::new(built), resume: Resume::Beginning, upstream: Vec::new() };
        let plan = Plan { name: test.name.clone(), memory: self.memory, workers: test.workers, flows: vec![flow] };
        let ended = Running::new(plan, true, Halt::new()).run();
        Ok((lived, ended.map_err(|failure| failure.to_string())))
    }
}

/// The run is over, and the crash has not come.
fn not_reached(crash: Crash, last: Option<u64>) -> Broken {
    match (crash.moment, last) {
        (Moment::During(step), Some(last)) if step > 0 && last >= crash.commit => Broken::NoSuchStep(crash),
        (_, last) => {
            let commits = last.map_or(0, |last| last + 1);
            let there = match commits {
                0 => "there were no commits".to_owned(),
                1 => "there was 1 commit, commit 0".to_owned(),
                _ => format!("there were {}, 0 to {}", counted(commits, "commit"), commits - 1),
            };
            Broken::Failed(vec![format!("the crash {crash} never came: {there}")])
        }
    }
}
