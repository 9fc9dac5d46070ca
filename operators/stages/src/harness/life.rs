//! One life of the program in a test, and the crash that ends it.
//!
//! | crash | what is there afterwards |
//! |---|---|
//! | before commit N | nothing of the commit: its rows were written, and it was never asked for |
//! | during commit N | what it had published before one of its steps: a rename of files, or COMMIT |
//! | after commit N | all of it, and nobody was told |

use files::store::memory::Memory;
use files::store::{self, Cause, Store, StoreError, StoreFile, StoreReader};
use operators_core::error::{Error, Result};
use operators_core::inspect::{Ground, Holdings, Inspect, StoredRows, Which};
use operators_core::progress::{Commit, Progress, Run};
use operators_core::stage::{Account, Audit, Committer, Listen, Opened, Sink, Writer};
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Where the program ends as if it were killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// On which side of the commit.
    pub moment: Moment,
    /// The commit; they are counted from 0, as versions and batches are.
    pub commit: u64,
}

/// On which side of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It is not asked for any more.
    Before,
    /// Before one of the steps that publish it, counted from 0; there may be only one.
    During(u64),
    /// It is done, and its answer is lost.
    After,
}

impl FromStr for Crash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let crash = match words.as_slice() {
            [moment, "commit", commit] => {
                let moment = match *moment {
                    "before" => Some(Moment::Before),
                    "during" => Some(Moment::During(0)),
                    "after" => Some(Moment::After),
                    _ => None,
                };
                moment.zip(commit.parse().ok()).map(|(moment, commit)| Self { moment, commit })
            }
            _ => None,
        };
        crash.ok_or_else(|| format!("`{text}` is no crash"))
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::During(_) => "during",
            Moment::After => "after",
        };
        write!(f, "{moment} commit {}", self.commit)?;
        match self.moment {
            Moment::During(steps) if steps > 0 => write!(f, " with {steps} of its steps done"),
            Moment::Before | Moment::During(_) | Moment::After => Ok(()),
        }
    }
}

/// What has happened in a life so far.
pub(super) struct Life {
    crash: Option<Crash>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The commit that is being made, and the steps of it that are done.
    open: Option<(u64, u64)>,
    last: Option<u64>,
    died: bool,
}

impl Life {
    pub(super) fn new(crash: Option<Crash>) -> Arc<Self> {
        Arc::new(Self { crash, state: Mutex::default() })
    }

    /// Whether the crash has come.
    pub(super) fn died(&self) -> bool {
        self.state().died
    }

    /// The last commit that was made.
    pub(super) fn last(&self) -> Option<u64> {
        self.state().last
    }

    /// A step that publishes a part of the open commit is about to be taken.
    pub(super) fn step(&self) -> Result<(), Stopped> {
        let mut state = self.state();
        let Some((commit, steps)) = state.open else { return Ok(()) };
        state.open = Some((commit, steps + 1));
        self.reach(&mut state, Moment::During(steps), commit)
    }

    fn begin(&self, commit: u64) -> Result<(), Stopped> {
        let mut state = self.state();
        state.open = Some((commit, 0));
        self.reach(&mut state, Moment::Before, commit)
    }

    fn end(&self, commit: u64) -> Result<(), Stopped> {
        let mut state = self.state();
        (state.open, state.last) = (None, Some(commit));
        self.reach(&mut state, Moment::After, commit)
    }

    /// The dead stay dead, so that nothing that still runs can do anything more.
    fn reach(&self, state: &mut State, moment: Moment, commit: u64) -> Result<(), Stopped> {
        state.died |= self.crash == Some(Crash { moment, commit });
        if state.died { Err(Stopped) } else { Ok(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The program is dead.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the program is stopped here, as the test asks")]
pub(super) struct Stopped;

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Self {
        Self::Other(stopped.to_string())
    }
}

/// A sink whose program may die in a commit.
pub(super) struct MortalSink {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) life: Arc<Life>,
}

impl Inspect for MortalSink {}

impl Audit for MortalSink {
    fn audit(&self, flow: &str, listener: &mut dyn Listen) -> Result<Account> {
        self.sink.audit(flow, listener)
    }

    fn holdings(&self, flow: &str) -> Result<Holdings> {
        self.sink.holdings(flow)
    }

    fn stored(&self, flow: &str, which: &Which) -> Result<Option<StoredRows>> {
        self.sink.stored(flow, which)
    }
}

impl Sink for MortalSink {
    fn progress(&self, flow: &str) -> Result<Option<Progress>> {
        self.sink.progress(flow)
    }

    fn open(&self, run: &Run) -> Result<Opened> {
        let Opened { committer, progress } = self.sink.open(run)?;
        let committer = Box::new(MortalCommitter { committer, life: Arc::clone(&self.life) });
        Ok(Opened { committer, progress })
    }

    fn writer(&self, run: &Run, attempt: u64) -> Result<Box<dyn Writer>> {
        self.sink.writer(run, attempt)
    }
}

struct MortalCommitter {
    committer: Box<dyn Committer>,
    life: Arc<Life>,
}

impl Committer for MortalCommitter {
    fn commit(&mut self, commit: Commit) -> Result<()> {
        let version = commit.progress.version.0;
        self.life.begin(version)?;
        let done = self.committer.commit(commit);
        // Whatever the sink made of its end: a dead program tells nobody.
        if self.life.died() {
            return Err(Stopped.into());
        }
        done?;
        Ok(self.life.end(version)?)
    }
}

/// Files in memory, each rename out of the staging directory a step of the open commit. Writers rename within it, so
/// that the steps are the same in each run, whatever is written meanwhile.
pub(super) struct MortalStore {
    pub(super) files: Memory,
    pub(super) life: Arc<Life>,
}

impl MortalStore {
    fn step(&self, from: &str, to: &str) -> store::Result<()> {
        let stopped = |stopped| StoreError {
            action: "rename",
            path: from.to_owned(),
            cause: Cause::Failed(io::Error::other(stopped)),
        };
        if store::below_staging(to).is_some() { Ok(()) } else { self.life.step().map_err(stopped) }
    }
}

impl Store for MortalStore {
    fn create(&self, path: &str) -> store::Result<Box<dyn StoreFile>> {
        self.files.create(path)
    }

    fn read(&self, path: &str) -> store::Result<Vec<u8>> {
        self.files.read(path)
    }

    fn open(&self, path: &str) -> store::Result<Box<dyn StoreReader>> {
        self.files.open(path)
    }

    fn list(&self, path: &str) -> store::Result<Vec<store::Entry>> {
        self.files.list(path)
    }

    fn rename(&self, from: &str, to: &str) -> store::Result<()> {
        self.step(from, to)?;
        self.files.rename(from, to)
    }

    fn replace(&self, from: &str, to: &str) -> store::Result<()> {
        self.step(from, to)?;
        self.files.replace(from, to)
    }

    fn delete(&self, path: &str) -> store::Result<bool> {
        self.files.delete(path)
    }

    fn delete_empty(&self, path: &str) -> store::Result<bool> {
        self.files.delete_empty(path)
    }

    fn modified(&self, path: &str) -> store::Result<SystemTime> {
        self.files.modified(path)
    }

    fn root(&self) -> store::Result<Ground> {
        self.files.root()
    }

    fn staging(&self) -> store::Result<Ground> {
        self.files.staging()
    }

    fn staging_place(&self) -> String {
        self.files.staging_place()
    }

    fn staging_advice(&self) -> String {
        self.files.staging_advice()
    }
}
