//! `verify`: proves from what is committed, and from the sources where they still have the rows, that nothing was
//! lost or doubled. It believes neither the engine nor a counter that it can count anew.

use super::Failed;
use crate::config::BuiltFlow;
use crate::report::{Said, Voice, counted, json_or_error, left_out, printed_lines, say, tell};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use operators::Error;
use operators::stage::{Account, Finding, Listen};
use operators::terminal::printed;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// Rows of the source, counted anew, beside those of the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// The source still has every row.
    Counted(u64),
    /// The source does not have them any more.
    Gone,
}

/// What one flow's sink holds.
#[derive(Debug, Serialize)]
struct Verified {
    flow: String,
    sink: String,
    #[serde(flatten)]
    account: Account,
    source: Source,
    findings: u64,
}

pub(crate) fn verify(file: &Path, json: bool, voice: Voice) -> Result<(), Failed> {
    let loaded = super::load(file)?;
    let (mut findings, mut unread) = (0, 0);
    for flow in &loaded.built {
        let mut listener = Listener::new(&flow.name, json, voice);
        let verified = flow_of(flow, &mut listener);
        listener.bar.finish_and_clear();
        findings += listener.findings;
        listener.said?;
        match verified {
            Ok(verified) if json => say(json_or_error(serde_json::to_string(&verified)))?,
            Ok(verified) => tell(text(&verified))?,
            // What cannot be read of one says nothing of the others.
            Err(error) => {
                unread += 1;
                let error = error.to_string();
                if json {
                    say(serde_json::json!({"flow": flow.name, "error": error}))?;
                } else {
                    tell(format!("{}: not proved: {}", flow.name, printed_lines(&error)))?;
                }
            }
        }
    }
    if findings > 0 && !json {
        say(format!("{}: something was lost, doubled or damaged", counted(findings, "finding")))?;
    }
    if unread > 0 && !json {
        say(format!("{} could not be read to the end, and nothing is proved of it", counted(unread, "flow")))?;
    }
    if findings > 0 || unread > 0 {
        return Err(Failed::Said);
    }
    if !json {
        say("nothing lost, nothing doubled")?;
    }
    Ok(())
}

/// Tells findings as they are met, and on a terminal how far the work is.
struct Listener {
    flow: String,
    json: bool,
    quiet: bool,
    findings: u64,
    /// Whether all findings were printed.
    said: Said,
    /// Rows of the work that goes on, where they are known.
    rows: Option<u64>,
    bar: ProgressBar,
}

/// Work whose rows are not told one by one, as when a database counts them.
const SPINNER: &str = "{prefix}: {spinner} {msg}, {elapsed}";

/// Rows looked at of those there should be, and how long the rest will take.
const BAR: &str = "{prefix}: {msg} {wide_bar} {human_pos} of {human_len} rows, {eta} left";

/// How often a terminal is shown that the work goes on.
const BEAT: Duration = Duration::from_millis(100);

impl Listener {
    fn new(flow: &str, json: bool, voice: Voice) -> Self {
        let bar = ProgressBar::hidden();
        Self { flow: flow.to_owned(), json, quiet: voice.quiet, findings: 0, said: Ok(()), rows: None, bar }
    }

    /// Work begins, on so many rows where that is known.
    fn begin(&mut self, work: &'static str, rows: Option<u64>) {
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

fn flow_of(flow: &BuiltFlow, listener: &mut Listener) -> Result<Verified, Error> {
    let committed = match flow.sink.sink.progress(&flow.id) {
        // A server that has not answered is not asked again.
        Err(error @ Error::Unavailable { .. }) => return Err(error),
        // What else is wrong with it is the audit's to tell.
        progress => progress.ok().flatten(),
    };
    listener.begin("reading back", committed.map(|progress| progress.totals.written));
    let account = flow.sink.sink.audit(&flow.id, listener)?;
    listener.begin("counting in the source", Some(account.totals.read));
    let source = count(flow, &account, listener)?;
    if let Source::Counted(rows) = source
        && rows != account.totals.read
    {
        let (read, place) = (HumanCount(account.totals.read), &flow.source.about.summary);
        let ranges = ranges(&account);
        let rows = HumanCount(rows);
        let problem =
            format!("has {rows} rows in the range that was read, {ranges}, but the commits account for {read}");
        listener.found(Finding { path: place.clone(), problem });
    }
    let findings = listener.findings;
    Ok(Verified { flow: flow.name.clone(), sink: flow.sink.about.summary.clone(), account, source, findings })
}

fn count(flow: &BuiltFlow, account: &Account, listener: &mut Listener) -> Result<Source, Error> {
    let mut rows = 0;
    for span in &account.spans {
        match flow.source.source.count(span, &mut |rows| listener.checked(rows))? {
            Some(counted) => rows += counted,
            None => return Ok(Source::Gone),
        }
    }
    Ok(Source::Counted(rows))
}

fn text(verified: &Verified) -> String {
    let Verified { flow, sink, account, source, .. } = verified;
    let sink = printed(sink);
    if account.batches == 0 {
        return format!("{flow}: nothing is committed yet to {sink}");
    }
    let mut text = format!("{flow}: {} in {sink}", counted(account.rows, "row"));
    if account.files > 0 {
        let batches = if account.batches == 1 { "batch" } else { "batches" };
        text += &format!(", {} {batches}, {}", HumanCount(account.batches), counted(account.files, "file"));
    }
    text += &format!("\n  read {}{}", ranges(account), left_out(&account.totals));
    text += &match source {
        Source::Counted(rows) => format!("\n  the source has {} rows there", HumanCount(*rows)),
        Source::Gone => "\n  the source does not have these rows any more, so they were not counted there".to_owned(),
    };
    text
}

/// `0 [0, 120) 1 [0, 80)`
fn ranges(account: &Account) -> String {
    let ranges: Vec<_> =
        account.spans.iter().map(|span| format!("{} [{}, {})", span.partition, span.from, span.to)).collect();
    ranges.join(" ")
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
