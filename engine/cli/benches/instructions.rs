//! Instructions per row, counted by valgrind: repeatable where times are not.
//!
//! `.ci/instructions` builds this as it has to be built and compares with `instructions.toml`; `.ci/instructions --accept`
//! keeps new counts. Built otherwise the counts are others, and are only printed. Each piece of work runs in processes of
//! its own, a few times and many times; the difference is what the work itself costs, without what a process does before
//! and after it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod input;
mod instructions {
    pub mod cases;
    pub mod kept;
}
mod reports;

use clap::Parser;
use instructions::cases::{CASES, Case};
use instructions::kept::Kept;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often a case is done in the two processes that are compared.
const TIMES: [usize; 2] = [2, 10];

#[derive(Parser)]
struct Arguments {
    /// Compares the counts with those that are kept.
    #[arg(long, conflicts_with = "accept")]
    compare: bool,
    /// Keeps the counts.
    #[arg(long)]
    accept: bool,
    /// Does a case so many times, and counts nothing.
    #[arg(long, hide = true, num_args = 2, value_names = ["CASE", "TIMES"])]
    work: Option<Vec<String>>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(work) = arguments.work {
        let case = CASES.iter().find(|case| case.name == work[0]).expect("the name of a case");
        let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        case.work(work[1].parse().unwrap(), scratch.path());
        return ExitCode::SUCCESS;
    }
    let now = Kept::now(count());
    if arguments.accept {
        now.write();
    } else if arguments.compare {
        match Kept::read().compare(&now) {
            Ok(told) => println!("{told}"),
            Err(told) => {
                println!("{told}");
                return ExitCode::FAILURE;
            }
        }
    } else {
        println!("{}", now.table());
    }
    ExitCode::SUCCESS
}

/// Instructions per row of each case.
fn count() -> BTreeMap<String, f64> {
    let next = AtomicUsize::new(0);
    let counts = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = CASES.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let [few, many] = TIMES.map(|times| instructions(case, times));
                    let rows = (TIMES[1] - TIMES[0]) as u64 * case.rows;
                    counts.lock().unwrap().insert(case.name.to_owned(), (many - few) as f64 / rows as f64);
                }
            });
        }
    });
    counts.into_inner().unwrap()
}

/// Instructions of a process that does a case so many times.
fn instructions(case: &Case, times: usize) -> u64 {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let out: PathBuf = scratch.path().join("callgrind.out");
    let output = Command::new("valgrind")
        // Nothing of this machine but what its processor can do.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--work", case.name, &times.to_string()])
        .output()
        .unwrap_or_else(|error| panic!("valgrind is needed to count instructions: {error}"));
    assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(out).unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("callgrind's totals");
    total.trim().parse().unwrap()
}
