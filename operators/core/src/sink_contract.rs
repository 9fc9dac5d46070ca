//! The contract of a sink, written once; each sink passes it in the tests of its crate.

#![allow(clippy::panic, clippy::unwrap_used)]

use crate::error::Error;
use crate::progress::{Commit, Progress, Run, Version};
use crate::replay::run;
use crate::stage::{Account, Sink};

/// Where a sink writes, with nothing in it.
pub trait SinkWorld {
    /// The sink, as another process builds it.
    fn sink(&self) -> Box<dyn Sink>;

    /// The batch after a commit, written by two workers, closed and not committed.
    fn batch(&self, sink: &dyn Sink, run: &Run, last: Option<&Progress>, attempt: u64) -> Commit;
}

/// Checks one thing that the engine relies on.
type Part<W> = (&'static str, fn(&W));

/// Runs every part on a world of its own.
pub fn suite<W: SinkWorld>(fresh: impl Fn() -> W) {
    let parts: [Part<W>; 5] = [
        ("resume after each commit", resume),
        ("rows are there with their commit and not before", atomic),
        ("rows of all workers are committed together", share),
        ("the end of a flow keeps all that was committed", end),
        ("a newer run fences an older one", fence),
    ];
    for (name, part) in parts {
        let world = fresh();
        println!("{name}: begins");
        part(&world);
    }
}

/// What the audit counts; it must find nothing.
fn audited(sink: &dyn Sink, flow: &str) -> Account {
    sink.audit(flow, &mut |finding| panic!("{finding:?}")).unwrap()
}

/// Commits the next batch; returns its progress.
fn commit<W: SinkWorld>(world: &W, run: &Run, last: Option<&Progress>) -> Progress {
    let sink = world.sink();
    let mut opened = sink.open(run).unwrap();
    assert_eq!(opened.progress.as_ref(), last, "a sink gives back what was committed");
    let batch = world.batch(&*sink, run, last, 0);
    let progress = batch.progress.clone();
    opened.committer.commit(batch).unwrap();
    progress
}

fn resume<W: SinkWorld>(world: &W) {
    let flow = run("").flow;
    let mut last: Option<Progress> = None;
    assert_eq!(world.sink().progress(&flow).unwrap(), None);
    for number in 0..4 {
        let committed = commit(world, &run(&format!("run-{number}")), last.as_ref());
        assert_eq!(committed.version, Version(number));
        // Looked at by another process, which changes nothing.
        for _ in 0..2 {
            assert_eq!(world.sink().progress(&flow).unwrap().as_ref(), Some(&committed));
        }
        assert_eq!(audited(&*world.sink(), &flow).totals, committed.totals);
        last = Some(committed);
    }
}

fn atomic<W: SinkWorld>(world: &W) {
    let first = run("first");
    let sink = world.sink();
    let mut opened = sink.open(&first).unwrap();
    let batch = world.batch(&*sink, &first, None, 0);
    assert_eq!(world.sink().progress(&first.flow).unwrap(), None);
    assert_eq!(audited(&*world.sink(), &first.flow).rows, 0, "rows that are written are not there yet");
    let written = batch.tally.written;
    opened.committer.commit(batch).unwrap();
    assert_eq!(audited(&*world.sink(), &first.flow).rows, written);
    // Another batch is written, and its run ends before the commit.
    let last = world.sink().progress(&first.flow).unwrap();
    drop(world.batch(&*sink, &first, last.as_ref(), 1));
    drop(opened);
    let second = commit(world, &run("second"), last.as_ref());
    assert_eq!(audited(&*world.sink(), &first.flow).rows, second.totals.written, "what was left behind never counts");
}

fn share<W: SinkWorld>(world: &W) {
    let first = commit(world, &run("one"), None);
    let account = audited(&*world.sink(), &run("one").flow);
    assert!(account.totals.is_conserved() && account.totals.written > 0);
    assert_eq!((account.rows, account.totals), (first.totals.written, first.totals));
    for span in &account.spans {
        assert_eq!(first.positions.position(span.partition), Some(span.to), "{span}");
    }
    assert_eq!(account.spans.len(), first.positions.0.len(), "every source partition is accounted for");
}

fn end<W: SinkWorld>(world: &W) {
    let one = run("one");
    let sink = world.sink();
    let mut opened = sink.open(&one).unwrap();
    let batch = world.batch(&*sink, &one, None, 0);
    let progress = batch.progress.clone();
    opened.committer.commit(batch).unwrap();
    opened.committer.tidy();
    drop((opened, sink));
    assert_eq!(world.sink().progress(&one.flow).unwrap().as_ref(), Some(&progress));
    assert_eq!(audited(&*world.sink(), &one.flow).rows, progress.totals.written);
    commit(world, &run("two"), Some(&progress));
}

fn fence<W: SinkWorld>(world: &W) {
    let (old, new) = (run("old"), run("new"));
    let first = commit(world, &old, None);
    let old_sink = world.sink();
    let mut zombie = old_sink.open(&old).unwrap().committer;
    let late = world.batch(&*old_sink, &old, Some(&first), 7);

    let new_sink = world.sink();
    let mut opened = new_sink.open(&new).unwrap();
    assert_eq!(opened.progress.as_ref(), Some(&first));
    let refused = zombie.commit(late);
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(world.sink().progress(&new.flow).unwrap().as_ref(), Some(&first), "the older run has changed nothing");

    let batch = world.batch(&*new_sink, &new, Some(&first), 0);
    let second = batch.progress.clone();
    opened.committer.commit(batch).unwrap();
    assert_eq!(world.sink().progress(&new.flow).unwrap().as_ref(), Some(&second));
    assert_eq!(audited(&*world.sink(), &new.flow).rows, second.totals.written);
}
