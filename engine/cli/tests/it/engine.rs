//! The engine's promises, on a sink in memory: bounded memory, at most two epochs in flight, and nothing committed of
//! an epoch in which a stage failed, panicked or lost rows.

use crate::common::world::{Fault, Gate, MemorySink, plan, plan_into};
use operators_core::inspect::Inspect;
use operators_core::progress::{Progress, Run};
use operators_core::stage::{Account, Audit, Listen, Opened, Read, Reader, Recount, Share, Sink, Source, Writer};
use operators_core::{Checkpoint, Error, Lag, Position, Span};
use runtime::Halt;
use runtime::Running;
use runtime::meter::{Meter, Reading};
use runtime::plan::Plan;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Waits until the flow is as asked.
fn wait_until(meter: &Meter, what: &str, is_so: impl Fn(&Reading) -> bool) -> Reading {
    for _ in 0..12_000 {
        let reading = meter.read();
        if is_so(&reading) {
            return reading;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("never seen: {what}: {:?}", meter.read());
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
    let read = wait_until(&meter, "a full budget", |reading| reading.memory.0 >= reading.memory.1).read;
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
    wait_until(&meter, "two epochs in flight", |reading| reading.epochs == 2 && reading.read >= 2 * rows);
    // Long enough for a third one to begin, if it may.
    sleep(Duration::from_millis(300));
    let Reading { read, epochs, .. } = meter.read();
    // An epoch closes with the chunk that fills it.
    assert!(epochs == 2 && read <= 2 * (rows + 8192), "{read} rows of {epochs} epochs are in flight, {rows} in each");
    sink.committing.open();
    run.join().unwrap().unwrap();
    assert_eq!(sink.versions().iter().sum::<u64>(), ALL);
}

/// A sink with a mistake in it.
struct Broken;

impl Inspect for Broken {}

impl Audit for Broken {
    fn audit(&self, _: &str, _: &mut dyn Listen) -> operators_core::Result<Account> {
        Ok(Account::default())
    }
}

impl Sink for Broken {
    fn progress(&self, _: &str) -> operators_core::Result<Option<Progress>> {
        Ok(None)
    }

    fn open(&self, _: &Run) -> operators_core::Result<Opened> {
        panic!("the ground is shaking");
    }

    fn writer(&self, _: &Run, _: u64) -> operators_core::Result<Box<dyn Writer>> {
        unreachable!("it was never opened")
    }
}

#[test]
fn a_panic_before_the_first_row_stops_the_run_and_says_so() {
    let running = Running::new(plan_into(DAYS, 1, 1 << 30, vec![], Arc::new(Broken)), true, Halt::new());
    let (_, meter) = running.meters().remove(0);
    let failure = running.run().unwrap_err().to_string();
    assert!(failure.contains("the ground is shaking") && failure.contains("bug in weatherflow"), "{failure}");
    assert!(meter.read().trouble().is_some());
}

/// The weather, from a source that says how far behind it is in its own way.
struct Slow {
    source: Arc<dyn Source>,
    asked: Arc<AtomicU64>,
    lag: fn(u64) -> operators_core::Result<Lag>,
}

impl Inspect for Slow {}

impl Source for Slow {
    fn open(&self, share: Share, from: &Checkpoint) -> operators_core::Result<Box<dyn Reader>> {
        let reader = self.source.open(share, from)?;
        Ok(Box::new(SlowReader { reader, asked: Arc::clone(&self.asked), lag: self.lag }))
    }

    fn identity(&self) -> operators_core::Result<Option<String>> {
        self.source.identity()
    }

    fn count(&self, span: &Span, more: &mut dyn FnMut(u64)) -> operators_core::Result<Recount> {
        self.source.count(span, more)
    }
}

struct SlowReader {
    reader: Box<dyn Reader>,
    asked: Arc<AtomicU64>,
    lag: fn(u64) -> operators_core::Result<Lag>,
}

impl Reader for SlowReader {
    fn read(&mut self) -> operators_core::Result<Read> {
        self.reader.read()
    }

    fn lag(&mut self) -> operators_core::Result<Lag> {
        (self.lag)(self.asked.fetch_add(1, Ordering::SeqCst))
    }
}

fn slow(lag: fn(u64) -> operators_core::Result<Lag>, sink: &MemorySink) -> (Plan, Arc<AtomicU64>) {
    let mut plan = plan(DAYS / 100, u64::MAX, 1 << 20, vec![], sink);
    let built = Arc::get_mut(&mut plan.flows[0].built).unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    built.source.source = Arc::new(Slow { source: Arc::clone(&built.source.source), asked: Arc::clone(&asked), lag });
    (plan, asked)
}

#[test]
fn a_source_that_does_not_say_how_far_it_is_ends_nothing() {
    let sink = MemorySink::new();
    let silent = |_| Err(Error::Unavailable { place: "the weather".into(), reason: "no answer".into() });
    let (plan, asked) = slow(silent, &sink);
    Running::new(plan, true, Halt::new()).run().unwrap();
    assert_eq!(sink.versions().iter().sum::<u64>(), ALL / 100);
    assert!(asked.load(Ordering::SeqCst) > 0);
}

#[test]
fn how_far_a_source_is_is_told_while_the_sink_stalls_and_not_asked_while_it_stops() {
    let sink = MemorySink { writing: Gate::new(false), ..MemorySink::new() };
    let (plan, asked) = slow(|asked| Ok(Lag([(0, asked)].into())), &sink);
    let halt = Halt::new();
    let running = Running::new(plan, false, Arc::clone(&halt));
    let (_, meter) = running.meters().remove(0);
    let run = spawn(move || running.run());
    let read = wait_until(&meter, "a full budget", |reading| reading.memory.0 >= reading.memory.1).read;
    let told = meter.read().lag.total();
    wait_until(&meter, "more behind", |reading| reading.read == read && reading.lag.total() > told);
    halt.stop();
    let before = asked.load(Ordering::SeqCst);
    sink.writing.open();
    run.join().unwrap().unwrap();
    assert!(asked.load(Ordering::SeqCst) <= before + 1, "only a question that was being asked");
}

/// The weather in its first partition, and another one that cannot be opened before the first is committed, nor after.
struct Uneven {
    weather: Arc<dyn Source>,
    sink: MemorySink,
}

impl Inspect for Uneven {}

impl Source for Uneven {
    fn starts(&self) -> operators_core::Result<Checkpoint> {
        Ok(Checkpoint([(0, Position(0)), (1, Position(7))].into()))
    }

    fn open(&self, share: Share, from: &Checkpoint) -> operators_core::Result<Box<dyn Reader>> {
        if share.index == 0 {
            return self.weather.open(Share { index: 0, of: 1 }, from);
        }
        while self.sink.versions().is_empty() {
            sleep(Duration::from_millis(1));
        }
        Err(Error::Other("its leader is down".into()))
    }

    fn identity(&self) -> operators_core::Result<Option<String>> {
        Ok(None)
    }

    fn count(&self, _: &Span, _: &mut dyn FnMut(u64)) -> operators_core::Result<Recount> {
        Ok(Recount::Gone)
    }
}

#[test]
fn the_first_commit_says_where_every_partition_started() {
    let sink = MemorySink::new();
    let mut plan = Plan { workers: 2, ..plan(DAYS, 16_384, 1 << 30, vec![], &sink) };
    let built = Arc::get_mut(&mut plan.flows[0].built).unwrap();
    built.source.source = Arc::new(Uneven { weather: Arc::clone(&built.source.source), sink: sink.clone() });
    let failure = Running::new(plan, true, Halt::new()).run().unwrap_err().to_string();
    assert!(failure.contains("its leader is down"), "{failure}");
    let committed = sink.committed.lock().unwrap();
    let (progress, spans) = &committed[0];
    assert_eq!(progress.positions.position(1), Some(Position(7)));
    let [read, unread] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(progress.positions.position(0), Some(read.to));
    assert_eq!(*unread, Span { partition: 1, from: Position(7), to: Position(7), rows: 0, anchor: None });
    assert!(committed[1..].iter().all(|(_, spans)| spans.len() == 1), "only the first");
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
        let faulty = vec![Arc::new(Fault::Panics(fault)) as Arc<dyn operators_core::stage::Stage>];
        let _ = Running::new(plan(20_000, 8_192, 1 << 30, faulty, &sink), true, Halt::new()).run().unwrap_err();
    }
    Running::new(plan(20_000, 8_192, 1 << 30, vec![], &sink), true, Halt::new()).run().unwrap();
    let committed = sink.committed.lock().unwrap();
    let mut checkpoint = operators_core::Checkpoint::default();
    for span in committed.iter().flat_map(|(_, spans)| spans) {
        checkpoint.advance(span).unwrap();
    }
    assert_eq!(checkpoint.position(0), Some(operators_core::Position(200_000)));
}
