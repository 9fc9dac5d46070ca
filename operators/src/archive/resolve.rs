//! What to conclude from what was seen in a store. Nothing here makes a call.

use super::layout::{Segment, Staged};
use super::manifest::Manifest;
use crate::progress::{Run, Version};
use crate::store::{Cause, Entry, EntryKind};
use std::collections::BTreeMap;

/// The last segment and the one before, last first.
pub(super) fn last_two_segments(root: &[Entry]) -> Vec<Segment> {
    let mut segments: Vec<_> = root.iter().filter_map(|entry| Segment::parse(&entry.name)).collect();
    segments.sort_unstable_by(|a, b| b.cmp(a));
    segments.truncate(2);
    segments
}

/// What is known of the newest batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newest {
    /// No batch was seen yet.
    NoBatch,
    /// This one.
    Batch(Version),
    /// It should be this one, as the segment after it was begun, but it is not there.
    Missing(Version),
}

impl Newest {
    /// Goes on to a segment before those seen. A segment without batches is one in which the first commit was about to
    /// be made, and then the segment before it is full.
    pub(super) fn or_in(self, segment: Segment, entries: &[Entry]) -> Self {
        let newest = entries.iter().filter_map(|entry| segment.batch(&entry.name)).max();
        match (self, newest) {
            (Self::Batch(version), _) => Self::Batch(version),
            (Self::Missing(expected), Some(version)) if version == expected => Self::Batch(version),
            (Self::Missing(expected), _) => Self::Missing(expected),
            (Self::NoBatch, Some(version)) => Self::Batch(version),
            (Self::NoBatch, None) => segment.before().map_or(Self::NoBatch, |before| Self::Missing(before.last())),
        }
    }
}

/// The other runs that have something in the staging directory, by id.
pub(super) fn other_runs<'a>(staging: &'a [Entry], run: &Run) -> Vec<&'a str> {
    let other = |entry: &'a Entry| match Staged::parse(&entry.name) {
        Staged::Run(id) if id != run.id => Some(id),
        _ => None,
    };
    staging.iter().filter_map(other).collect()
}

/// Why what is staged is not what was closed; `None` when each file is there at its length and nothing else is.
pub(super) fn incomplete(closed: &[(&str, u64)], staged: &[Entry]) -> Option<Incomplete> {
    let mut there: BTreeMap<_, _> = staged.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
    for (name, length) in closed {
        let wrong = |reason| Some(Incomplete::Wrong((*name).to_owned(), reason));
        match there.remove(name) {
            Some(EntryKind::File(bytes)) if bytes == *length => {}
            Some(EntryKind::File(bytes)) => return wrong(format!("it has {bytes} bytes, but {length} were written")),
            Some(EntryKind::Directory) => return wrong("it is a directory".to_owned()),
            None => return Some(Incomplete::Missing((*name).to_owned())),
        }
    }
    let (name, _) = there.pop_first()?;
    Some(Incomplete::Wrong(name.to_owned(), "no writer of this batch closed it".into()))
}

/// Why a batch must not be published.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incomplete {
    /// A file that was closed is gone.
    Missing(String),
    /// A file is not what was closed, and why.
    Wrong(String, String),
}

/// What a failed rename of a batch means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Rows and positions are there.
    Committed,
    /// Another run was first, or took what was staged.
    Fenced(String),
    /// The name is taken by something that is no batch.
    Taken,
    /// Nothing happened yet.
    TryAgain,
    /// It did not work, and trying again would not help.
    Failed,
}

/// Decides by the answer to the rename and by what is read under the batch's name afterwards.
pub(super) fn after_rename(answer: &Cause, ours: &Manifest, there: Option<&Manifest>) -> Verdict {
    let version = ours.progress.version;
    match (answer, there) {
        // The name may be there, but the store could not make it last: nobody may count on it.
        (Cause::Failed(_), _) => Verdict::Failed,
        (_, Some(there)) if is_same(ours, there) => Verdict::Committed,
        (_, Some(there)) => Verdict::Fenced(format!("run {} was first with batch {version}", there.progress.run.id)),
        (Cause::NotFound, None) => {
            Verdict::Fenced(format!("batch {version} was staged and is gone, as when a newer copy has moved it aside"))
        }
        (Cause::AlreadyExists, None) => Verdict::Taken,
        (Cause::Unknown(_) | Cause::Unavailable(_), None) => Verdict::TryAgain,
    }
}

fn is_same(ours: &Manifest, there: &Manifest) -> bool {
    (&ours.progress.run.id, ours.attempt) == (&there.progress.run.id, there.attempt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Checkpoint;
    use crate::progress::{Fingerprint, Progress, Tally};

    fn entries(names: &[&str]) -> Vec<Entry> {
        names.iter().map(|name| Entry { name: (*name).to_owned(), kind: EntryKind::Directory }).collect()
    }

    fn manifest(run: &str, attempt: u64) -> Manifest {
        let progress = Progress {
            version: Version(43),
            run: Run { id: run.into(), flow: "weather/archive".into() },
            fingerprint: Fingerprint::default(),
            source: None,
            positions: Checkpoint::default(),
            totals: Tally::default(),
        };
        Manifest { progress, attempt, spans: vec![], tally: Tally::default(), files: vec![] }
    }

    #[test]
    fn the_newest_batch_is_in_the_last_segment_or_ends_the_one_before() {
        let newest = |root: &[&str], last: &[&str], before: &[&str]| {
            let segments = last_two_segments(&entries(root));
            segments.iter().zip([last, before]).fold(Newest::NoBatch, |n, (s, names)| n.or_in(*s, &entries(names)))
        };
        let (two, full) = (["segment=000000", "segment=000001", "_staging"], "batch=00000000000000099999");
        assert_eq!(newest(&[], &[], &[]), Newest::NoBatch);
        assert_eq!(newest(&["segment=000000"], &[], &[]), Newest::NoBatch);
        assert_eq!(newest(&two[..1], &["batch=00000000000000000007", "batch=9", "x"], &[]), Newest::Batch(Version(7)));
        assert_eq!(newest(&two, &["batch=00000000000000100000"], &[full]), Newest::Batch(Version(100_000)));
        assert_eq!(newest(&two, &[], &[full]), Newest::Batch(Version(99_999)));
        let missing = Newest::Missing(Version(99_999));
        assert_eq!(newest(&two, &[], &["batch=00000000000000099998"]), missing, "its last batch is gone");
        assert_eq!(newest(&two, &[], &[]), missing);
        assert_eq!(newest(&two[1..], &[], &[]), missing, "the whole segment is gone");
        assert_eq!(newest(&two, &[full], &[]), missing, "a batch in the wrong segment does not count");
    }

    #[test]
    fn a_failed_rename_is_judged_by_what_bears_the_name() {
        let ours = manifest("ours", 5);
        let unknown = Cause::Unknown("timed out".into());
        let unavailable = Cause::Unavailable("safe mode".into());
        let failed = Cause::Failed(std::io::ErrorKind::StorageFull.into());
        let fenced = |verdict| matches!(verdict, Verdict::Fenced(_));
        for answer in [&unknown, &unavailable, &Cause::AlreadyExists, &Cause::NotFound] {
            assert_eq!(after_rename(answer, &ours, Some(&ours)), Verdict::Committed, "{answer}");
            assert!(fenced(after_rename(answer, &ours, Some(&manifest("other", 5)))), "{answer}");
            assert!(fenced(after_rename(answer, &ours, Some(&manifest("ours", 4)))), "{answer}");
        }
        assert_eq!(after_rename(&unknown, &ours, None), Verdict::TryAgain);
        assert_eq!(after_rename(&unavailable, &ours, None), Verdict::TryAgain);
        assert!(fenced(after_rename(&Cause::NotFound, &ours, None)));
        assert_eq!(after_rename(&Cause::AlreadyExists, &ours, None), Verdict::Taken);
        for there in [None, Some(&ours)] {
            assert_eq!(after_rename(&failed, &ours, there), Verdict::Failed);
        }
    }

    #[test]
    fn only_what_was_closed_is_published() {
        let entry = |name: &str, bytes| Entry { name: name.into(), kind: EntryKind::File(bytes) };
        let files = [("a", 10), ("b", 10)];
        assert_eq!(incomplete(&files, &[entry("b", 10), entry("a", 10)]), None);
        assert_eq!(incomplete(&files, &[entry("b", 10)]), Some(Incomplete::Missing("a".into())));
        let wrong = |staged: &[Entry]| matches!(incomplete(&files, staged), Some(Incomplete::Wrong(..)));
        assert!(wrong(&[entry("a", 9), entry("b", 10)]), "cut");
        assert!(wrong(&[entry("a", 10), entry("b", 10), entry("c", 10)]), "a file nobody closed");
    }

    #[test]
    fn only_other_runs_are_fenced() {
        let run = Run { id: "ours".into(), flow: String::new() };
        let staging = entries(&["run=ours", "run=theirs", "dead=ours-0-x", "notes", "_x", "running=1"]);
        assert_eq!(other_runs(&staging, &run), ["theirs"]);
    }
}
