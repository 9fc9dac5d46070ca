//! What a running flow tells people: rows, commits, lag.

use operators::progress::{Progress, Tally};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const UNKNOWN: u64 = u64::MAX;

/// Counters of one flow, written by its threads and read by whoever shows them.
#[derive(Debug)]
pub struct Meter {
    read: AtomicU64,
    done: AtomicBool,
    /// Rows not read yet, per worker.
    behind: Vec<AtomicU64>,
    committed: Mutex<Committed>,
}

#[derive(Debug, Default)]
struct Committed {
    this_run: Tally,
    last: Option<(Instant, Progress)>,
    restarts: u64,
    /// While it does not run.
    trouble: Option<String>,
}

/// A flow at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Rows read in this run, committed or not.
    pub read: u64,
    /// Rows committed in this run.
    pub committed: Tally,
    /// The last commit of this run, and when it was.
    pub last_commit: Option<(Instant, Progress)>,
    /// Rows in the source that are not read yet, where it can tell.
    pub behind: Option<u64>,
    /// Whether the flow has ended and everything is committed.
    pub done: bool,
    /// How often the flow was begun again from its last commit.
    pub restarts: u64,
    /// Why it has to be begun again, until it runs.
    pub trouble: Option<String>,
}

impl Meter {
    /// A meter for a flow on so many workers.
    pub fn new(workers: u32) -> Self {
        Self {
            read: AtomicU64::new(0),
            done: AtomicBool::new(false),
            behind: (0..workers).map(|_| AtomicU64::new(UNKNOWN)).collect(),
            committed: Mutex::default(),
        }
    }

    pub(crate) fn add_read(&self, rows: u64) {
        self.read.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn set_behind(&self, worker: u32, rows: Option<u64>) {
        if let Some(cell) = self.behind.get(worker as usize) {
            cell.store(rows.unwrap_or(UNKNOWN), Ordering::Relaxed);
        }
    }

    pub(crate) fn add_commit(&self, tally: Tally, progress: Progress) {
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        committed.this_run += tally;
        committed.last = Some((Instant::now(), progress));
    }

    /// The flow runs again.
    pub(crate) fn clear_trouble(&self) {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).trouble = None;
    }

    /// The flow begins again from its last commit: rows read since then will be read once more.
    pub(crate) fn add_restart(&self, why: &str) {
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        committed.restarts += 1;
        committed.trouble = Some(why.to_owned());
        self.read.store(committed.this_run.read, Ordering::Relaxed);
    }

    pub(crate) fn set_done(&self) {
        self.done.store(true, Ordering::SeqCst);
    }

    /// Whether the flow has ended and everything is committed.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    /// The flow at this moment.
    pub fn read(&self) -> Reading {
        let committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.behind.iter().map(|b| b.load(Ordering::Relaxed)).filter(|b| *b != UNKNOWN);
        Reading {
            read: self.read.load(Ordering::Relaxed),
            committed: committed.this_run,
            last_commit: committed.last.clone(),
            behind: known.fold(None, |sum, b| Some(sum.unwrap_or(0) + b)),
            done: self.is_done(),
            restarts: committed.restarts,
            trouble: committed.trouble.clone(),
        }
    }
}
