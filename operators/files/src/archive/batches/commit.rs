//! Commits: the checkpoint is written beside the rows, and one rename publishes the directory that holds both.

use super::Batches;
use super::layout::{self, CHECKPOINT};
use super::manifest::Manifest;
use crate::archive::names;
use crate::archive::resolve::Author;
use operators_core::digest::Digest;
use operators_core::error::{Error, Result};
use operators_core::progress::{Commit, Run, Version};
use operators_core::stage::Committer;

/// Commits the batches of one run.
pub(super) struct Publisher {
    pub(super) batches: Batches,
    pub(super) run: Run,
    pub(super) next: Version,
    /// Digest of the newest record; `None` before the first commit.
    pub(super) before: Option<Digest>,
}

impl Committer for Publisher {
    fn commit(&mut self, commit: Commit) -> Result<()> {
        let manifest = Manifest::of(commit, self.before)?;
        let version = manifest.progress.version;
        if version != self.next {
            return Err(Error::Other(format!("batch {version} was not committed: {} is the next version", self.next)));
        }
        let archive = &self.batches.archive;
        let staged = names::attempt(&self.run, manifest.attempt);
        let (text, digest) = manifest.text()?;
        let path = names::join(&staged, CHECKPOINT);
        archive.write(&path, &text).map_err(|e| archive.lost(&self.run, e))?;
        // Last before the rename: where a newer run has moved the rows aside, the checkpoint now lies alone.
        let files = manifest.files.iter().map(|file| (file.name.as_str(), file.bytes));
        let closed: Vec<_> = files.chain([(CHECKPOINT, text.len() as u64)]).collect();
        archive.check_staged(&self.run, &staged, &closed)?;
        self.check_before(version)?;
        let look = || Ok(self.batches.find_manifest(version)?.map(|stored| author(&stored.manifest)));
        archive.publish((&staged, &layout::batch(version)), &format!("batch {version}"), &author(&manifest), look)?;
        (self.next, self.before) = (version.next(), Some(digest));
        Ok(())
    }

    fn tidy(&mut self) {
        self.batches.archive.tidy(&self.run);
    }
}

impl Publisher {
    /// Makes sure that the newest batch is still the one that this run follows.
    fn check_before(&self, version: Version) -> Result<()> {
        let Some(before) = version.0.checked_sub(1).map(Version) else { return Ok(()) };
        let archive = &self.batches.archive;
        let (what, next) = (format!("batch {before}"), format!("Batch {version}"));
        match archive.ask(|| self.batches.find_manifest(before))? {
            Some(stored) if Some(stored.digest) == self.before => Ok(()),
            Some(_) => Err(archive.replaced(&what, &next)),
            None => Err(archive.gone(&what, &next)),
        }
    }
}

fn author(manifest: &Manifest) -> Author {
    Author { run: manifest.progress.run.id.clone(), attempt: manifest.attempt }
}
