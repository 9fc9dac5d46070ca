//! `_checkpoint.json`: what a batch is, and where the flow stands after it.

use crate::error::{Error, Result};
use crate::position::Span;
use crate::progress::{Commit, Contents, FileEntry, Progress, Tally, Version};
use serde::{Deserialize, Serialize};

/// The record of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Enough to go on from this commit.
    pub(crate) progress: Progress,
    /// The attempt of the run that made it; with the run it tells our commit from another's.
    pub(crate) attempt: u64,
    /// What this batch moved the source partitions by.
    pub(crate) spans: Vec<Span>,
    /// Rows of this batch.
    pub(crate) tally: Tally,
    /// Data files of this batch, by name.
    pub(crate) files: Vec<FileEntry>,
}

impl Manifest {
    /// The record of a commit; an error when what its writers left does not add up to what it says.
    pub(super) fn of(commit: Commit) -> Result<Self> {
        let Commit { progress, mut spans, tally, attempt, receipts } = commit;
        let (mut files, mut written, mut dead_letters) = (Vec::new(), 0, 0);
        for receipt in receipts {
            written += receipt.rows;
            dead_letters += receipt.dead_letters;
            match receipt.contents {
                Contents::Files(entries) => files.extend(entries),
                Contents::Chunks(_) => return Err(unsound(progress.version, "a writer kept its rows in memory")),
            }
        }
        if (written, dead_letters) != (tally.written, tally.dead_letters) {
            let reason = format!(
                "the writers closed {written} rows and {dead_letters} dead letters, but {} and {} were counted",
                tally.written, tally.dead_letters
            );
            return Err(unsound(progress.version, &reason));
        }
        if spans.is_empty() {
            return Err(unsound(progress.version, "it moves no source partition"));
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        spans.sort_by_key(|span| span.partition);
        Ok(Self { progress, attempt, spans, tally, files })
    }

    /// Reads the record of the batch that bears this version; the reason when it cannot be that.
    pub(super) fn parse(text: &[u8], version: Version) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(text).map_err(|e| format!("it is no checkpoint: {e}"))?;
        match manifest.progress.version {
            written if written == version => Ok(manifest),
            written => Err(format!("it says that it is version {written}, but lies in the directory of {version}")),
        }
    }

    /// The text of `_checkpoint.json`, laid out for people.
    pub(super) fn text(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| Error::Other(e.to_string()))?;
        text.push(b'\n');
        Ok(text)
    }
}

/// A batch that must not be published: the caller and the writers disagree, which no run can repair.
fn unsound(version: Version, reason: &str) -> Error {
    Error::Other(format!("batch {version} was not committed: {reason}"))
}
