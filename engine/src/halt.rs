//! How a run ends: asked to stop, or failed. The first failure is the one that is told.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Schedules an operator, from any thread.
pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

/// What made a run fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The flow it happened in.
    pub flow: String,
    /// What happened, where, and what to do.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flow {}: {}", self.flow, self.reason)
    }
}

impl std::error::Error for Failure {}

/// Shared by everything that runs. A stop lets open epochs be committed; a failure commits nothing more.
#[derive(Default)]
pub struct Halt {
    stopping: AtomicBool,
    failure: OnceLock<Failure>,
    /// Called when something halts: workers park without a time-out.
    wakers: Mutex<Vec<Waker>>,
    changed: Condvar,
}

impl Halt {
    /// Nothing has halted yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Asks every source to end, so that open epochs close and are committed.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.notify();
    }

    /// Ends everything at once; later failures are consequences and are not told.
    pub fn fail(&self, flow: &str, reason: impl fmt::Display) {
        let failure = Failure { flow: flow.to_owned(), reason: reason.to_string() };
        if let Err(later) = self.failure.set(failure) {
            tracing::debug!(%later, "after the first failure");
        }
        self.notify();
    }

    /// Whether sources must end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst) || self.failure().is_some()
    }

    /// What failed, if anything did.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Waits for so long, or until something halts.
    pub fn sleep(&self, duration: Duration) {
        let waited = self.changed.wait_timeout_while(self.wakers(), duration, |_| !self.is_stopping());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Has an operator scheduled when something halts, or at once when something has.
    pub(crate) fn wake(&self, waker: Waker) {
        let mut wakers = self.wakers();
        if self.is_stopping() {
            waker();
        }
        wakers.push(waker);
    }

    fn notify(&self) {
        // The lock also closes the gap between a sleeper's look at the flags and its wait.
        for wake in self.wakers().iter() {
            wake();
        }
        self.changed.notify_all();
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told() {
        let halt = Halt::new();
        assert!(!halt.is_stopping());
        halt.fail("archive", "the disk is full");
        halt.fail("publish", "a consequence");
        assert_eq!(halt.failure().unwrap().to_string(), "flow archive: the disk is full");
        halt.sleep(Duration::from_secs(3600));
    }
}
