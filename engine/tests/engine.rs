//! The engine's promises, on a sink in memory: bounded memory, at most two epochs in flight, and nothing committed of
//! an epoch in which a stage failed, panicked or lost rows.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/world.rs"]
mod world;

use engine::halt::Halt;
use engine::meter::Meter;
use engine::run::Running;
use std::sync::Arc;
use std::thread::{sleep, spawn};
use std::time::Duration;
use world::{Fault, Gate, MemorySink, plan};

/// Waits until the source has stopped reading, which it must once it is held back.
fn reading_has_stopped(meter: &Meter) -> u64 {
    let mut last = (0, 0);
    loop {
        sleep(Duration::from_millis(20));
        let read = meter.read().read;
        last = if read == last.0 && read > 0 { (read, last.1 + 1) } else { (read, 0) };
        if last.1 == 15 {
            return read;
        }
    }
}

const ALL: u64 = 4_000_000;
const DAYS: u32 = (ALL / 10) as u32;

#[test]
fn memory_stays_bounded_while_the_sink_stalls() {
    let sink = MemorySink { writing: Gate::new(false), ..MemorySink::new() };
    let limit = 8 << 20;
    let running = Running::new(plan(DAYS, u64::MAX, limit, vec![], &sink), true, Halt::new());
    let (_, meter) = running.meters().remove(0);
    let run = spawn(move || running.run());
    let read = reading_has_stopped(&meter);
    // A row takes at least its 8-byte position, its 8-byte temperature, its date and its station.
    let least = read * (8 + 8 + 10 + 10);
    assert!(least <= 2 * limit, "{read} rows were read, at least {least} bytes, against a budget of {limit}");
    sink.writing.open();
    run.join().unwrap().unwrap();
    assert_eq!(sink.versions().iter().sum::<u64>(), ALL);
    println!("{read} of {ALL} rows were read while the sink stalled");
}

#[test]
fn rows_that_only_a_commit_frees_close_their_epoch_early() {
    let sink = MemorySink { holds_rows: true, ..MemorySink::new() };
    let running = Running::new(plan(DAYS / 4, u64::MAX, 8 << 20, vec![], &sink), true, Halt::new());
    running.run().unwrap();
    let versions = sink.versions();
    assert_eq!(versions.iter().sum::<u64>(), ALL / 4);
    assert!(versions.len() > 4, "one epoch of {} MiB would not fit: {versions:?}", (ALL / 4 * 36) >> 20);
}

#[test]
fn at_most_two_epochs_are_in_flight() {
    let sink = MemorySink { committing: Gate::new(false), ..MemorySink::new() };
    let rows = 50_000;
    let running = Running::new(plan(DAYS, rows, 1 << 30, vec![], &sink), true, Halt::new());
    let (_, meter) = running.meters().remove(0);
    let run = spawn(move || running.run());
    let read = reading_has_stopped(&meter);
    // An epoch closes with the chunk that fills it.
    assert!(read <= 2 * (rows + 8192), "{read} rows are in flight, and an epoch has {rows}");
    sink.committing.open();
    run.join().unwrap().unwrap();
    assert_eq!(sink.versions().iter().sum::<u64>(), ALL);
}

fn fails(fault: Fault) -> (String, Vec<u64>) {
    let sink = MemorySink::new();
    // 8192-row chunks, an epoch of two: the fault is in the fourth chunk, so in the second epoch.
    let running = Running::new(plan(DAYS, 16_384, 1 << 30, vec![Arc::new(fault)], &sink), true, Halt::new());
    let failure = running.run().unwrap_err();
    (failure.to_string(), sink.versions())
}

#[test]
fn a_failing_stage_stops_the_run_and_commits_nothing_of_its_epoch() {
    let (failure, versions) = fails(Fault::Fails(4));
    assert_eq!(failure, "flow test: the stage has had enough");
    assert!(versions.len() <= 1 && versions.iter().all(|rows| *rows == 16_384), "{versions:?}");
}

#[test]
fn a_panicking_stage_stops_the_run_and_commits_nothing_of_its_epoch() {
    let (failure, versions) = fails(Fault::Panics(4));
    assert!(failure.contains("stage.0 panicked: the sky is falling"), "{failure}");
    assert!(versions.len() <= 1 && versions.iter().all(|rows| *rows == 16_384), "{versions:?}");
}

#[test]
fn a_stage_that_loses_rows_is_caught_before_the_commit() {
    let (failure, versions) = fails(Fault::LosesRows(4));
    assert!(failure.contains("not accounted for"), "{failure}");
    assert_eq!(versions, [16_384]);
}

#[test]
fn a_stop_commits_the_open_epoch() {
    let sink = MemorySink::new();
    let halt = Halt::new();
    let running = Running::new(plan(DAYS, u64::MAX, 1 << 30, vec![], &sink), false, Arc::clone(&halt));
    let (_, meter) = running.meters().remove(0);
    let run = spawn(move || running.run());
    while meter.read().read == 0 {
        sleep(Duration::from_millis(1));
    }
    halt.stop();
    run.join().unwrap().unwrap();
    assert_eq!(sink.versions(), [meter.read().read]);
}

#[test]
fn a_run_goes_on_where_the_last_commit_stood() {
    let sink = MemorySink::new();
    for fault in [3, 7, 2] {
        let faulty = vec![Arc::new(Fault::Panics(fault)) as Arc<dyn operators::stage::Stage>];
        let _ = Running::new(plan(20_000, 8_192, 1 << 30, faulty, &sink), true, Halt::new()).run().unwrap_err();
    }
    Running::new(plan(20_000, 8_192, 1 << 30, vec![], &sink), true, Halt::new()).run().unwrap();
    let committed = sink.committed.lock().unwrap();
    let mut checkpoint = operators::Checkpoint::default();
    for span in committed.iter().flat_map(|(_, spans)| spans) {
        checkpoint.advance(span).unwrap();
    }
    assert_eq!(checkpoint.position(0), Some(operators::Position(200_000)));
}
