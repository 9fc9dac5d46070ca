//! What to conclude from what was seen in a store. Nothing here makes a call.

use super::names::Staged;
use crate::store::{Cause, Entry, EntryKind};
use operators_core::progress::Run;
use std::collections::{BTreeMap, BTreeSet};

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
    missing_or_cut(closed, staged).or_else(|| {
        let known: BTreeSet<_> = closed.iter().map(|(name, _)| *name).collect();
        let name = staged.iter().map(|entry| &entry.name).filter(|name| !known.contains(name.as_str())).min()?;
        Some(Incomplete::Wrong(name.clone(), "no writer of this batch closed it".into()))
    })
}

/// The first of these files that is not there at its length.
pub(super) fn missing_or_cut(files: &[(&str, u64)], entries: &[Entry]) -> Option<Incomplete> {
    let there: BTreeMap<_, _> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
    files.iter().find_map(|(name, length)| {
        let wrong = |reason| Some(Incomplete::Wrong((*name).to_owned(), reason));
        match there.get(name) {
            Some(EntryKind::File(bytes)) if bytes == length => None,
            Some(EntryKind::File(bytes)) => wrong(format!("it has {bytes} bytes, but {length} were written")),
            Some(EntryKind::Directory) => wrong("it is a directory".to_owned()),
            None => Some(Incomplete::Missing((*name).to_owned())),
        }
    })
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

/// Who staged a batch: tells ours from another's, and from another attempt of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Author {
    /// The id of the run.
    pub(super) run: String,
    pub(super) attempt: u64,
}

/// Decides by the answer to the rename and by whose batch is found under the name afterwards; `what` is the batch, for
/// people.
pub(super) fn after_rename(answer: &Cause, what: &str, ours: &Author, there: Option<&Author>) -> Verdict {
    match (answer, there) {
        // The name may be there, but the store could not make it last: nobody may count on it.
        (Cause::Failed(_) | Cause::TooLarge(_), _) => Verdict::Failed,
        (_, Some(there)) if there == ours => Verdict::Committed,
        (_, Some(there)) => Verdict::Fenced(format!("run {} was first with {what}", there.run)),
        (Cause::NotFound, None) => {
            Verdict::Fenced(format!("{what} was staged and is gone, as when a newer copy has moved it aside"))
        }
        (Cause::AlreadyExists, None) => Verdict::Taken,
        (Cause::Unknown(_) | Cause::Unavailable(_), None) => Verdict::TryAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        names.iter().map(|name| Entry { name: (*name).to_owned(), kind: EntryKind::Directory }).collect()
    }

    #[test]
    fn a_failed_rename_is_judged_by_what_bears_the_name() {
        let author = |run: &str, attempt| Author { run: run.into(), attempt };
        let ours = author("ours", 5);
        let after_rename = |answer: &Cause, there: Option<&Author>| after_rename(answer, "batch 43", &ours, there);
        let unknown = Cause::Unknown("timed out".into());
        let unavailable = Cause::Unavailable("safe mode".into());
        let failed = Cause::Failed(std::io::ErrorKind::StorageFull.into());
        let fenced = |verdict| matches!(verdict, Verdict::Fenced(_));
        for answer in [&unknown, &unavailable, &Cause::AlreadyExists, &Cause::NotFound] {
            assert_eq!(after_rename(answer, Some(&ours)), Verdict::Committed, "{answer}");
            assert!(fenced(after_rename(answer, Some(&author("other", 5)))), "{answer}");
            assert!(fenced(after_rename(answer, Some(&author("ours", 4)))), "{answer}");
        }
        assert_eq!(after_rename(&unknown, None), Verdict::TryAgain);
        assert_eq!(after_rename(&unavailable, None), Verdict::TryAgain);
        assert!(fenced(after_rename(&Cause::NotFound, None)));
        assert_eq!(after_rename(&Cause::AlreadyExists, None), Verdict::Taken);
        for there in [None, Some(&ours)] {
            assert_eq!(after_rename(&failed, there), Verdict::Failed);
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
