//! What was found beside what was expected; each difference in words, with the rows that differ.

use super::diff::diff;
use crate::config::Expectations;
use crate::report::counted;
use operators::Checkpoint;
use operators::progress::Tally;
use operators::trial::{Expected, Found, Parts, Shown};
use std::collections::{BTreeMap, BTreeSet};

type ByPartition = BTreeMap<u32, Vec<Shown>>;

/// Everything that is not as a test says, and all that the sink's audit found. `given` is the number of rows that the
/// source had.
pub(super) fn with_expected(expect: &Expectations, found: &Found, given: u64) -> Vec<String> {
    let totals = totals(found);
    let mut problems: Vec<_> =
        found.findings.iter().map(|finding| format!("audit: {}: {}", finding.path, finding.problem)).collect();
    if totals.read != given {
        problems.push(format!("audit: the commits account for {} of the source's {given}", counted(totals.read, "row")));
    }
    if let Some(rows) = &expect.rows {
        problems.extend(parts(rows, &found.rows, ["row", "rows"]));
    }
    if let Some(letters) = &expect.dead_letters {
        problems.extend(parts(letters, &found.dead_letters, ["dead letter", "dead letters"]));
    }
    for (what, expected, found) in
        [("filtered", expect.filtered, totals.filtered), ("skipped", expect.skipped, totals.skipped)]
    {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            problems.push(format!("{what}: expected {}, found {found}", counted(expected, "row")));
        }
    }
    if let Some(files) = expect.files.as_ref().filter(|files| **files != found.files) {
        problems.push(format!("files:\n{}", diff(files, &found.files)));
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
            problems.push(format!("{what}, beside those of the run without a crash:\n{}", diff(&whole, &found)));
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

fn parts(expected: &Parts<Expected>, found: &ByPartition, words: [&str; 2]) -> Vec<String> {
    let none = Vec::new();
    match expected {
        Parts::Together(expected) => {
            let all: Vec<_> = found.values().flatten().cloned().collect();
            part(expected, &all, words, words[1]).into_iter().collect()
        }
        Parts::Apart(parts) => {
            let nothing = Expected::Rows(Vec::new());
            let partitions: BTreeSet<_> = parts.keys().chain(found.keys()).copied().collect();
            let problem = |partition: u32| {
                let (expected, found) =
                    (parts.get(&partition).unwrap_or(&nothing), found.get(&partition).unwrap_or(&none));
                part(expected, found, words, &format!("{} of partition {partition}", words[1]))
            };
            partitions.into_iter().filter_map(problem).collect()
        }
    }
}

/// How the rows of one place differ from those expected.
fn part(expected: &Expected, found: &[Shown], words: [&str; 2], of: &str) -> Option<String> {
    let counted = |number: usize| format!("{number} {}", words[usize::from(number != 1)]);
    match expected {
        Expected::Count(count) if *count == found.len() as u64 => None,
        Expected::Count(count) => Some(format!("{of}: expected {count}, found {}", found.len())),
        Expected::Rows(rows) => {
            let as_expected = |(row, found): (&Shown, &Shown)| found.covers(row);
            if rows.len() == found.len() && rows.iter().zip(found).all(as_expected) {
                return None;
            }
            // Of what was found only those columns are shown that the test names, unless it names none.
            let named = rows.iter().max_by_key(|row| row.width());
            let line = |(at, row): (usize, &Shown)| match (rows.get(at).filter(|it| row.covers(it)), named) {
                (Some(expected), _) => expected.to_string(),
                (None, Some(named)) => row.beside(named).to_string(),
                (None, None) => row.to_string(),
            };
            let found: Vec<_> = found.iter().enumerate().map(line).collect();
            let rows: Vec<_> = rows.iter().map(Shown::to_string).collect();
            let [was, is] = [counted(rows.len()), counted(found.len())];
            Some(format!("{of}: expected {was}, found {is}\n{}", diff(&rows, &found)))
        }
    }
}
