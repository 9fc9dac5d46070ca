//! `verify`: proves from what is committed, and from the sources where they still have the rows, that nothing was
//! lost or doubled. It believes neither the engine nor a counter that it can count again.

mod listener;
mod recount;

use super::Failed;
use crate::report::{Voice, counted, json_or_error, left_out, printed_lines, say, tell};
use clap::Args;
use indicatif::HumanCount;
use listener::Listener;
use operators_core::Error;
use operators_core::stage::Account;
use operators_core::terminal::printed;
use pipeline::BuiltFlow;
use recount::{Source, ranges, recount};
use serde::Serialize;
use std::path::PathBuf;

/// What `verify` can be told.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The pipeline file.
    file: PathBuf,
    /// Print findings and accounts as JSON, one object a line.
    #[arg(long)]
    json: bool,
    /// Also fail when a source no longer holds all rows that were read from it, so that they can't be compared.
    #[arg(long)]
    require_source: bool,
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

/// What all flows come to.
#[derive(Default)]
struct Outcome {
    findings: u64,
    /// Flows that could not be read to the end.
    unread: u64,
    /// Names of the flows that could not be compared with all they had read.
    not_compared: Vec<String>,
}

pub(crate) fn verify(args: &VerifyArgs, voice: Voice) -> Result<(), Failed> {
    let VerifyArgs { file, json, require_source } = args;
    let loaded = super::load(file)?;
    let mut outcome = Outcome::default();
    for flow in &loaded.built {
        let mut listener = Listener::new(&flow.name, *json, voice);
        let verified = flow_of(flow, &mut listener);
        listener.bar.finish_and_clear();
        outcome.findings += listener.findings;
        listener.said?;
        match verified {
            Ok(verified) => {
                if !verified.source.is_complete() {
                    outcome.not_compared.push(flow.name.clone());
                }
                match *json {
                    true => say(json_or_error(serde_json::to_string(&verified)))?,
                    false => tell(text(&verified))?,
                }
            }
            // What cannot be read of one says nothing of the others.
            Err(error) => {
                outcome.unread += 1;
                let error = error.to_string();
                match *json {
                    true => say(serde_json::json!({"flow": flow.name, "error": error}))?,
                    false => tell(format!("{}: not proved: {}", flow.name, printed_lines(&error)))?,
                }
            }
        }
    }
    if !json {
        outcome.conclusion(*require_source).into_iter().try_for_each(say)?;
    }
    let is_proved = outcome.findings == 0 && outcome.unread == 0;
    let is_enough = outcome.not_compared.is_empty() || !require_source;
    if is_proved && is_enough { Ok(()) } else { Err(Failed::Said) }
}

impl Outcome {
    /// The last lines, which claim no more than was proved.
    fn conclusion(&self, require_source: bool) -> Vec<String> {
        let Self { findings, unread, not_compared } = self;
        let mut lines = Vec::new();
        if *findings > 0 {
            lines.push(format!("{}: something was lost, doubled or damaged", counted(*findings, "finding")));
        }
        if *unread > 0 {
            let flows = counted(*unread, "flow");
            lines.push(format!("{flows} could not be read to the end, and nothing is proved of it"));
        }
        let scope = if not_compared.is_empty() { "" } else { ", as far as the sinks alone can prove it" };
        if lines.is_empty() {
            lines.push(format!("nothing lost, nothing doubled{scope}"));
        }
        if !not_compared.is_empty() {
            let required = if require_source { ", as --require-source requires" } else { "" };
            let flows = not_compared.join(", ");
            lines.push(format!("not every row could be compared with its source{required}: {flows}"));
        }
        lines
    }
}

fn flow_of(flow: &BuiltFlow, listener: &mut Listener) -> Result<Verified, Error> {
    let committed = match flow.sink.sink.progress(&flow.id) {
        // A server that has not answered is not asked again.
        Err(error @ Error::Unavailable { .. }) => return Err(error),
        // What else is wrong with it is the audit's to tell.
        progress => progress.ok().flatten(),
    };
    listener.begin("reading back", committed.as_ref().map(|progress| progress.totals.written));
    let account = flow.sink.sink.audit(&flow.id, listener)?;
    listener.begin("counting in the source", Some(account.totals.read));
    let source = recount(flow, committed.as_ref(), &account, listener)?;
    let findings = listener.findings;
    Ok(Verified { flow: flow.name.clone(), sink: flow.sink.about.summary.clone(), account, source, findings })
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
    text += &format!("\n  read {}{}", ranges(&account.spans), left_out(&account.totals));
    if account.without_digests > 0 {
        let batches = if account.without_digests == 1 { "batch has" } else { "batches have" };
        let count = HumanCount(account.without_digests);
        text += &format!(
            "\n  {count} {batches} no digests, as an earlier version wrote them: changed values would not show"
        );
    }
    text += &format!("\n  {}", source.text());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_claims_no_more_than_was_proved() {
        let conclusion = |findings, unread, not_compared: &[&str], require_source| {
            let not_compared = not_compared.iter().map(|&flow| flow.to_owned()).collect();
            Outcome { findings, unread, not_compared }.conclusion(require_source).join("\n")
        };
        assert_eq!(conclusion(0, 0, &[], true), "nothing lost, nothing doubled");
        assert_eq!(
            conclusion(0, 0, &["a", "b"], false),
            "nothing lost, nothing doubled, as far as the sinks alone can prove it\n\
             not every row could be compared with its source: a, b"
        );
        assert!(conclusion(0, 0, &["a"], true).ends_with("as --require-source requires: a"));
        let bad = conclusion(1, 1, &["a"], false);
        assert!(bad.starts_with("1 finding: something was lost") && !bad.contains("nothing lost"), "{bad}");
        assert!(bad.contains("1 flow could not be read") && bad.ends_with("its source: a"), "{bad}");
    }
}
