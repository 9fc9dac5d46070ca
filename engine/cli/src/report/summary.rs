//! Before a run: what it will do. After it: what it did.

use super::show::Meters;
use super::words::{counted, left_out, printed_lines};
use indicatif::HumanBytes;
use operators_core::terminal::printed;
use runtime::Failure;
use runtime::plan::{Plan, Resume};
use std::fmt::Write;
use std::time::Duration;

/// A few lines per flow: from where, through what, to where, and where it goes on; and where a live page is.
pub(super) fn intent(plan: &Plan, page: Option<&str>) -> String {
    let mut text = format!("{}\n", heading(plan));
    for flow in &plan.flows {
        let built = &flow.built;
        let _ = writeln!(text, "  {}: {}", built.name, built.stage_names().join(" -> "));
        let _ = writeln!(text, "    from {}", printed(&built.source.about.summary));
        let _ = writeln!(text, "    to {}", printed(&built.sink.about.summary));
        let _ = writeln!(text, "    {}", resume(&flow.resume));
    }
    if let Some(page) = page {
        let _ = writeln!(text, "  live page and metrics: {page}");
    }
    text
}

pub(super) fn heading(plan: &Plan) -> String {
    let flows = counted(plan.flows.len() as u64, "flow");
    let workers = counted(plan.workers.into(), "worker");
    format!("pipeline {}: {flows}, {workers}, at most {} of memory", plan.name, HumanBytes(plan.memory))
}

/// Where a flow goes on, in words.
pub(super) fn resume(resume: &Resume) -> String {
    match resume {
        Resume::Beginning => "begins at the beginning: nothing is committed yet".to_owned(),
        Resume::After(progress) => {
            format!("goes on after version {}, at {{{}}}", progress.version, progress.positions)
        }
        Resume::Unknown(reason) => format!("cannot tell yet where it goes on: {}", printed_lines(reason)),
        Resume::Refused(reason) => format!("cannot go on: {}", printed_lines(reason)),
    }
}

/// Said when a run is asked to stop.
pub(super) const STOPPING: &str =
    "stopping: committing what is open; Ctrl-C once more stops at once, which is safe too";

/// Why a flow begins again.
pub(super) fn trouble(failure: &Failure) -> String {
    format!("{}: {}; trying again from the last commit", failure.flow, printed_lines(&failure.reason))
}

/// What a run committed, and the command that proves it.
pub(super) fn account(meters: &Meters, took: Duration, verify: &str) -> String {
    let mut text = format!("ran for {:.1} s\n", took.as_secs_f64());
    for (name, meter) in meters {
        let reading = meter.read();
        let tally = reading.committed;
        let _ = write!(text, "  {name}: {} committed{}", counted(tally.written, "row"), left_out(&tally));
        if reading.restarts > 0 {
            let _ = write!(text, ", {}", counted(reading.restarts, "restart"));
        }
        if let Some((_, progress)) = &reading.last_commit {
            let _ = write!(text, ", up to version {}, at {{{}}}", progress.version, progress.positions);
        }
        text.push('\n');
    }
    let _ = write!(text, "to prove it:  {verify}");
    text
}
