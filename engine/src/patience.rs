//! How long a flow is begun again whose servers do not answer, and how soon.

use crate::halt::Failure;
use crate::meter::{Health, Reading};
use crate::report::counted;
use std::time::{Duration, Instant};

/// The pause after the first failure; each one more doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Ends when no attempt has got on for the bound. One gets on that commits, or that has read its source for as long as
/// the bound with nothing to commit; one that only waited for an answer does not, however long that took.
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

    /// The pause until the next attempt; `None` when there is to be none. `reading` is the flow as its attempt left it.
    pub(crate) fn after_failure(&mut self, reading: &Reading) -> Option<Duration> {
        let now = Instant::now();
        let committed = reading.last_commit.as_ref().is_some_and(|(at, _)| *at >= self.began);
        let held = |up: &Instant| *up >= self.began && now.duration_since(*up) > self.bound && reading.epochs == 0;
        if committed || matches!(&reading.health, Health::Up(since) if held(since)) {
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
    use crate::budget::Budget;
    use crate::meter::Meter;
    use operators::Checkpoint;
    use operators::progress::{Fingerprint, Progress, Run, Tally, Version};

    fn meter() -> Meter {
        Meter::new([], Budget::new(1))
    }

    fn commit(meter: &Meter) {
        let run = Run { id: "one".into(), flow: "test/test".into() };
        let progress = Progress {
            version: Version::FIRST,
            run,
            positions: Checkpoint::default(),
            totals: Tally::default(),
            fingerprint: Fingerprint::default(),
            source: None,
        };
        meter.add_commit(0, Tally::default(), progress, Duration::ZERO);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut patience = Patience::new(Duration::from_secs(3600));
        let nothing = meter().read();
        let pauses: Vec<_> = (0..9).map(|_| patience.after_failure(&nothing).unwrap().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    }

    #[test]
    fn a_commit_starts_the_count_anew_and_an_old_one_does_not() {
        let meter = meter();
        commit(&meter);
        let mut patience = Patience::new(Duration::from_secs(3600));
        patience.after_failure(&meter.read());
        patience.begin();
        assert_eq!(patience.after_failure(&meter.read()), Some(2 * FIRST_PAUSE));
        commit(&meter);
        assert_eq!(patience.after_failure(&meter.read()), Some(FIRST_PAUSE));
    }

    /// Whatever is longer than no time at all is longer than the bound.
    #[test]
    fn a_source_that_was_read_with_nothing_to_commit_is_no_failure() {
        let meter = meter();
        let mut patience = Patience::new(Duration::ZERO);
        patience.after_failure(&meter.read());
        let first = patience.since;
        patience.begin();
        patience.after_failure(&meter.read());
        assert_eq!(patience.since, first, "an attempt that only waited");
        meter.set_up();
        meter.add_read(0, 1);
        patience.after_failure(&meter.read());
        assert_eq!(patience.since, first, "rows were waiting to be committed");
        meter.add_restart(&Failure::new("test", &operators::Error::Other("no answer".to_owned())));
        patience.begin();
        meter.set_up();
        patience.after_failure(&meter.read());
        assert_ne!(patience.since, first);
    }

    #[test]
    fn patience_ends() {
        let mut patience = Patience::new(Duration::ZERO);
        assert_eq!(patience.after_failure(&meter().read()), None);
        let failure = Failure { flow: "archive".into(), stage: None, reason: "no answer".into(), may_pass: true };
        let lost = patience.lost(failure);
        assert!(!lost.may_pass && lost.reason.contains("no answer") && lost.reason.contains("1 attempt"), "{lost}");
    }
}
