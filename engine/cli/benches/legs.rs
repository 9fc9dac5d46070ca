//! Whole legs of the main job, in rows per second and peak memory: `cargo bench --bench legs`.
//!
//! - archive: Reports in memory, 4 source partitions, decoded and written as Parquet into a local directory, with real
//!   commits, on one worker;
//! - job: the three embedded flows of the main job in one process, unpaced, from nothing to drained.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod input;
mod reports;

use input::PARTITIONS;
use reports::{Reports, archive, loaded};
use runtime::Halt;
use runtime::Running;
use runtime::plan::Plan;
use std::path::Path;
use std::time::Instant;

const ROUNDS: usize = 5;

fn main() {
    let archive_rows = rows_from("WEATHERFLOW_ARCHIVE_ROWS", 20_000_000);
    let job_rows = rows_from("WEATHERFLOW_JOB_ROWS", 2_000_000);
    println!("| leg | rows | median rows/s | min | max | peak memory of the process so far |");
    println!("|---|---|---|---|---|---|");
    let reports = Reports::new(archive_rows / u64::from(PARTITIONS));
    measure("archive, one worker", reports.rows(), |dir| archive(dir, &reports));
    measure("job: three flows", job_rows, |dir| job(dir, job_rows));
}

fn rows_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number of rows"))
}

fn measure(leg: &str, rows: u64, round: impl Fn(&Path)) {
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let began = Instant::now();
            round(dir.path());
            rows as f64 / began.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let [min, median, max] = [rates[0], rates[ROUNDS / 2], rates[ROUNDS - 1]].map(|rate| rate.round() as u64);
    println!("| {leg} | {rows} | {median} | {min} | {max} | {} MiB |", peak_memory() >> 10);
}

/// Highest resident memory of this process so far, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn job(dir: &Path, rows: u64) {
    Running::new(Plan::new(loaded(dir, rows), None, 1).unwrap(), true, Halt::new()).run().unwrap();
}
