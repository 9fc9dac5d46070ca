//! `_checkpoint.json`: what a batch is, and where the flow stands after it.
//!
//! Each record holds the digest of every file of its batch, of the record before it, and of itself: anyone who trusts
//! the newest record can check the whole history. Records of earlier versions have none of the three.

use operators_core::digest::{self, Digest};
use operators_core::error::{Error, Result};
use operators_core::position::Span;
use operators_core::progress::{Commit, Contents, FileEntry, Progress, Tally, Version};
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
    /// Digest of the record of the batch before, as its file is.
    #[serde(default)]
    pub(crate) before: Option<Digest>,
    /// Digest of this record, with the digits of this field replaced by zeros.
    #[serde(default)]
    pub(crate) digest: Option<Digest>,
}

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredManifest {
    pub(super) manifest: Manifest,
    /// Digest of its text, which the next record holds as `before`.
    pub(super) digest: Digest,
}

impl Manifest {
    /// The record of a commit that follows the record `before`; an error when what its writers left does not add up to
    /// what it says.
    pub(super) fn of(commit: Commit, before: Option<Digest>) -> Result<Self> {
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
        if let Some(file) = files.iter().find(|file| file.digest.is_none()) {
            return Err(unsound(progress.version, &format!("the writer of {} gave no digest", file.name)));
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        spans.sort_by_key(|span| span.partition);
        Ok(Self { progress, attempt, spans, tally, files, before, digest: Some(Digest::BLANK) })
    }

    /// The text of `_checkpoint.json`, laid out for people, and its digest.
    pub(super) fn text(&self) -> Result<(Vec<u8>, Digest)> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| Error::Other(e.to_string()))?;
        text.push(b'\n');
        let sealed = digest::seal(&mut text);
        sealed.ok_or_else(|| unsound(self.progress.version, "its record has no place for its digest"))?;
        let digest = Digest::of(&text);
        Ok((text, digest))
    }
}

impl StoredManifest {
    /// Reads the record of the batch that bears this version; the reason when it cannot be that.
    pub(super) fn parse(text: &[u8], version: Version) -> Result<Self, String> {
        let manifest: Manifest = serde_json::from_slice(text).map_err(|e| format!("it isn't a checkpoint: {e}"))?;
        match manifest.progress.version {
            written if written == version => {}
            written => {
                return Err(format!("it says that it is version {written}, but is in the directory of {version}"));
            }
        }
        if manifest.digest.is_some_and(|digest| !digest::is_sealed(text, &digest)) {
            return Err("its digest does not match: it was changed after it was written".to_owned());
        }
        if manifest.digest.is_some() && manifest.files.iter().any(|file| file.digest.is_none()) {
            return Err("it has a digest, but not of each of its files".to_owned());
        }
        Ok(Self { manifest, digest: Digest::of(text) })
    }
}

/// A batch that must not be published: the caller and the writers disagree, which no run can repair.
fn unsound(version: Version, reason: &str) -> Error {
    Error::Other(format!("batch {version} was not committed: {reason}"))
}
