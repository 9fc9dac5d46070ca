//! How a run ends: asked to stop, or failed. The first failure is the one that is told.
//!
//! A process has one halt, and each attempt of a flow one below it: what halts the process halts every attempt, and
//! an attempt can fail alone.

use operators_core::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// Schedules an operator, from any thread.
pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

/// What made a run fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The flow it happened in.
    pub flow: String,
    /// The stage it happened in, where one is to blame: `sink.parquet`.
    pub stage: Option<String>,
    /// What happened, where, and what to do.
    pub reason: String,
    /// Whether the flow, begun again from its last commit, may get through.
    pub may_pass: bool,
}

impl Failure {
    /// What an error of a stage means for its flow.
    pub fn new(flow: &str, error: &Error) -> Self {
        let may_pass = matches!(error, Error::Unavailable { .. });
        Self { flow: flow.to_owned(), stage: None, reason: error.to_string(), may_pass }
    }
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
    above: Option<Arc<Halt>>,
    below: Mutex<Vec<Weak<Halt>>>,
}

impl Halt {
    /// Nothing has halted yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// For one attempt: it halts when this does, or alone.
    pub(crate) fn below(above: &Arc<Self>) -> Arc<Self> {
        let halt = Arc::new(Self { above: Some(Arc::clone(above)), ..Self::default() });
        let mut below = above.below.lock().unwrap_or_else(PoisonError::into_inner);
        below.retain(|earlier| earlier.strong_count() > 0);
        below.push(Arc::downgrade(&halt));
        halt
    }

    /// Asks every source to end, so that open epochs close and are committed.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.notify();
    }

    /// Ends everything at once; later failures are consequences and are not told.
    pub fn fail(&self, failure: Failure) {
        if let Err(later) = self.failure.set(failure) {
            tracing::debug!(%later, "after the first failure");
        }
        self.notify();
    }

    /// Whether sources must end.
    pub fn is_stopping(&self) -> bool {
        let here = self.stopping.load(Ordering::SeqCst) || self.failure.get().is_some();
        here || self.above.as_ref().is_some_and(|above| above.is_stopping())
    }

    /// What failed, if anything did.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.get().or_else(|| self.above.as_ref()?.failure())
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
        let below = self.below.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for halt in below.iter().filter_map(Weak::upgrade) {
            halt.notify();
        }
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
        halt.fail(failure("archive", "the disk is full"));
        halt.fail(failure("publish", "a consequence"));
        assert_eq!(halt.failure().unwrap().to_string(), "flow archive: the disk is full");
        halt.sleep(Duration::from_secs(3600));
    }

    fn failure(flow: &str, reason: &str) -> Failure {
        Failure::new(flow, &Error::Other(reason.to_owned()))
    }

    #[test]
    fn an_attempt_fails_alone_and_halts_with_all() {
        let halt = Halt::new();
        let (first, second) = (Halt::below(&halt), Halt::below(&halt));
        first.fail(failure("archive", "no answer"));
        assert!(first.is_stopping() && !second.is_stopping() && !halt.is_stopping());
        std::thread::scope(|scope| {
            scope.spawn(|| second.sleep(Duration::from_secs(3600)));
            halt.stop();
        });
        assert!(second.is_stopping() && second.failure().is_none());
        halt.fail(failure("publish", "the disk is full"));
        assert_eq!(second.failure(), halt.failure());
    }
}
