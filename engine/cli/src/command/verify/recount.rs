//! Compares what a flow has committed with what its source still holds.

use super::listener::Listener;
use crate::report::printed_lines;
use indicatif::HumanCount;
use operators_core::progress::Progress;
use operators_core::stage::{Account, Finding, Listen, Recount, Removal};
use operators_core::{Error, Span};
use pipeline::BuiltFlow;
use runtime::plan::{Misfit, misfit};
use serde::Serialize;

/// What has become of the rows in the source since they were committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    /// It has this many rows where the flow read; another number than was read is a finding.
    Counted(u64),
    /// Rows were removed from it after they were committed.
    Fewer(Fewer),
    /// It isn't the source that was read, or the file was changed: its rows were not counted.
    Other {
        /// What differs, in the words of a run that stops for it.
        reason: String,
    },
    /// It doesn't exist any more, or lacks a partition that was read.
    Gone,
}

/// Rows that are left in a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fewer {
    /// Rows that were read and are still there.
    counted: u64,
    /// Rows that were read and are not there any more.
    removed: u64,
    /// The partitions that may lack some.
    partitions: Vec<Remainder>,
}

/// Rows that are left in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Remainder {
    partition: u32,
    counted: u64,
    /// Not known where the sink keeps one number for all partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<u64>,
    by: Removal,
}

impl Source {
    /// Whether every row that was read was found again.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Counted(_))
    }

    /// For people, a line or a few.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Counted(rows) => format!("the source has {} rows there", HumanCount(*rows)),
            Self::Fewer(Fewer { counted, removed, partitions }) => {
                let (counted, removed) = (HumanCount(*counted), HumanCount(*removed));
                let lines: String = partitions.iter().map(Remainder::line).collect();
                format!("the source has {counted} rows there, {removed} were removed after they were committed:{lines}")
            }
            Self::Other { reason } => format!("the source was not counted: {}", printed_lines(reason)),
            Self::Gone => "the source was not counted: it, or a partition of it, does not exist any more".to_owned(),
        }
    }
}

impl Remainder {
    fn line(&self) -> String {
        let Self { partition, counted, removed, by } = self;
        let removed = removed.map_or("some".to_owned(), |removed| HumanCount(removed).to_string());
        format!("\n    partition {partition}: {} left, {removed} removed {by}", HumanCount(*counted))
    }
}

/// Counts the rows of a flow in its source again, unless they aren't the rows that `progress`, the last commit, is about.
pub(super) fn recount(
    flow: &BuiltFlow,
    progress: Option<&Progress>,
    account: &Account,
    listener: &mut Listener,
) -> Result<Source, Error> {
    let source = &flow.source.source;
    if let Some(progress) = progress {
        match misfit(flow, progress)? {
            None => source.anchored(&progress.anchors),
            Some(Misfit::Gone(_)) => return Ok(Source::Gone),
            Some(Misfit::Other(refusal)) => return Ok(Source::Other { reason: refusal.to_string() }),
        }
    }
    let count = |span: &Span| Ok((*span, source.count(span, &mut |rows| listener.checked(rows))?));
    let counted: Vec<_> = account.spans.iter().map(count).collect::<Result<_, Error>>()?;
    let path = &flow.source.about.summary;
    Ok(compare(&counted, account.totals.read, &mut |problem| {
        listener.found(Finding { path: path.clone(), problem });
    }))
}

/// A span as it was read, and as it was counted now.
type Counted = (Span, Recount);

/// Judges the numbers; `read` is the sum of all rows that were read.
fn compare(all: &[Counted], read: u64, found: &mut dyn FnMut(String)) -> Source {
    let (mut counted, mut removed, mut partitions) = (0, 0, Vec::new());
    for (group, read) in groups(all, read) {
        if group.iter().any(|(_, recount)| *recount == Recount::Gone) {
            continue;
        }
        let rows: u64 = group.iter().map(|(_, recount)| recount.rows()).sum();
        counted += rows;
        let truncated = group.iter().filter_map(|(_, recount)| match recount {
            Recount::Truncated(_, reason) => Some(reason.clone()),
            _ => None,
        });
        let truncated: Vec<_> = truncated.collect();
        let remainders: Vec<_> = group.iter().filter_map(remainder).collect();
        if !truncated.is_empty() {
            truncated.into_iter().for_each(&mut *found);
        } else if rows > read || rows < read && remainders.is_empty() {
            let (rows, read) = (HumanCount(rows), HumanCount(read));
            let ranges = ranges(group.iter().map(|(span, _)| span));
            found(format!("has {rows} rows in the range that was read, {ranges}, but the commits account for {read}"));
        } else if rows < read {
            removed += read - rows;
            let is_alone = group.len() == 1;
            partitions.extend(
                remainders.into_iter().map(|one| Remainder { removed: is_alone.then_some(read - rows), ..one }),
            );
        }
    }
    if all.iter().any(|(_, recount)| *recount == Recount::Gone) {
        Source::Gone
    } else if removed > 0 {
        Source::Fewer(Fewer { counted, removed, partitions })
    } else {
        Source::Counted(counted)
    }
}

/// What is compared with each other: partitions one by one; but all at once where the sink keeps one sum for them, and the
/// spans don't add up to it.
fn groups(all: &[Counted], read: u64) -> Vec<(&[Counted], u64)> {
    if all.iter().map(|(span, _)| span.rows).sum::<u64>() == read {
        all.chunks(1).map(|one| (one, one.iter().map(|(span, _)| span.rows).sum())).collect()
    } else {
        vec![(all, read)]
    }
}

fn remainder((span, recount): &Counted) -> Option<Remainder> {
    match recount {
        Recount::Partial(counted, by) => {
            Some(Remainder { partition: span.partition, counted: *counted, removed: None, by: *by })
        }
        Recount::Complete(_) | Recount::Truncated(..) | Recount::Gone => None,
    }
}

/// `0 [0, 120) 1 [0, 80)`
pub(super) fn ranges<'s>(spans: impl IntoIterator<Item = &'s Span>) -> String {
    let range = |span: &Span| format!("{} [{}, {})", span.partition, span.from, span.to);
    spans.into_iter().map(range).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use operators_core::Position;

    /// Partitions from 0 on: rows that were read, and how they were counted.
    fn compared(partitions: &[(u64, Recount)], read: u64) -> (Source, Vec<String>) {
        let counted = (0..).zip(partitions).map(|(partition, (rows, recount))| {
            let span = Span { partition, from: Position(0), to: Position(100), rows: *rows, anchor: None };
            (span, recount.clone())
        });
        let mut found = Vec::new();
        let source = compare(&counted.collect::<Vec<_>>(), read, &mut |problem| found.push(problem));
        (source, found)
    }

    fn fewer(counted: u64, removed: u64, partitions: &[(u32, u64, Option<u64>, Removal)]) -> Source {
        let remainder =
            |&(partition, counted, removed, by): &(_, _, _, _)| Remainder { partition, counted, removed, by };
        Source::Fewer(Fewer { counted, removed, partitions: partitions.iter().map(remainder).collect() })
    }

    #[test]
    fn only_a_removal_explains_rows_that_are_not_there() {
        use Recount::{Complete, Gone, Partial};
        use Removal::{Delete, Retention};
        assert_eq!(compared(&[(10, Complete(10)), (5, Partial(5, Delete))], 15), (Source::Counted(15), vec![]));
        let (source, found) = compared(&[(10, Complete(9)), (5, Complete(5))], 15);
        assert_eq!((source, found.len()), (Source::Counted(14), 1));
        assert!(
            found[0].contains("9 rows") && found[0].contains("0 [0, 100), but the commits account for 10"),
            "{found:?}"
        );
        let retained = compared(&[(10, Complete(10)), (5, Partial(2, Retention))], 15);
        assert_eq!(retained, (fewer(12, 3, &[(1, 2, Some(3), Retention)]), vec![]));
        // One partition's retention explains nothing of another.
        let (source, found) = compared(&[(10, Complete(9)), (5, Partial(2, Retention))], 15);
        assert_eq!((source, found.len()), (fewer(11, 3, &[(1, 2, Some(3), Retention)]), 1));
        for more in [Complete(11), Partial(11, Delete)] {
            assert_eq!(compared(&[(10, more)], 10).1.len(), 1, "nothing explains a row that was not read");
        }
        let (source, found) = compared(&[(10, Complete(9)), (5, Gone)], 15);
        assert_eq!((source, found.len()), (Source::Gone, 1), "what is left is still compared");
    }

    #[test]
    fn a_truncated_log_is_a_finding_whatever_its_numbers() {
        let truncated = |rows| (10, Recount::Truncated(rows, "it ends at 9".to_owned()));
        for rows in [9, 10] {
            assert_eq!(compared(&[truncated(rows)], 10), (Source::Counted(rows), vec!["it ends at 9".to_owned()]));
        }
    }

    #[test]
    fn partitions_with_one_sum_are_compared_as_one() {
        use Recount::{Complete, Partial};
        // A SQL sink says of each partition only where it stands.
        let read = |rows, recount| (rows, recount);
        assert_eq!(compared(&[read(20, Complete(10)), read(9, Complete(5))], 15), (Source::Counted(15), vec![]));
        let source = compared(&[read(20, Complete(10)), read(9, Partial(2, Removal::Compaction))], 15);
        assert_eq!(source, (fewer(12, 3, &[(1, 2, None, Removal::Compaction)]), vec![]));
        assert_eq!(compared(&[read(20, Complete(9)), read(9, Complete(5))], 15).1.len(), 1);
    }

    #[test]
    fn what_is_said_as_json_keeps_its_names() {
        let json = |source: &Source| serde_json::to_string(source).unwrap();
        assert_eq!(json(&Source::Counted(7)), r#"{"counted":7}"#);
        assert_eq!(json(&Source::Gone), r#""gone""#);
        assert_eq!(json(&Source::Other { reason: "x".to_owned() }), r#"{"other":{"reason":"x"}}"#);
        assert_eq!(
            json(&fewer(12, 3, &[(1, 2, Some(3), Removal::Retention), (2, 0, None, Removal::LastDay)])),
            r#"{"fewer":{"counted":12,"removed":3,"partitions":[{"partition":1,"counted":2,"removed":3,"by":"retention"},{"partition":2,"counted":0,"by":"last_day"}]}}"#
        );
    }
}
