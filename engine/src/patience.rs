//! How long a flow is begun again whose servers do not answer, and how soon.

use crate::halt::Failure;
use crate::report::counted;
use std::time::{Duration, Instant};

/// The pause after the first failure; each one more doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Ends when no attempt has committed anything for the bound. An attempt that held for as long starts the count anew:
/// its flow may simply have had nothing to commit.
pub(crate) struct Patience {
    bound: Duration,
    /// When this attempt began.
    began: Instant,
    failures: u32,
    /// The first failure of those counted.
    since: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(bound: Duration) -> Self {
        Self { bound, began: Instant::now(), failures: 0, since: None }
    }

    /// An attempt begins.
    pub(crate) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// The pause until the next attempt; `None` when there is to be none.
    pub(crate) fn after_failure(&mut self, last_commit: Option<Instant>) -> Option<Duration> {
        let now = Instant::now();
        let committed = last_commit.is_some_and(|at| at >= self.began);
        if committed || now.duration_since(self.began) > self.bound {
            (self.failures, self.since) = (0, None);
        }
        let since = *self.since.get_or_insert(now);
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        (now.duration_since(since) < self.bound).then_some(pause)
    }

    /// The failure that ends the run, with what was tried.
    pub(crate) fn lost(&self, failure: Failure) -> Failure {
        let Failure { flow, stage, reason, .. } = failure;
        let tried = format!(
            "nothing could be committed by {} in {} s, and retry_for allows no more; the last one said: {reason}",
            counted(self.failures.into(), "attempt"),
            self.since.map_or(0, |since| since.elapsed().as_secs()),
        );
        Failure { flow, stage, reason: tried, may_pass: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut patience = Patience::new(Duration::from_secs(3600));
        let pauses: Vec<_> = (0..9).map(|_| patience.after_failure(None).unwrap().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    }

    #[test]
    fn a_commit_starts_the_count_anew_and_an_old_one_does_not() {
        let old = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(3600));
        patience.after_failure(None);
        patience.begin();
        assert_eq!(patience.after_failure(Some(old)), Some(2 * FIRST_PAUSE));
        assert_eq!(patience.after_failure(Some(Instant::now())), Some(FIRST_PAUSE));
    }

    #[test]
    fn patience_ends() {
        let mut patience = Patience::new(Duration::ZERO);
        assert_eq!(patience.after_failure(Some(Instant::now())), None);
        let failure = Failure { flow: "archive".into(), stage: None, reason: "no answer".into(), may_pass: true };
        let lost = patience.lost(failure);
        assert!(!lost.may_pass && lost.reason.contains("no answer") && lost.reason.contains("1 attempt"), "{lost}");
    }
}
