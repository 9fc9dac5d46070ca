//! `verify`: proves from what is committed, and from the sources where they still have the rows, that nothing was
//! lost or doubled. It believes neither the engine nor a counter that it can count anew.

use super::Failed;
use crate::config::BuiltFlow;
use crate::report::{Voice, counted, json_or_error, left_out, printed_lines, say, tell};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use operators::Error;
use operators::stage::{Account, Finding, Listen};
use operators::terminal::printed;
use serde::Serialize;
use std::path::Path;

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
    let mut findings = 0;
    for flow in &loaded.built {
        let verified = flow_of(flow, Listener::new(flow, json, voice))
            .map_err(|error| Failed::Running(format!("flow {}: {error}", flow.name)))?;
        findings += verified.findings;
        if json {
            say(json_or_error(serde_json::to_string(&verified)));
        } else {
            tell(text(&verified));
        }
    }
    if findings > 0 {
        if !json {
            say(format!("{}: something was lost, doubled or damaged", counted(findings, "finding")));
        }
        return Err(Failed::Said);
    }
    if !json {
        say("nothing lost, nothing doubled");
    }
    Ok(())
}

/// Tells findings as they are met, and on a terminal how far the audit is.
struct Listener {
    json: bool,
    findings: u64,
    bar: ProgressBar,
}

impl Listener {
    fn new(flow: &BuiltFlow, json: bool, voice: Voice) -> Self {
        let bar = if voice.quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
        // What cannot be read is the audit's to tell.
        if let Ok(Some(progress)) = flow.sink.sink.progress(&flow.id) {
            bar.set_length(progress.totals.written);
        }
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        bar.set_prefix(flow.name.clone());
        Self { json, findings: 0, bar }
    }
}

/// Rows read back of those that were committed, and how long the rest will take.
const BAR: &str = "{prefix}: {bar:30} {human_pos} of {human_len} rows, {eta} left {msg}";

impl Listen for Listener {
    fn found(&mut self, finding: Finding) {
        self.findings += 1;
        self.bar.suspend(|| {
            if self.json {
                say(json_or_error(serde_json::to_string(&finding)));
            } else {
                tell(format!("{}: {}", printed(&finding.path), printed_lines(&finding.problem)));
            }
        });
    }

    fn checked(&mut self, rows: u64) {
        self.bar.inc(rows);
    }
}

fn flow_of(flow: &BuiltFlow, mut listener: Listener) -> Result<Verified, Error> {
    let account = flow.sink.sink.audit(&flow.id, &mut listener)?;
    listener.bar.set_message("counting them in the source");
    let source = count(flow, &account)?;
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
    listener.bar.finish_and_clear();
    let findings = listener.findings;
    Ok(Verified { flow: flow.name.clone(), sink: flow.sink.about.summary.clone(), account, source, findings })
}

fn count(flow: &BuiltFlow, account: &Account) -> Result<Source, Error> {
    let mut rows = 0;
    for span in &account.spans {
        match flow.source.source.count(span)? {
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
        text += &format!(", {} batches, {} files", HumanCount(account.batches), HumanCount(account.files));
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
