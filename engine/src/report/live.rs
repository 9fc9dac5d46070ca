//! A terminal: one live line per flow.

use super::{Line, Show, say};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

pub(super) struct Live {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
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
        let bars = (0..flows).map(|_| bar()).collect();
        Self { all, bars }
    }
}

impl Show for Live {
    fn show(&mut self, flows: &[Line]) {
        let width = flows.iter().map(|line| line.flow.len()).max().unwrap_or(0);
        for (bar, line) in self.bars.iter().zip(flows) {
            let Line { flow, rows, rate, commit, behind } = line;
            bar.set_message(format!("{flow:width$}  {rows:>15} {rate:>9}  {commit}  {behind}"));
        }
    }

    fn note(&mut self, text: &str) {
        // A terminal that cannot be written to any more does not matter.
        let _ = self.all.println(text);
    }

    fn stopping(&mut self, text: &str) {
        // The terminal has echoed `^C` behind the last line, so lines redrawn in place would land one too low.
        self.all.set_draw_target(ProgressDrawTarget::hidden());
        say(format!("\n{text}"));
    }

    fn end(&mut self) {
        for bar in &self.bars {
            bar.finish();
        }
    }
}
