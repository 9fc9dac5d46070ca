//! A terminal: a table of all flows, redrawn in place.

use super::now::Now;
use super::print::{Said, Unprinted, folded, tell};
use super::show::{Meters, Show};
use super::summary;
use super::table::Table;
use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use runtime::Failure;
use runtime::plan::Plan;
use std::time::Duration;

pub(super) struct Live {
    all: MultiProgress,
    /// The header, and one for each flow.
    bars: Vec<ProgressBar>,
    table: Table,
}

impl Live {
    pub(super) fn new(flows: usize) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let bar = || {
            let bar = all.add(ProgressBar::no_length());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        };
        let bars = (0..=flows).map(|_| bar()).collect();
        Self { all, bars, table: Table::default() }
    }
}

impl Show for Live {
    fn begin(&mut self, plan: &Plan, page: Option<&str>) -> Said {
        tell(summary::intent(plan, page))
    }

    fn show(&mut self, flows: &[Now]) -> Said {
        let (_, width) = Term::stdout().size();
        // A line that ends in the last column would be taken for one that goes on in the next.
        let lines = self.table.lines(flows, usize::from(width).saturating_sub(1));
        for (bar, line) in self.bars.iter().zip(lines) {
            bar.set_message(line);
        }
        Ok(())
    }

    fn trouble(&mut self, failure: &Failure) -> Said {
        self.all.println(folded(&summary::trouble(failure), &Term::stdout())).map_err(Unprinted)
    }

    fn stopping(&mut self) -> Said {
        // The terminal has echoed `^C` behind the last line, so lines redrawn in place would land one too low.
        self.all.set_draw_target(ProgressDrawTarget::hidden());
        tell(format!("\n{}", summary::STOPPING))
    }

    fn end(&mut self, meters: &Meters, took: Duration, verify: &str) -> Said {
        self.bars.iter().for_each(ProgressBar::finish);
        tell(summary::account(meters, took, verify))
    }
}
