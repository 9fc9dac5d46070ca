//! How a run takes a directory over, and the rename that commits.
//!
//! ```text
//! take over   move aside what other runs staged -> prove that this place can rename -> only then read where it stands
//! commit      check that all that is staged is there -> one rename -> on any doubt, read back
//! ```
//! What others left is moved aside before anything is made, as it may be what fills a quota. What is read last shuts a
//! paused older copy out: what it staged cannot be published any more, and whatever it published before is read. What it
//! stages anew can only be published under the number after the newest, and for that name two runs race and one loses.

use super::Archive;
use super::names::{self, Staged};
use super::resolve::{self, Author, Incomplete, Verdict};
use crate::error::{Error, Result};
use crate::progress::Run;
use crate::store::{Cause, Entry, StoreError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a call that gets no answer is made again before the run gives up; the restart of a NameNode is shorter.
const PATIENCE: Duration = Duration::from_secs(30);

impl Archive {
    /// Creates the directory and renames in it once, so that a place which cannot do that is refused before the first
    /// row is read.
    pub(super) fn prove(&self, run: &Run) -> Result<()> {
        let staging = names::staging(run);
        let (from, to) = (names::join(&staging, "probe"), names::join(&staging, "probed"));
        let prove = || {
            self.write(&names::join(&from, "empty"), b"")?;
            self.store.rename(&from, &to)?;
            self.store.delete(&staging)
        };
        prove().map(drop).map_err(|e| self.lost(run, e))
    }

    /// Moves aside what other runs have staged, each in one step, and then deletes it.
    pub(super) fn fence(&self, run: &Run) -> Result<()> {
        let (mut round, mut patience) = (0, Patience::new());
        loop {
            let staging = self.staging()?;
            let mut unanswered = None;
            for other in resolve::other_runs(&staging, run) {
                let from = names::join(names::STAGING, &format!("run={other}"));
                match self.store.rename(&from, &names::dead(run, round, other)) {
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
            self.store.delete(&names::join(names::STAGING, &entry.name)).map_err(|e| self.failed(e))?;
        }
        Ok(())
    }

    fn staging(&self) -> Result<Vec<Entry>> {
        match self.store.list(names::STAGING) {
            Err(StoreError { cause: Cause::NotFound, .. }) => Ok(Vec::new()),
            listed => listed.map_err(|e| self.failed(e)),
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
