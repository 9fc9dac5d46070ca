//! What the system says of this process.

use rustix::param::{clock_ticks_per_second, page_size};
use std::fs::read_to_string;

#[derive(Debug)]
pub(super) struct Process {
    /// Bytes of memory that it has.
    pub(super) resident: u64,
    /// Time it spent on processors.
    pub(super) seconds: f64,
    /// When it was started, in seconds since 1970.
    pub(super) started: f64,
}

impl Process {
    /// `None` where there is no `/proc`.
    pub(super) fn read() -> Option<Self> {
        let pages: u64 = read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
        let stat = read_to_string("/proc/self/stat").ok()?;
        // The name before the last `)` may hold blanks; user and system time are the 12th and 13th field after it, and the
        // start, counted from that of the system, is the 20th.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
        let system = read_to_string("/proc/stat").ok()?;
        let booted: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Some(Self {
            resident: pages * page_size() as u64,
            seconds: seconds(ticks(11)? + ticks(12)?),
            started: booted as f64 + seconds(ticks(19)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn a_process_has_memory_and_grows_older() {
        let before = Process::read().unwrap();
        assert!(before.resident > 100_000, "{before:?}");
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!((now - 3600.0..now + 2.0).contains(&before.started), "{before:?} at {now}");
        while Process::read().unwrap().seconds <= before.seconds {}
    }
}
