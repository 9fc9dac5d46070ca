//! How long a flow is begun again whose servers do not answer, and how soon.

use crate::flow::halt::Failure;
use crate::flow::meter::{Health, Reading};
use std::time::{Duration, Instant};

/// The pause after the first failure; each one more doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Ends when no attempt has got on for the bound. One gets on that commits, or that has read its source for as long as
/// the bound with nothing to commit; one that only waited for an answer does not, however long that took. While the
/// source is read, rows may wait for their commit as long as they do where all is well: that much of the time is not
/// counted, and no more, as else a sink that takes rows and never a commit would be tried for ever.
pub(crate) struct Patience {
    bound: Duration,
    /// How long rows wait for their commit where all is well.
    every: Duration,
    /// When this attempt began.
    began: Instant,
    failures: u32,
    /// The first failure of those counted.
    since: Option<Instant>,
    /// How long the source was read since then.
    read: Duration,
}

impl Patience {
    pub(crate) fn new(bound: Duration, every: Duration) -> Self {
        Self { bound, every, began: Instant::now(), failures: 0, since: None, read: Duration::ZERO }
    }

    /// An attempt begins.
    pub(crate) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// The pause until the next attempt; `None` when there is to be none. `reading` is the flow as its attempt left it.
    pub(crate) fn after_failure(&mut self, reading: &Reading) -> Option<Duration> {
        let now = Instant::now();
        let committed = reading.last_commit.as_ref().is_some_and(|(at, _)| *at >= self.began);
        let read = match &reading.health {
            Health::Up(since) if *since >= self.began => now.duration_since(*since),
            _ => Duration::ZERO,
        };
        if committed || (read > self.bound && reading.epochs == 0) {
            (self.failures, self.since) = (0, None);
        }
        self.read = self.since.map_or(Duration::ZERO, |_| self.read + read);
        let since = *self.since.get_or_insert(now);
        let counted = now.duration_since(since).saturating_sub(self.read.min(self.every));
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        (counted < self.bound).then_some(pause)
    }

    /// The failure that ends the run, with what was tried.
    pub(crate) fn lost(&self, failure: Failure) -> Failure {
        let Failure { flow, stage, reason, .. } = failure;
        let plural = if self.failures == 1 { "" } else { "s" };
        let tried = format!(
            "nothing could be committed by {} attempt{plural} in {} s, and retry_for allows no more; the last one said: \
             {reason}",
            self.failures,
            self.since.map_or(0, |since| since.elapsed().as_secs()),
        );
        Failure { flow, stage, reason: tried, may_pass: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::budget::Budget;
    use crate::flow::meter::Meter;
    use operators_core::Checkpoint;
    use operators_core::position::Anchors;
    use operators_core::progress::{Fingerprint, Progress, Run, Tally, Version};

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    fn meter() -> Meter {
        Meter::new([], Budget::new(1))
    }

    fn commit(meter: &Meter) {
        let run = Run { id: "one".into(), flow: "test/test".into() };
        let progress = Progress {
            version: Version::FIRST,
            run,
            positions: Checkpoint::default(),
            anchors: Anchors::default(),
            totals: Tally::default(),
            fingerprint: Fingerprint::default(),
            source: None,
        };
        meter.add_commit(0, Tally::default(), progress, Duration::ZERO);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut patience = Patience::new(HOUR, HOUR);
        let nothing = meter().read();
        let pauses: Vec<_> = (0..9).map(|_| patience.after_failure(&nothing).unwrap().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    }

    #[test]
    fn a_commit_starts_the_count_anew_and_an_old_one_does_not() {
        let meter = meter();
        commit(&meter);
        let mut patience = Patience::new(HOUR, HOUR);
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
        let mut patience = Patience::new(Duration::ZERO, HOUR);
        patience.after_failure(&meter.read());
        let first = patience.since;
        patience.begin();
        patience.after_failure(&meter.read());
        assert_eq!(patience.since, first, "an attempt that only waited");
        meter.set_up();
        meter.add_read(0, 1);
        patience.after_failure(&meter.read());
        assert_eq!(patience.since, first, "rows were waiting to be committed");
        meter.add_restart(&Failure::new("test", &operators_core::Error::Other("no answer".to_owned())));
        patience.begin();
        meter.set_up();
        patience.after_failure(&meter.read());
        assert_ne!(patience.since, first);
    }

    /// An attempt that read its source for so long, with rows that wait for their commit, and has just failed.
    fn read_for(patience: &mut Patience, time: Duration) -> Option<Duration> {
        let begun = |at: Instant| at.checked_sub(time).unwrap();
        patience.since = patience.since.map(begun);
        patience.began = begun(Instant::now());
        let reading = Reading { health: Health::Up(patience.began), epochs: 1, ..meter().read() };
        patience.after_failure(&reading)
    }

    #[test]
    fn rows_that_wait_for_a_rare_commit_are_no_failure() {
        let mut patience = Patience::new(15 * MINUTE, HOUR);
        assert!(read_for(&mut patience, 10 * MINUTE).is_some());
        for minutes in [30, 29, 15] {
            assert!(read_for(&mut patience, minutes * MINUTE).is_some(), "{minutes}");
        }
        assert_eq!(read_for(&mut patience, 2 * MINUTE), None, "rows wait an hour where all is well, and not longer");
    }

    #[test]
    fn a_rare_commit_gives_a_server_that_is_gone_no_more_time() {
        let mut patience = Patience::new(15 * MINUTE, HOUR);
        assert!(read_for(&mut patience, 10 * MINUTE).is_some());
        patience.since = Instant::now().checked_sub(15 * MINUTE);
        patience.begin();
        assert_eq!(patience.after_failure(&meter().read()), None);
    }

    #[test]
    fn a_sink_that_takes_rows_and_never_a_commit_ends_the_run() {
        let mut patience = Patience::new(15 * MINUTE, MINUTE);
        let attempts = (1..).find(|_| read_for(&mut patience, MINUTE).is_none());
        assert_eq!(attempts, Some(17), "the first is not counted, one minute is given, and fifteen are too many");
    }

    #[test]
    fn patience_ends() {
        let mut patience = Patience::new(Duration::ZERO, HOUR);
        assert_eq!(patience.after_failure(&meter().read()), None);
        let failure = Failure { flow: "archive".into(), stage: None, reason: "no answer".into(), may_pass: true };
        let lost = patience.lost(failure);
        assert!(!lost.may_pass && lost.reason.contains("no answer") && lost.reason.contains("1 attempt"), "{lost}");
    }
}
