//! Real kills: the built binary with all three flows, SIGKILLed and stopped at random moments, and then every row
//! compared with what the generator must have produced. `WEATHERFLOW_KILLS=1000` makes it long.

use crate::common::served::{Served, wait_for};
use crate::common::{Job, both};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;
use testkit::Random;

fn signal(child: &Child, signal: Signal) {
    // It may have ended by itself, which is for the caller to judge.
    let _ = kill_process(Pid::from_child(child), signal);
}

fn kill(mut child: Child) {
    signal(&child, Signal::KILL);
    child.wait().unwrap();
}

fn kills() -> u64 {
    std::env::var("WEATHERFLOW_KILLS").map_or(30, |text| text.parse().expect("WEATHERFLOW_KILLS is a number"))
}

/// The main job with the flat layout of its archive.
fn flat(stations: u32, days: u32, every: &str, commit: &str) -> Job {
    let layout = |file: String| file.replace("compression = \"zstd\"", "compression = \"zstd\"\nlayout = \"flat\"");
    Job::of("weather.toml", stations, days, every, commit, layout)
}

#[test]
fn killed_at_random_moments_no_row_is_lost_or_doubled() {
    let kills = kills();
    kill_often(&Job::new(10, 300 * kills as u32, "1ms", "30ms"), kills);
}

#[test]
fn killed_at_random_moments_with_the_flat_layout() {
    let kills = kills();
    let job = flat(10, 300 * kills as u32, "1ms", "30ms");
    kill_often(&job, kills);
    assert!(
        job.archive().join("partition-0-batch-0.parquet").exists() && job.archive().join("partition-0.json").exists()
    );
}

fn kill_often(job: &Job, kills: u64) {
    let mut random = Random::from_environment();
    for number in 0..kills {
        let mut child = job.command("run", &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Every other one dies while it starts, on a machine that is slow.
        if number % 2 == 0 {
            child.stdout.as_mut().unwrap().read_exact(&mut [0; 8]).unwrap();
        }
        sleep(Duration::from_millis(5 + random.below(450)));
        if child.try_wait().unwrap().is_some() {
            panic!("run {number} ended before it was killed: {}", both(&child.wait_with_output().unwrap()));
        }
        kill(child);
    }
    let rows = verified_rows(job);
    assert!(rows.len() == 3 && rows.values().all(|rows| *rows > 0), "committed between kills: {rows:?}");
    println!("after {kills} kills: {rows:?}");
    job.finish_and_prove();
    println!("{kills} kills, {} rows, lost 0, doubled 0", job.stations * job.days);
}

/// Rows of each flow, once `verify` has found nothing wrong.
fn verified_rows(job: &Job) -> BTreeMap<String, u64> {
    let verified = job.output("verify", &["--json"]);
    assert!(verified.status.success(), "{}", both(&verified));
    let lines = String::from_utf8(verified.stdout).unwrap();
    let accounts = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    accounts.map(|account| (account["flow"].as_str().unwrap().to_owned(), account["rows"].as_u64().unwrap())).collect()
}

#[test]
fn a_stopped_copy_that_wakes_up_beside_another_publishes_nothing_stale() {
    let rounds = kills().div_ceil(6);
    stop_and_wake(&Job::new(10, 3_000 * rounds as u32, "1ms", "30ms"), rounds);
}

#[test]
fn a_stopped_copy_wakes_up_with_the_flat_layout() {
    let rounds = kills().div_ceil(6);
    stop_and_wake(&flat(10, 3_000 * rounds as u32, "1ms", "30ms"), rounds);
}

fn stop_and_wake(job: &Job, rounds: u64) {
    let mut random = Random::from_environment();
    let mut fenced = 0;
    for round in 0..rounds {
        let mut first = job.start(&[]);
        sleep(Duration::from_millis(100 + random.below(300)));
        signal(&first, Signal::STOP);
        let mut second = job.start(&[]);
        sleep(Duration::from_millis(200 + random.below(300)));
        signal(&first, Signal::CONT);
        // Whoever loses the race for a version must stop by itself, and say why.
        let mut copies = [&mut first, &mut second];
        let number = wait_for(&format!("one of two copies to stop in round {round}"), || {
            copies.iter_mut().position(|copy| copy.try_wait().unwrap().is_some())
        });
        let loser = &mut *copies[number];
        assert_eq!(loser.wait().unwrap().code(), Some(1), "round {round}");
        let mut said = String::new();
        loser.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("another copy of this pipeline"), "round {round}: {said}");
        fenced += 1;
        kill(first);
        kill(second);
    }
    job.hurry();
    job.finish_and_prove();
    println!("{fenced} copies fenced in {rounds} rounds, lost 0, doubled 0");
}

#[test]
fn ctrl_c_commits_what_is_open() {
    let job = Job::new(10, 100_000, "1ms", "1h");
    let run = Served::start(&job, &[]);
    wait_for("rows", || run.status()["flows"][0]["read"].as_u64().filter(|read| *read > 0));
    run.signal(Signal::INT);
    assert!(run.wait().success());
    assert!(verified_rows(&job)["generate"] > 0, "an hour-long epoch was open, and its rows must be committed");
}
