//! A server that does not answer: the flow begins again from its last commit, by itself, and rows stay exact.

use crate::common::world::{MemorySink, plan_into};
use operators_core::config::Interval;
use operators_core::inspect::Inspect;
use operators_core::progress::{Commit, Progress, Receipt, Run};
use operators_core::stage::{Account, Audit, Closing, Committer, Held, Listen, Opened, Sink, Writer};
use operators_core::{Checkpoint, Chunk, Error, Position, Result};
use runtime::Halt;
use runtime::Running;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Whether a call that gets no answer was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Request,
    Answer,
}

/// Which calls of a sink get no answer, counted over all attempts.
#[derive(Clone)]
struct Line {
    calls: Arc<AtomicU32>,
    cuts: std::ops::Range<u32>,
    lost: Lost,
    /// What happens elsewhere while the line is cut.
    meanwhile: Arc<dyn Fn() + Send + Sync>,
}

impl Line {
    fn call<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if !self.cuts.contains(&number) {
            return call();
        }
        if self.lost == Lost::Answer {
            call()?;
        }
        (self.meanwhile)();
        Err(Error::Unavailable { place: "memory".into(), reason: format!("call {number} got no answer") })
    }
}

/// A sink at the other end of a line.
struct Remote<T> {
    line: Line,
    end: T,
}

impl Audit for Remote<MemorySink> {
    fn audit(&self, flow: &str, listener: &mut dyn Listen) -> Result<Account> {
        self.end.audit(flow, listener)
    }
}

impl Inspect for Remote<MemorySink> {}

impl Sink for Remote<MemorySink> {
    fn progress(&self, flow: &str) -> Result<Option<Progress>> {
        self.end.progress(flow)
    }

    fn open(&self, run: &Run) -> Result<Opened> {
        let Opened { committer, progress } = self.line.call(|| self.end.open(run))?;
        Ok(Opened { committer: Box::new(Remote { line: self.line.clone(), end: committer }), progress })
    }

    fn writer(&self, run: &Run, attempt: u64) -> Result<Box<dyn Writer>> {
        let end = self.line.call(|| self.end.writer(run, attempt))?;
        Ok(Box::new(Remote { line: self.line.clone(), end }))
    }
}

impl Committer for Remote<Box<dyn Committer>> {
    fn commit(&mut self, commit: Commit) -> Result<()> {
        self.line.call(|| self.end.commit(commit))
    }
}

impl Writer for Remote<Box<dyn Writer>> {
    fn write(&mut self, chunk: Chunk) -> Result<Held> {
        self.line.call(|| self.end.write(chunk))
    }

    fn close(self: Box<Self>, batch: &Closing) -> Result<Receipt> {
        let Self { line, end } = *self;
        line.call(|| end.close(batch))
    }
}

const DAYS: u32 = 5_000;

/// Runs the job over a line; gives what happened, the calls made and the restarts.
fn run(
    sink: &MemorySink,
    cuts: std::ops::Range<u32>,
    lost: Lost,
    retry_for: Duration,
) -> (Result<(), String>, u32, u64) {
    run_while(sink, cuts, lost, retry_for, Arc::new(|| {}))
}

fn run_while(
    sink: &MemorySink,
    cuts: std::ops::Range<u32>,
    lost: Lost,
    retry_for: Duration,
    meanwhile: Arc<dyn Fn() + Send + Sync>,
) -> (Result<(), String>, u32, u64) {
    let calls = Arc::new(AtomicU32::new(0));
    let line = Line { calls: Arc::clone(&calls), cuts, lost, meanwhile };
    let mut plan = plan_into(DAYS, 10_000, 1 << 30, vec![], Arc::new(Remote { line, end: sink.clone() }));
    Arc::get_mut(&mut plan.flows[0].built).unwrap().retry_for = Interval(retry_for);
    let running = Running::new(plan, true, Halt::new());
    let (_, meter) = running.meters().remove(0);
    let result = running.run().map_err(|failure| failure.to_string());
    if result.is_ok() {
        // Those of a commit whose answer was lost too.
        let read = u64::from(DAYS) * 10;
        assert_eq!((meter.read().committed.read, meter.read().read), (read, read), "rows of this run");
    }
    (result, calls.load(Ordering::SeqCst), meter.read().restarts)
}

/// Every row once, in order, whatever the commits were.
fn assert_exact(sink: &MemorySink, what: &str) {
    let committed = sink.committed.lock().unwrap();
    let mut checkpoint = Checkpoint::default();
    for span in committed.iter().flat_map(|(_, spans)| spans) {
        checkpoint.advance(span).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    assert_eq!(checkpoint.position(0), Some(Position(u64::from(DAYS) * 10)), "{what}");
}

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn each_call_that_gets_no_answer_begins_the_flow_again_and_rows_stay_exact() {
    let sink = MemorySink::new();
    let (result, calls, restarts) = run(&sink, 0..0, Lost::Request, LONG);
    assert_eq!((result, restarts), (Ok(()), 0));
    for lost in [Lost::Request, Lost::Answer] {
        for cut in 0..calls {
            let sink = MemorySink::new();
            let (result, _, restarts) = run(&sink, cut..cut + 1, lost, LONG);
            assert_eq!((result, restarts), (Ok(()), 1), "{lost:?} {cut}");
            assert_exact(&sink, &format!("{lost:?} {cut}"));
        }
    }
    println!("{} runs, each begun again once", 2 * calls);
}

#[test]
fn several_calls_in_a_row_may_go_without_an_answer() {
    for lost in [Lost::Request, Lost::Answer] {
        let sink = MemorySink::new();
        let (result, _, restarts) = run(&sink, 3..7, lost, LONG);
        assert_eq!(result, Ok(()));
        assert!(restarts >= 2, "{restarts}");
        assert_exact(&sink, "in a row");
    }
}

#[test]
fn a_server_that_never_answers_again_ends_the_run_with_what_was_tried() {
    let sink = MemorySink::new();
    let (result, _, restarts) = run(&sink, 4..u32::MAX, Lost::Request, Duration::from_secs(3));
    let failure = result.unwrap_err();
    assert!(failure.contains("got no answer") && failure.contains("attempts"), "{failure}");
    assert!(restarts >= 2, "{restarts}");
}

#[test]
fn a_flow_begun_again_does_not_take_over_from_a_newer_copy() {
    let sink = MemorySink::new();
    let other = sink.clone();
    let newer_copy = move || {
        let mut committed = other.committed.lock().unwrap();
        let Some((mut progress, _)) = committed.last().cloned() else { return };
        progress.run.id = "another".to_owned();
        progress.version = progress.version.next();
        committed.push((progress, Vec::new()));
    };
    let (result, _, _) = run_while(&sink, 8..9, Lost::Request, LONG, Arc::new(newer_copy));
    let failure = result.unwrap_err();
    assert!(failure.contains("another copy of this pipeline"), "{failure}");
    assert_eq!(sink.committed.lock().unwrap().last().unwrap().0.run.id, "another", "nothing was committed after it");
}

#[test]
fn a_sink_that_was_emptied_meanwhile_is_refused() {
    let sink = MemorySink::new();
    let other = sink.clone();
    let emptied = move || other.committed.lock().unwrap().clear();
    let (result, _, _) = run_while(&sink, 8..9, Lost::Request, LONG, Arc::new(emptied));
    let failure = result.unwrap_err();
    assert!(failure.contains("was committed, and now nothing is there"), "{failure}");
    assert!(sink.committed.lock().unwrap().is_empty());
}
