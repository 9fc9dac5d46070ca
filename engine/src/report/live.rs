//! A terminal: one live line per flow.

use super::{Line, Show};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

pub(super) struct Live {
    bars: Vec<ProgressBar>,
}

impl Live {
    pub(super) fn new(flows: usize) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let bar = || {
            let bar = all.add(ProgressBar::no_length());
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            bar
        };
        Self { bars: (0..flows).map(|_| bar()).collect() }
    }
}

impl Show for Live {
    fn every(&self) -> Duration {
        Duration::from_millis(250)
    }

    fn show(&mut self, flows: &[Line]) {
        let width = flows.iter().map(|line| line.flow.len()).max().unwrap_or(0);
        for (bar, line) in self.bars.iter().zip(flows) {
            let Line { flow, rows, rate, commit, behind } = line;
            bar.set_message(format!("{flow:width$}  {rows:>16} {rate:>12}  {commit}  {behind}"));
        }
    }

    fn end(&mut self) {
        for bar in &self.bars {
            bar.finish_and_clear();
        }
    }
}
