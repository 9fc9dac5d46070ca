//! How a run takes a directory over, and the rename that commits.
//!
//! ```text
//! take over   move aside what other runs staged -> prove that this place can rename -> only then read where it stands
//! commit      check that all that is staged is there -> one rename -> on any doubt, read back
//! ```
//! What others left is moved aside before anything is made, as it may be what fills a quota. What is read last shuts a
//! paused older copy out: what it staged cannot be published any more, and whatever it published before is read. What it
//! stages anew can only be published under the number after the newest, and for that name two runs race and one loses.
//!
//! Files are staged outside of the archive, so that readers never see one that isn't committed. Earlier versions stage
//! them within, in `_staging`: a run that takes over moves aside what is there too. An earlier version that starts next to
//! a run of this one doesn't know its staging directory, and moves nothing aside; neither does a run with another
//! `staging`. Then only the numbers keep the two apart, which is enough: both follow the same batch, one rename gets the
//! next number, and the other run stops as fenced with none of its rows in that batch.

use super::Archive;
use super::names::{self, LEGACY_STAGING, PROBE, Staged};
use super::resolve::{self, Author, Incomplete, Verdict};
use crate::store::{Cause, Entry, STAGING, StoreError};
use operators_core::error::{Error, Result};
use operators_core::progress::Run;
use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

/// How long a call that gets no answer is made again before the run gives up; the restart of a NameNode is shorter.
const PATIENCE: Duration = Duration::from_secs(30);

impl Archive {
    /// Creates the directory and renames once from the staging directory into it, as commits do, so that a place which
    /// cannot do that is refused before the first row is read.
    pub(super) fn prove(&self, run: &Run) -> Result<()> {
        self.check_redundancy()?;
        let staging = names::staging(run);
        let from = names::join(&staging, "probe");
        let prove = || {
            self.write(&names::join(&from, "empty"), b"")?;
            self.move_probe(&from)?;
            self.store.delete(PROBE)?;
            self.store.delete(&staging)
        };
        prove().map(drop).map_err(|error| match &error.cause {
            Cause::Failed(refused) if is_of_the_place(refused.kind()) => {
                // As far as it can be told, nothing of this run is left in a place that it can't use.
                drop(self.store.delete(&staging));
                self.tidy(run);
                self.unusable(error)
            }
            _ => self.lost(run, error),
        })
    }

    fn move_probe(&self, from: &str) -> Result<(), StoreError> {
        let mut patience = Patience::new();
        loop {
            match self.store.rename(from, PROBE) {
                // A crash left it there, or another copy starts at this moment.
                Err(StoreError { cause: Cause::AlreadyExists, .. }) if patience.wait() => {
                    self.store.delete(PROBE)?;
                }
                moved => return moved,
            }
        }
    }

    /// Refuses a place that would spoil files once a disk or server is lost.
    pub(crate) fn check_redundancy(&self) -> Result<()> {
        self.store.check_redundancy().map_err(|error| match error.cause {
            Cause::Failed(refused) if refused.kind() == ErrorKind::Unsupported => {
                self.refused(format!("{refused}. To create files elsewhere, {}", self.store.staging_advice()))
            }
            Cause::Failed(ref refused) if refused.kind() == ErrorKind::PermissionDenied => self.unusable(error),
            _ => self.failed(error),
        })
    }

    /// What it means that a run can't stage files and rename them into the archive.
    pub(crate) fn unusable(&self, error: StoreError) -> Error {
        let StoreError { action, path, cause } = match self.store.root() {
            Err(closed) => return self.unwritable(closed),
            Ok(_) => error,
        };
        self.refused(format!(
            "files are staged in {} and renamed from there into the archive, but this can't {action} {}: {cause}; {}",
            self.store.staging_place(),
            self.path(&path),
            self.store.staging_advice()
        ))
    }

    /// What it means that the archive's own directory can't be written to.
    pub(crate) fn unwritable(&self, error: StoreError) -> Error {
        match error.cause {
            Cause::Failed(refused) if refused.kind() == ErrorKind::PermissionDenied => {
                self.refused(format!("{refused}. Let this user write there, run as another, or name another directory"))
            }
            _ => self.failed(error),
        }
    }

    /// Moves aside what other runs have staged, each in one step, and then deletes it.
    pub(super) fn fence(&self, run: &Run) -> Result<()> {
        [STAGING, LEGACY_STAGING].into_iter().try_for_each(|directory| self.fence_in(directory, run))
    }

    fn fence_in(&self, directory: &str, run: &Run) -> Result<()> {
        let (mut round, mut patience) = (0, Patience::new());
        loop {
            let Some(staged) = self.staged(directory)? else { return Ok(()) };
            let mut unanswered = None;
            for other in resolve::other_runs(&staged, run) {
                let from = names::join(directory, &names::of_run(other));
                match self.store.rename(&from, &names::join(directory, &names::dead(run, round, other))) {
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
        let left = self.staged(directory)?.unwrap_or_default();
        for entry in left.iter().filter(|entry| Staged::parse(&entry.name) == Staged::Dead) {
            self.store.delete(&names::join(directory, &entry.name)).map_err(|e| self.failed(e))?;
        }
        if directory == LEGACY_STAGING {
            self.store.delete_empty(directory).map_err(|e| self.failed(e))?;
        }
        Ok(())
    }

    /// What a directory for staged files holds; `None` when it is not there.
    fn staged(&self, directory: &str) -> Result<Option<Vec<Entry>>> {
        match self.store.list(directory) {
            Err(StoreError { cause: Cause::NotFound, .. }) => Ok(None),
            listed => listed.map(Some).map_err(|e| self.failed(e)),
        }
    }

    /// Leaves no empty directories after the last commit of a run. Whatever goes wrong, the next run deletes them.
    pub(super) fn tidy(&self, run: &Run) {
        let tidy = || {
            self.store.delete_empty(&names::staging(run))?;
            self.store.delete_empty(STAGING)
        };
        if let Err(error) = tidy() {
            tracing::debug!(%error, "an empty directory of staged files is left");
        }
    }

    /// Checks that what was closed, each file with its length, is what lies in the directory of an attempt.
    pub(super) fn check_staged(&self, run: &Run, staged: &str, closed: &[(&str, u64)]) -> Result<()> {
        let entries = self.store.list(staged).map_err(|e| self.lost(run, e))?;
        match resolve::incomplete(closed, &entries) {
            None => Ok(()),
            Some(Incomplete::Missing(name)) => {
                let error = StoreError { action: "find", path: names::join(staged, &name), cause: Cause::NotFound };
                Err(self.lost(run, error))
            }
            Some(Incomplete::Wrong(name, reason)) => Err(self.damaged(&names::join(staged, &name), reason)),
        }
    }

    /// Gives what is staged the name that makes it count, in one step. `what` is the batch, for people; `look` reads
    /// whose batch bears the name.
    pub(super) fn publish(
        &self,
        (staged, target): (&str, &str),
        what: &str,
        ours: &Author,
        look: impl Fn() -> Result<Option<Author>>,
    ) -> Result<()> {
        let mut patience = Patience::new();
        loop {
            let Err(error) = self.store.rename(staged, target) else { return Ok(()) };
            let there = self.ask(&look)?;
            match resolve::after_rename(&error.cause, what, ours, there.as_ref()) {
                Verdict::Committed => return Ok(()),
                Verdict::Fenced(reason) => return Err(self.fenced(reason)),
                Verdict::Taken => {
                    return Err(self.damaged(target, "the name is taken by something that is no batch; move it away"));
                }
                Verdict::TryAgain if patience.wait() => {}
                Verdict::TryAgain | Verdict::Failed => return Err(self.failed(error)),
            }
        }
    }

    /// Asks again while there is no answer.
    pub(super) fn ask<T>(&self, look: impl Fn() -> Result<T>) -> Result<T> {
        let mut patience = Patience::new();
        loop {
            match look() {
                Err(Error::Unavailable { .. }) if patience.wait() => {}
                answer => return answer,
            }
        }
    }

    /// Stops a run whose last batch is gone: a directory deleted under it must not get the next batch alone.
    pub(super) fn gone(&self, before: &str, next: &str) -> Error {
        self.refused(format!(
            "{before} is gone: the directory was deleted or replaced while the flow ran. {next} was not published; put \
             the directory back, or start again to see where the flow stands"
        ))
    }

    /// Stops a run whose last batch is another now: a directory restored or replaced under it leads elsewhere.
    pub(super) fn replaced(&self, before: &str, next: &str) -> Error {
        self.refused(format!(
            "{before} isn't the one that this run committed or resumed from: the directory was restored or replaced \
             while the flow ran. {next} was not published; start again to resume from what is there now"
        ))
    }
}

/// Whether no other try would help: the staging directory can't be used, or not together with the archive's.
fn is_of_the_place(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::CrossesDevices
            | ErrorKind::NotADirectory
    )
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
