//! A pipe or a file: a line per flow every few seconds.

use super::now::{Now, long, short};
use super::print::{Said, say, tell};
use super::show::{Meters, Show};
use super::summary;
use super::words::counted;
use indicatif::HumanCount;
use runtime::Failure;
use runtime::plan::Plan;
use std::time::{Duration, Instant};

/// Pause between two looks that are printed.
pub(super) const EVERY: Duration = Duration::from_secs(5);

pub(super) struct Log {
    printed: Instant,
}

impl Log {
    pub(super) fn new(began: Instant) -> Self {
        Self { printed: began }
    }
}

impl Show for Log {
    fn begin(&mut self, plan: &Plan, page: Option<&str>) -> Said {
        tell(summary::intent(plan, page))
    }

    fn show(&mut self, flows: &[Now]) -> Said {
        if self.printed.elapsed() < EVERY {
            return Ok(());
        }
        self.printed = Instant::now();
        flows.iter().try_for_each(|flow| say(format!("{} {}", time(), line(flow))))
    }

    fn trouble(&mut self, failure: &Failure) -> Said {
        say(format!("{} {}", time(), summary::trouble(failure)))
    }

    fn stopping(&mut self) -> Said {
        say(format!("{} {}", time(), summary::STOPPING))
    }

    fn end(&mut self, meters: &Meters, took: Duration, verify: &str) -> Said {
        tell(summary::account(meters, took, verify))
    }
}

/// Time of day in UTC: `12:34:56Z`.
fn time() -> impl std::fmt::Display {
    chrono::Utc::now().format("%H:%M:%SZ")
}

fn line(now: &Now) -> String {
    let Now { flow, reading, rate, .. } = now;
    let mut line = format!("{flow}: {} rows, {}/s", HumanCount(reading.read), HumanCount(rate.round() as u64));
    line += &match (&reading.last_commit, reading.commits.last()) {
        (Some((at, progress)), Some(landed)) => {
            format!(", version {} committed {} ago in {}", progress.version, long(at.elapsed()), short(landed.took))
        }
        _ => ", nothing committed yet".to_owned(),
    };
    line += &match (reading.done, reading.trouble(), reading.lag.total()) {
        (true, ..) => ", done".to_owned(),
        (false, Some(_), _) => format!(", trying again: {}", counted(reading.restarts, "restart")),
        (false, None, Some(0)) => ", caught up".to_owned(),
        (false, None, Some(rows)) => {
            let left = now.left().map(|left| format!(", about {} left", long(left))).unwrap_or_default();
            format!(", {} behind{left}", HumanCount(rows))
        }
        (false, None, None) => String::new(),
    };
    line
}
