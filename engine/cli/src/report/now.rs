//! One flow at one moment, with what only several looks can tell.

use runtime::meter::Reading;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Looks back so many seconds.
const HISTORY: usize = 6;

/// One flow at one moment.
pub(super) struct Now {
    pub(super) flow: String,
    pub(super) reading: Reading,
    /// Rows per second, smoothed so that it can be read.
    pub(super) rate: f64,
    /// Rows per second in each of the last seconds, the newest at the end.
    pub(super) history: Vec<f64>,
}

impl Now {
    /// How long it takes at this rate until the flow has caught up, where it can be told.
    pub(super) fn left(&self) -> Option<Duration> {
        let lag = self.reading.lag.total().filter(|lag| *lag > 0 && self.rate >= 1.0)?;
        Duration::try_from_secs_f64(lag as f64 / self.rate).ok()
    }
}

/// Rows per second of one flow, from look to look.
pub(super) struct Rate {
    rows: u64,
    at: Instant,
    smooth: f64,
    /// Rows at the beginning of the second that is going on.
    second: (Instant, u64),
    history: VecDeque<f64>,
}

impl Rate {
    pub(super) fn new(began: Instant) -> Self {
        Self { rows: 0, at: began, smooth: 0.0, second: (began, 0), history: VecDeque::from([0.0; HISTORY]) }
    }

    pub(super) fn now(&mut self, flow: &str, reading: Reading) -> Now {
        let now = Instant::now();
        let seconds = now.duration_since(self.at).as_secs_f64().max(1e-3);
        // Fewer than before when a flow begins again from its last commit.
        let latest = reading.read.saturating_sub(self.rows) as f64 / seconds;
        // A look after a long time says more than one after a short time.
        let weight = 1.0 - (-seconds / 2.0).exp();
        self.smooth += (latest - self.smooth) * weight;
        (self.rows, self.at) = (reading.read, now);
        let (since, before) = self.second;
        let second = now.duration_since(since).as_secs_f64();
        if second >= 1.0 {
            self.history.pop_front();
            self.history.push_back(reading.read.saturating_sub(before) as f64 / second);
            self.second = (now, reading.read);
        }
        let rate = if reading.done { 0.0 } else { self.smooth };
        Now { flow: flow.to_owned(), reading, rate, history: self.history.iter().copied().collect() }
    }
}

/// `5 s`, `3 min`, `2 h`, `4 days`
pub(super) fn long(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// `4 ms`, `1.3 s`, `17 s`
pub(super) fn short(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 0.9995 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 9.95 => format!("{seconds:.1} s"),
        _ => long(time),
    }
}
