//! A pipe or a file: a line per flow every few seconds.

use super::{Line, Show};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Log;

impl Show for Log {
    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn show(&mut self, flows: &[Line]) {
        let now = now();
        for Line { flow, rows, rate, commit, behind } in flows {
            let comma = if behind.is_empty() { "" } else { ", " };
            println!("{now} {flow}: {rows}, {rate}, {commit}{comma}{behind}");
        }
    }
}

/// Time of day in UTC: `12:34:56Z`.
fn now() -> String {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = since_epoch.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
