//! What is told while the work goes on.

use crate::report::{Said, Voice, json_or_error, printed_lines, say, tell};
use indicatif::{ProgressBar, ProgressStyle};
use operators_core::stage::{Finding, Listen};
use operators_core::terminal::printed;
use std::time::Duration;

/// Tells findings as they are met, and on a terminal how far the work is.
pub(super) struct Listener {
    flow: String,
    json: bool,
    quiet: bool,
    pub(super) findings: u64,
    /// Whether all findings were printed.
    pub(super) said: Said,
    /// Rows of the work that goes on, where they are known.
    rows: Option<u64>,
    pub(super) bar: ProgressBar,
}

/// Work whose rows are not told one by one, as when a database counts them.
const SPINNER: &str = "{prefix}: {spinner} {msg}, {elapsed}";

/// Rows looked at of those there should be, and how long the rest will take.
const BAR: &str = "{prefix}: {msg} {wide_bar} {human_pos} of {human_len} rows, {eta} left";

/// How often a terminal is shown that the work goes on.
const BEAT: Duration = Duration::from_millis(100);

impl Listener {
    pub(super) fn new(flow: &str, json: bool, voice: Voice) -> Self {
        let bar = ProgressBar::hidden();
        Self { flow: flow.to_owned(), json, quiet: voice.quiet, findings: 0, said: Ok(()), rows: None, bar }
    }

    /// Work begins, on so many rows where that is known.
    pub(super) fn begin(&mut self, work: &'static str, rows: Option<u64>) {
        self.bar.finish_and_clear();
        self.rows = rows;
        self.bar = if self.quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
        self.dress(SPINNER);
        self.bar.set_prefix(self.flow.clone());
        self.bar.set_message(work);
        self.bar.enable_steady_tick(BEAT);
    }

    fn dress(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }
}

impl Listen for Listener {
    fn found(&mut self, finding: Finding) {
        self.findings += 1;
        let said = self.bar.suspend(|| match self.json {
            true => say(json_or_error(serde_json::to_string(&finding))),
            false => tell(format!("{}: {}", printed(&finding.path), printed_lines(&finding.problem))),
        });
        // The first that was not printed is told, when the work is done.
        if self.said.is_ok() {
            self.said = said;
        }
    }

    fn checked(&mut self, rows: u64) {
        // Only now is it known that rows will be told.
        if let Some(all) = self.rows.take() {
            self.bar.set_length(all);
            self.dress(BAR);
        }
        self.bar.inc(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::LogFormat;

    #[test]
    fn a_bar_is_shown_of_rows_that_are_told_and_nothing_is_made_up_of_others() {
        let voice = Voice { quiet: true, log_format: LogFormat::Text };
        let mut listener = Listener::new("archive", false, voice);
        let stands = |listener: &Listener| (listener.bar.position(), listener.bar.length());
        listener.begin("reading back", Some(10));
        assert_eq!(stands(&listener), (0, None), "nobody knows yet whether rows will be told");
        listener.checked(3);
        listener.checked(4);
        assert_eq!(stands(&listener), (7, Some(10)));
        listener.begin("counting in the source", Some(20));
        assert_eq!(stands(&listener), (0, None), "other work has a bar of its own");
        listener.checked(5);
        assert_eq!(stands(&listener), (5, Some(20)));
        listener.begin("reading back", None);
        listener.checked(5);
        assert_eq!(stands(&listener), (5, None));
    }
}
