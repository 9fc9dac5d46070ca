//! What was found beside what was expected; each difference in words, with the rows that differ.

use super::diff::diff;
use crate::report::{counted, printed_lines};
use operators_core::Checkpoint;
use operators_core::progress::Tally;
use operators_core::stage::Finding;
use operators_core::terminal::printed;
use pipeline::Expectations;
use stages::harness::{Expected, Found, Parts, Shown};
use std::collections::{BTreeMap, BTreeSet};

type ByPartition = BTreeMap<u32, Vec<Shown>>;

/// Everything that is not as a test says, and all that the sink's audit found. `given` is the number of rows that the
/// source had.
pub(super) fn with_expected(expect: &Expectations, found: &Found, given: u64) -> Vec<String> {
    let totals = totals(found);
    let finding = |finding: &Finding| format!("audit: {}: {}", printed(&finding.path), printed_lines(&finding.problem));
    let mut problems: Vec<_> = found.findings.iter().map(finding).collect();
    if totals.read != given {
        problems
            .push(format!("audit: the commits account for {} of the source's {given}", counted(totals.read, "row")));
    }
    if let Some(rows) = &expect.rows {
        problems.extend(parts("rows", rows, &found.rows));
    }
    if let Some(letters) = &expect.dead_letters {
        problems.extend(parts("dead letters", letters, &found.dead_letters));
    }
    for (what, expected, found) in
        [("filtered", expect.filtered, totals.filtered), ("skipped", expect.skipped, totals.skipped)]
    {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            problems.push(format!("{what}: expected {expected}, found {found}"));
        }
    }
    if let Some(files) = expect.files.as_ref().filter(|files| **files != found.files) {
        problems.push(format!("files: expected (-), found (+)\n{}", diff(files, &found.files)));
    }
    let positions = positions(found);
    if let Some(expected) = expect.positions.as_ref().filter(|expected| **expected != positions) {
        problems.push(format!("positions: expected {{ {expected} }}, found {{ {positions} }}"));
    }
    problems
}

/// How a run with crashes differs from the one without. Not in files: a partition that was cut short may go on in
/// another file.
pub(super) fn with_uninterrupted(whole: &Found, found: &Found) -> Vec<String> {
    let mut problems = Vec::new();
    for (what, whole, found) in
        [("rows", &whole.rows, &found.rows), ("dead letters", &whole.dead_letters, &found.dead_letters)]
    {
        // A stage may spread rows anew when it begins anew; none may be lost or doubled.
        let sorted = |rows: &ByPartition| {
            let mut rows: Vec<_> = rows.values().flatten().map(Shown::to_string).collect();
            rows.sort();
            rows
        };
        let (whole, found) = (sorted(whole), sorted(found));
        if whole != found {
            problems.push(format!("{what}: without a crash (-), with it (+)\n{}", diff(&whole, &found)));
        }
    }
    let [whole_positions, found_positions] = [positions(whole), positions(found)];
    if whole_positions != found_positions {
        problems.push(format!("positions: {{ {found_positions} }}, without a crash {{ {whole_positions} }}"));
    }
    problems
}

fn positions(found: &Found) -> Checkpoint {
    found.progress.as_ref().map(|progress| progress.positions.clone()).unwrap_or_default()
}

fn totals(found: &Found) -> Tally {
    found.progress.as_ref().map(|progress| progress.totals).unwrap_or_default()
}

/// How the rows of all places differ from those expected; `what` they are.
fn parts(what: &str, expected: &Parts<Expected>, found: &ByPartition) -> Vec<String> {
    let (nothing, none) = (Expected::Rows(Vec::new()), Vec::new());
    match expected {
        Parts::Together(expected) => {
            let all: Vec<_> = found.values().flatten().cloned().collect();
            part(what, expected, &all, &named([expected])).into_iter().collect()
        }
        Parts::Apart(parts) => {
            let named = named(parts.values());
            let partitions: BTreeSet<_> = parts.keys().chain(found.keys()).copied().collect();
            let problem = |partition: u32| {
                let expected = parts.get(&partition).unwrap_or(&nothing);
                let found = found.get(&partition).unwrap_or(&none);
                part(&format!("{what} of partition {partition}"), expected, found, &named)
            };
            partitions.into_iter().filter_map(problem).collect()
        }
    }
}

/// The row that names the most columns, for what is shown of rows that nobody expected.
fn named<'a>(expected: impl IntoIterator<Item = &'a Expected>) -> Shown {
    let rows = expected.into_iter().flat_map(|expected| match expected {
        Expected::Rows(rows) => rows.as_slice(),
        Expected::Count(_) => &[],
    });
    rows.max_by_key(|row| row.width()).cloned().unwrap_or_default()
}

/// How the rows of one place differ from those expected.
fn part(what: &str, expected: &Expected, found: &[Shown], named: &Shown) -> Option<String> {
    let rows = match expected {
        Expected::Count(count) if *count == found.len() as u64 => return None,
        Expected::Count(count) => return Some(format!("{what}: expected {count}, found {}", found.len())),
        Expected::Rows(rows) => rows,
    };
    if rows.len() == found.len() && found.iter().zip(rows).all(|(found, row)| found.covers(row)) {
        return None;
    }
    let line = |(at, row): (usize, &Shown)| match rows.get(at) {
        Some(expected) if row.covers(expected) => expected.to_string(),
        _ if named.width() == 0 => row.to_string(),
        _ => row.beside(named).to_string(),
    };
    let shown: Vec<_> = found.iter().enumerate().map(line).collect();
    let wanted: Vec<_> = rows.iter().map(Shown::to_string).collect();
    Some(format!("{what}: expected {} (-), found {} (+)\n{}", rows.len(), found.len(), diff(&wanted, &shown)))
}
