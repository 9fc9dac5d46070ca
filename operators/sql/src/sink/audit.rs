//! Reads back what a SQL sink has committed, and counts it against what the commits say.

use super::{SqlSink, Target};
use crate::database::{Dialect, Place};
use crate::sink::insert::count_dead_letters;
use crate::sink::progress;
use crate::sink::progress::{Held, ReadSoFar};
use operators_core::error::{Error, Result};
use operators_core::inspect::Holdings;
use operators_core::position::{Checkpoint, Position, Span};
use operators_core::progress::Progress;
use operators_core::runtime::wait;
use operators_core::stage::{Account, Audit, Finding, Listen};

impl<T: Target> Audit for SqlSink<T> {
    fn audit(&self, flow: &str, listener: &mut dyn Listen) -> Result<Account> {
        let target = self.target();
        let reading =
            async |connection: &mut <T::Dialect as sqlx::Database>::Connection| audit(target, connection, flow).await;
        // Gathered first, because a look may be repeated; there are a few per partition at most.
        let seen = wait(T::Dialect::look(&target.place().database, reading))?;
        let (account, findings) = seen.unwrap_or_default();
        findings.into_iter().for_each(|finding| listener.found(finding));
        Ok(account)
    }

    fn holdings(&self, flow: &str) -> Result<Holdings> {
        let committed_at = self.held(flow)?.and_then(|held| held.committed_at);
        Ok(Holdings { committed_at, files: None })
    }
}

async fn audit<T: Target>(
    target: &T,
    connection: &mut <T::Dialect as sqlx::Database>::Connection,
    flow: &str,
) -> Result<(Account, Vec<Finding>)> {
    let place = target.place();
    // The flow may be running: its rows are those of the commit that is read first.
    let snapshot = T::Dialect::answer(T::Dialect::snapshot(connection)).await;
    let mut snapshot = snapshot.map_err(place.failed("begin to verify"))?;
    let connection = &mut *snapshot;
    let mut found = Vec::new();
    let (last, spans) = match progress::read(connection, place, flow).await {
        Ok(Some(Held { progress: Some(last), read, .. })) => {
            let spans = spans(&last, read).unwrap_or_else(|problem| {
                found.push(finding(place, problem));
                unrecorded(&last)
            });
            (Some(last), spans)
        }
        Ok(_) => (None, Vec::new()),
        Err(Error::Damaged { reason, .. }) => {
            found.push(finding(place, reason));
            (None, Vec::new())
        }
        Err(error) => return Err(error),
    };
    let rows = target.count(connection, &mut found).await?;
    let dead_letters = count_dead_letters(connection, place, flow).await?;
    let totals = last.as_ref().map(|last| last.totals).unwrap_or_default();
    if !totals.is_conserved() {
        found.push(finding(place, format!("the rows of flow {flow} do not add up: {totals:?}")));
    }
    if rows.is_none() && totals.written > 0 {
        found.push(finding(place, format!("is gone, and {} rows with it", totals.written)));
    }
    let rows = rows.unwrap_or(0);
    found.extend(difference("rows", rows, totals.written, flow).map(|problem| finding(place, problem)));
    let rejected = difference("dead letters", dead_letters, totals.dead_letters, flow);
    found.extend(rejected.map(|problem| finding(place, problem)));
    let batches = last.as_ref().map_or(0, |last| last.version.0 + 1);
    Ok((Account { batches, without_digests: 0, files: 0, rows, totals, spans }, found))
}

fn finding<D: Dialect>(place: &Place<D>, problem: String) -> Finding {
    Finding { path: place.to_string(), problem }
}

fn difference(what: &str, there: u64, committed: u64, flow: &str) -> Option<String> {
    let numbers = format!("holds {there} {what}, and the commits of flow {flow} wrote {committed}");
    match there.checked_sub(committed) {
        Some(0) => None,
        Some(more) => Some(format!(
            "{numbers}: {more} more. They were there before the first commit, or another program added them"
        )),
        None => Some(format!("{numbers}: {} fewer. Another program deleted them", committed - there)),
    }
}

/// All that was read of each source partition, or why what is recorded of it is wrong.
fn spans(last: &Progress, read: ReadSoFar) -> std::result::Result<Vec<Span>, String> {
    let ReadSoFar::Spans(spans) = read else { return Ok(unrecorded(last)) };
    let rows: u64 = spans.iter().map(|span| span.rows).sum();
    let ends = Checkpoint(spans.iter().map(|span| (span.partition, span.to)).collect());
    if rows != last.totals.read || ends != last.positions {
        let (flow, positions) = (&last.run.flow, &last.positions);
        return Err(format!("the spans of flow {flow} hold {rows} rows and end at [{ends}], not at [{positions}]"));
    }
    Ok(spans)
}

/// The same where it was not recorded: each partition counts from its beginning. How many rows that was is known exactly
/// for a single partition; of several only the sum is, and each counts as one without gaps.
fn unrecorded(last: &Progress) -> Vec<Span> {
    let positions = &last.positions.0;
    let rows = |to: Position| if positions.len() == 1 { last.totals.read } else { to.0 };
    let span =
        |(&partition, &to): (&u32, &Position)| Span { partition, from: Position(0), to, rows: rows(to), anchor: None };
    positions.iter().map(span).collect()
}
