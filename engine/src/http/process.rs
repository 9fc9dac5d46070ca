//! What the system says of this process.

use rustix::param::{clock_ticks_per_second, page_size};
use std::fs::read_to_string;

#[derive(Debug)]
pub(super) struct Process {
    /// Bytes of memory that it has.
    pub(super) resident: u64,
    /// Time it spent on processors.
    pub(super) seconds: f64,
}

impl Process {
    /// `None` where there is no `/proc`.
    pub(super) fn read() -> Option<Self> {
        let pages: u64 = read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
        let stat = read_to_string("/proc/self/stat").ok()?;
        // The name before the last `)` may hold blanks; user and system time are the 12th and 13th field after it.
        let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().ok()).sum::<Option<_>>()?;
        Some(Self { resident: pages * page_size() as u64, seconds: ticks as f64 / clock_ticks_per_second() as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn a_process_has_memory_and_grows_older() {
        let before = Process::read().unwrap();
        assert!(before.resident > 100_000, "{before:?}");
        while Process::read().unwrap().seconds <= before.seconds {}
    }
}
