//! How a run takes a directory over, and how it commits.
//!
//! ```text
//! open    prove that this place can rename -> move aside what other runs staged -> only then read the newest batch
//! commit  write the checkpoint beside the rows -> check that all of it is there, and the batch before -> one rename
//!         -> on any doubt, read back
//! ```
//! The order of `open` shuts a paused older copy out: what it staged cannot be published any more, and whatever it
//! published before is read. What it stages anew can only be published as the version after the newest, and for
//! that name two runs race and one loses.

use super::Archive;
use super::layout::{self, Staged};
use super::manifest::Manifest;
use super::resolve::{self, Incomplete, Verdict};
use crate::error::{Error, Result};
use crate::progress::{Commit, Progress, Run, Version};
use crate::stage::Committer;
use crate::store::{Cause, Entry, StoreError};
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

/// How long a call that gets no answer is made again before the run gives up; the restart of a NameNode is shorter.
const PATIENCE: Duration = Duration::from_secs(30);

/// Commits the batches of one run.
pub(crate) struct Publisher {
    archive: Archive,
    run: Run,
    next: Version,
}

impl Publisher {
    /// Takes the directory over, and says where the flow stands.
    pub(crate) fn open(archive: Archive, run: &Run) -> Result<(Self, Option<Progress>)> {
        // A directory of another flow is refused before anything in it is touched.
        archive.newest(&run.flow)?;
        archive.prove(run)?;
        archive.fence(run)?;
        let progress = archive.newest(&run.flow)?.map(|manifest| manifest.progress);
        let next = progress.as_ref().map_or(Version::FIRST, |progress| progress.version.next());
        Ok((Self { archive, run: run.clone(), next }, progress))
    }
}

impl Committer for Publisher {
    fn commit(&mut self, commit: Commit) -> Result<()> {
        let manifest = Manifest::of(commit)?;
        let version = manifest.progress.version;
        if version != self.next {
            return Err(Error::Other(format!("batch {version} was not committed: {} is the next version", self.next)));
        }
        let staged = layout::attempt(&self.run, manifest.attempt);
        let text = manifest.text()?;
        let path = layout::join(&staged, layout::CHECKPOINT);
        self.archive.write(&path, &text).map_err(|e| self.archive.lost(&self.run, e))?;
        // Last before the rename: where a newer run has moved the rows aside, the checkpoint now lies alone.
        self.archive.check_staged(&self.run, &staged, &manifest, text.len() as u64)?;
        self.archive.check_before(version)?;
        self.archive.publish(&staged, &manifest)?;
        self.next = version.next();
        Ok(())
    }
}

impl Archive {
    /// Creates the directory and renames in it once, so that a place which cannot do that is refused before the first
    /// row is read.
    fn prove(&self, run: &Run) -> Result<()> {
        let staging = layout::staging(run);
        let (from, to) = (layout::join(&staging, "probe"), layout::join(&staging, "probed"));
        let prove = || {
            self.write(&layout::join(&from, "empty"), b"")?;
            self.store.rename(&from, &to)?;
            self.store.delete(&staging)
        };
        prove().map(drop).map_err(|e| self.lost(run, e))
    }

    /// Moves aside what other runs have staged, each in one step, and then deletes it.
    fn fence(&self, run: &Run) -> Result<()> {
        let (mut round, mut patience) = (0, Patience::new());
        loop {
            let staging = self.staging()?;
            let mut unanswered = None;
            for other in resolve::other_runs(&staging, run) {
                let from = layout::join(layout::STAGING, &format!("run={other}"));
                match self.store.rename(&from, &layout::dead(run, round, other)) {
                    Ok(()) | Err(StoreError { cause: Cause::NotFound, .. }) => {}
                    Err(error @ StoreError { cause: Cause::Unknown(_), .. }) => unanswered = Some(error),
                    Err(error) => return Err(self.failed(error)),
                }
            }
            match unanswered {
                None => break,
                Some(_) if patience.wait() => round += 1,
                Some(error) => return Err(self.failed(error)),
            }
        }
        for entry in self.staging()?.iter().filter(|entry| Staged::parse(&entry.name) == Staged::Dead) {
            self.store.delete(&layout::join(layout::STAGING, &entry.name)).map_err(|e| self.failed(e))?;
        }
        Ok(())
    }

    fn staging(&self) -> Result<Vec<Entry>> {
        match self.store.list(layout::STAGING) {
            Err(StoreError { cause: Cause::NotFound, .. }) => Ok(Vec::new()),
            listed => listed.map_err(|e| self.failed(e)),
        }
    }

    /// Checks that what was closed is what lies there, the checkpoint included.
    fn check_staged(&self, run: &Run, staged: &str, manifest: &Manifest, checkpoint: u64) -> Result<()> {
        let entries = self.store.list(staged).map_err(|e| self.lost(run, e))?;
        let files = manifest.files.iter().map(|file| (file.name.as_str(), file.bytes));
        let closed: Vec<_> = files.chain([(layout::CHECKPOINT, checkpoint)]).collect();
        match resolve::incomplete(&closed, &entries) {
            None => Ok(()),
            Some(Incomplete::Missing(name)) => {
                let error = StoreError { action: "find", path: layout::join(staged, &name), cause: Cause::NotFound };
                Err(self.lost(run, error))
            }
            Some(Incomplete::Wrong(name, reason)) => Err(self.damaged(&layout::join(staged, &name), reason)),
        }
    }

    /// Checks that the batch before is still there: a directory deleted under a running flow must stop it, or the
    /// next batch would be published alone.
    fn check_before(&self, version: Version) -> Result<()> {
        let Some(before) = version.0.checked_sub(1).map(Version) else { return Ok(()) };
        match self.look(before)? {
            Some(_) => Ok(()),
            None => Err(Error::Refused {
                place: self.place.clone(),
                reason: format!(
                    "batch {before} is gone: the directory was deleted or replaced while the flow ran. Batch {version} \
                     was not published; put the directory back, or start again to see where the flow stands"
                ),
            }),
        }
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = self.store.create(path)?;
        let written = file.write_all(bytes);
        written.map_err(|e| StoreError { action: "write", path: path.to_owned(), cause: e.into() })?;
        file.finish()
    }

    /// Makes the staged batch the one of its version, in one step.
    fn publish(&self, staged: &str, manifest: &Manifest) -> Result<()> {
        let version = manifest.progress.version;
        let target = layout::batch(version);
        let mut patience = Patience::new();
        loop {
            let Err(error) = self.store.rename(staged, &target) else { return Ok(()) };
            let there = self.look(version)?;
            match resolve::after_rename(&error.cause, manifest, there.as_ref()) {
                Verdict::Committed => return Ok(()),
                Verdict::Fenced(reason) => return Err(self.fenced(reason)),
                Verdict::Taken => {
                    return Err(
                        self.damaged(&target, "the name is taken by something without a checkpoint; move it away")
                    );
                }
                Verdict::TryAgain if patience.wait() => {}
                Verdict::TryAgain | Verdict::Failed => return Err(self.failed(error)),
            }
        }
    }

    /// Reads back what bears a version, asking again while there is no answer.
    fn look(&self, version: Version) -> Result<Option<Manifest>> {
        let mut patience = Patience::new();
        loop {
            match self.find_manifest(version) {
                Err(Error::Unavailable { .. }) if patience.wait() => {}
                found => return found,
            }
        }
    }
}

/// Waits longer and longer between tries, until it has waited enough.
struct Patience {
    end: Instant,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { end: Instant::now() + PATIENCE, pause: Duration::from_millis(1) }
    }

    /// Waits before the next try; `false` when there is to be none.
    fn wait(&mut self) -> bool {
        let left = self.end.saturating_duration_since(Instant::now());
        thread::sleep(self.pause.min(left));
        self.pause = (self.pause * 4).min(Duration::from_secs(2));
        !left.is_zero()
    }
}
