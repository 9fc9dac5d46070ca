//! A pipe or a file: a line per flow every few seconds.

use super::{Line, Show, say};
use std::time::{Duration, Instant};

/// Pause between two looks that are printed.
const EVERY: Duration = Duration::from_secs(5);

pub(super) struct Log {
    printed: Instant,
}

impl Log {
    pub(super) fn new(began: Instant) -> Self {
        Self { printed: began }
    }
}

impl Show for Log {
    fn show(&mut self, flows: &[Line]) {
        if self.printed.elapsed() < EVERY {
            return;
        }
        self.printed = Instant::now();
        let now = now();
        for Line { flow, rows, rate, commit, behind } in flows {
            let comma = if behind.is_empty() { "" } else { ", " };
            say(format!("{now} {flow}: {rows}, {rate}, {commit}{comma}{behind}"));
        }
    }

    fn note(&mut self, text: &str) {
        say(format!("{} {text}", now()));
    }
}

/// Time of day in UTC: `12:34:56Z`.
fn now() -> String {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = since_epoch.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
