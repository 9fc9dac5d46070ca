//! `status`: where each flow stands, from what its sink and its source hold.

use super::{Failed, PANICKED};
use crate::report::standing::{Behind, Commit, LastCommit, Partition, Standing, text};
use crate::report::{json_or_error, say};
use operators_core::inspect::{Extent, Holdings};
use operators_core::progress::Progress;
use operators_core::{Error, Position};
use pipeline::BuiltFlow;
use runtime::plan::fits;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;

pub(crate) fn status(file: &Path, json: bool) -> Result<(), Failed> {
    let loaded = super::load(file)?;
    let mut wrong = false;
    thread::scope(|scope| {
        // All are asked before the first answer is waited for.
        let asked: Vec<_> = loaded.built.iter().map(|flow| scope.spawn(|| standing(flow))).collect();
        for (index, asked) in asked.into_iter().enumerate() {
            let standing = asked.join().unwrap_or_else(|_| Standing {
                flow: loaded.built[index].name.clone(),
                problems: vec![PANICKED.to_owned()],
                ..Standing::default()
            });
            wrong |= !standing.problems.is_empty();
            if json {
                say(json_or_error(serde_json::to_string(&standing)))?;
            } else {
                say(format!("{}{}", if index > 0 { "\n" } else { "" }, text(&standing)))?;
            }
        }
        Ok::<(), Failed>(())
    })?;
    if wrong { Err(Failed::Said) } else { Ok(()) }
}

/// Asks source and sink of a flow side by side.
fn standing(flow: &BuiltFlow) -> Standing {
    let (extents, sink) = thread::scope(|scope| {
        let extents = scope.spawn(|| flow.source.source.extents());
        let sink = held(flow);
        (extents.join(), sink)
    });
    let mut standing = Standing {
        flow: flow.name.clone(),
        source: flow.source.about.summary.clone(),
        sink: flow.sink.about.summary.clone(),
        commit_every: flow.commit.every.0,
        ..Standing::default()
    };
    let mut problem = |error: Error| {
        let words = error.to_string();
        if !standing.problems.contains(&words) {
            standing.problems.push(words);
        }
    };
    let (progress, committed) = match sink {
        Ok(None) => (None, LastCommit::Never),
        Ok(Some((progress, holdings))) => {
            standing.files = holdings.files;
            let (version, run, rows) = (progress.version, progress.run.id.clone(), progress.totals);
            (Some(progress), LastCommit::Made(Commit { version, run, at: holdings.committed_at, rows }))
        }
        Err(error) => {
            problem(error);
            (None, LastCommit::Unknown)
        }
    };
    let extents = extents.unwrap_or_else(|_| Err(Error::Other(PANICKED.to_owned())));
    let is_silent = extents.is_err();
    let extents = extents.unwrap_or_else(|error| {
        problem(error);
        Vec::new()
    });
    match progress.as_ref().map(|progress| fits(flow, progress)) {
        // It has just said so.
        Some(Err(Error::Unavailable { .. })) if is_silent => {}
        Some(Err(error)) => problem(error),
        Some(Ok(())) | None => {}
    }
    standing.partitions = partitions(progress.as_ref(), &extents);
    standing.behind = total(&standing.partitions);
    standing.last_commit = committed;
    standing
}

/// The last commit and what is there beside it; `None` before the first.
fn held(flow: &BuiltFlow) -> operators_core::Result<Option<(Progress, Holdings)>> {
    let sink = &flow.sink.sink;
    let Some(progress) = sink.progress(&flow.id)? else { return Ok(None) };
    Ok(Some((progress, sink.holdings(&flow.id)?)))
}

/// The partitions that the flow has read or the source has.
fn partitions(progress: Option<&Progress>, extents: &[Extent]) -> Vec<Partition> {
    let positions = progress.map(|progress| &progress.positions.0);
    let extents: BTreeMap<_, _> = extents.iter().map(|extent| (extent.partition, extent)).collect();
    let all: BTreeSet<_> = positions.into_iter().flat_map(BTreeMap::keys).chain(extents.keys()).copied().collect();
    let partition = |partition| {
        let position = positions.and_then(|positions| positions.get(&partition)).copied();
        let extent = extents.get(&partition).copied();
        Partition {
            partition,
            position,
            first: extent.map(|extent| extent.first),
            next: extent.map(|extent| extent.next),
            behind: extent.map(|extent| behind(position, extent)),
        }
    };
    all.into_iter().map(partition).collect()
}

fn behind(position: Option<Position>, extent: &Extent) -> Behind {
    // What lay before the first is gone, and cannot be read any more.
    let from = position.map_or(extent.first, |position| position.max(extent.first));
    let rows = extent.next.0.saturating_sub(from.0);
    Behind { rows, exact: extent.dense || rows == 0 }
}

fn total(partitions: &[Partition]) -> Option<Behind> {
    let known: Option<Vec<Behind>> = partitions.iter().map(|partition| partition.behind).collect();
    let known = known.filter(|known| !known.is_empty())?;
    let add = |sum: Behind, one: &Behind| Behind { rows: sum.rows + one.rows, exact: sum.exact && one.exact };
    Some(known.iter().fold(Behind { rows: 0, exact: true }, add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use operators_core::Checkpoint;
    use operators_core::position::Anchors;
    use operators_core::progress::{Fingerprint, Run, Tally, Version};

    fn stands_at(positions: &[(u32, u64)]) -> Progress {
        Progress {
            version: Version::FIRST,
            run: Run { id: "one".into(), flow: "weather/test".into() },
            fingerprint: Fingerprint::default(),
            source: None,
            positions: Checkpoint(positions.iter().map(|(partition, at)| (*partition, Position(*at))).collect()),
            anchors: Anchors::default(),
            totals: Tally::default(),
        }
    }

    fn extent(partition: u32, first: u64, next: u64, dense: bool) -> Extent {
        Extent { partition, first: Position(first), next: Position(next), dense }
    }

    /// Rows, and whether it is that many.
    type Told = Option<(u64, bool)>;

    fn behind_of(progress: Option<&Progress>, extents: &[Extent]) -> (Vec<Told>, Told) {
        let of = |behind: Behind| (behind.rows, behind.exact);
        let partitions = partitions(progress, extents);
        (partitions.iter().map(|partition| partition.behind.map(of)).collect(), total(&partitions).map(of))
    }

    #[test]
    fn rows_still_to_be_read_are_counted_from_what_is_still_there() {
        let flow = stands_at(&[(0, 10), (1, 20)]);
        let of = |extents: &[Extent]| behind_of(Some(&flow), extents);
        let dense = [extent(0, 0, 15, true), extent(1, 0, 20, true)];
        assert_eq!(of(&dense), (vec![Some((5, true)), Some((0, true))], Some((5, true))));
        let gaps = [extent(0, 0, 15, false), extent(1, 0, 20, false)];
        assert_eq!(
            of(&gaps),
            (vec![Some((5, false)), Some((0, true))], Some((5, false))),
            "nothing is exactly nothing"
        );
        let expired = [extent(0, 12, 15, false), extent(1, 30, 30, false)];
        assert_eq!(of(&expired), (vec![Some((3, false)), Some((0, true))], Some((3, false))));
        let truncated = [extent(0, 0, 5, false), extent(1, 0, 20, false)];
        assert_eq!(of(&truncated).1, Some((0, true)));
        let added = [extent(0, 0, 10, true), extent(1, 0, 20, true), extent(2, 3, 7, true)];
        assert_eq!(of(&added).1, Some((4, true)), "a partition that was never read is read from its first");
    }

    #[test]
    fn what_cannot_be_told_is_not_counted() {
        let flow = stands_at(&[(0, 10), (1, 20)]);
        assert_eq!(behind_of(Some(&flow), &[]), (vec![None, None], None));
        assert_eq!(behind_of(Some(&flow), &[extent(0, 0, 15, true)]), (vec![Some((5, true)), None], None));
        assert_eq!(behind_of(None, &[]), (vec![], None));
        assert_eq!(behind_of(None, &[extent(0, 2, 15, true)]), (vec![Some((13, true))], Some((13, true))));
    }
}
