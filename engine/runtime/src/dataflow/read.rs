//! Source: opens an epoch with its first row and closes it by time, by size, or because another worker did.

#[cfg(test)]
mod tests;

use super::parcel::Parcel;
use super::{Edge, waker};
use crate::flow::Flow;
use crate::flow::epoch::Epoch;
use crate::threads::Threads;
use crate::threads::reader::{self, Fetched};
use crossbeam_channel::{Receiver, TryRecvError};
use operators_core::position::SpanError;
use operators_core::stage::Share;
use operators_core::{Checkpoint, Span};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::probe::Handle as Probe;
use timely::scheduling::Activator;

/// Chunks handed on before other operators get their turn.
const CHUNKS_PER_TURN: usize = 16;

/// An epoch stays open for `1 / GATHER` of the time between two commits at least, and closes as much early when nothing
/// came for as long.
const GATHER: u32 = 10;

/// The place of the source among the stages of a flow.
const SOURCE: usize = 0;

/// Adds the source to a graph. The returned activator must be used whenever the probe has moved.
pub(super) fn read<'scope>(
    scope: Scope<'scope, Epoch>,
    flow: &Arc<Flow>,
    threads: &Threads,
    from: Checkpoint,
    probe: Probe<Epoch>,
) -> (Edge<'scope, Parcel>, Edge<'scope, Span>, Activator) {
    let mut builder = OperatorBuilder::new("read".to_owned(), scope);
    let address = builder.operator_info().address;
    let (chunk_out, chunks) = builder.new_output::<Vec<Parcel>>();
    let (span_out, spans) = builder.new_output::<Vec<Span>>();
    let (chunk_out, span_out) = (Output::from(chunk_out), Output::from(span_out));

    let wake = waker(scope, &address);
    flow.open.follow(Arc::clone(&wake));
    flow.halt.wake(Arc::clone(&wake));
    let share = Share { index: scope.index() as u32, of: flow.workers };
    let fetched = reader::spawn(threads, flow, share, from, wake);
    let activator = scope.activator_for(address);
    let mut operator = ReadOperator::new(flow, fetched);
    let again = activator.clone();

    builder.build(move |mut capabilities| {
        let span_hold = capabilities.pop();
        let chunk_hold = capabilities.pop();
        let holds = chunk_hold.zip(span_hold);
        let mut outputs = Outputs { chunk_out, span_out, holds, probe, again };
        move |_frontiers| operator.activate(&mut outputs)
    });
    (chunks, spans, activator)
}

/// What a source does to the rest of the graph.
trait Downstream {
    /// Sends rows of the open epoch.
    fn send(&mut self, parcel: Parcel);

    /// Sends the spans of the open epoch and closes it; nothing follows the `last` one.
    fn close(&mut self, spans: impl Iterator<Item = Span>, last: bool);

    /// Whether an epoch is not durable yet.
    fn is_in_flight(&self, epoch: Epoch) -> bool;

    /// Gives the source another turn, after all other operators had theirs.
    fn wake(&self);

    /// Gives the source another turn after this time.
    fn wake_after(&self, time: Duration);
}

type Output<D> = OutputBuilder<Epoch, CapacityContainerBuilder<Vec<D>>>;

/// The source's outputs, and the capabilities that keep its open epoch open; none after the end of the source.
struct Outputs {
    chunk_out: Output<Parcel>,
    span_out: Output<Span>,
    holds: Option<(Capability<Epoch>, Capability<Epoch>)>,
    probe: Probe<Epoch>,
    again: Activator,
}

impl Downstream for Outputs {
    fn send(&mut self, parcel: Parcel) {
        if let Some((chunk_hold, _)) = &self.holds {
            self.chunk_out.activate().session(chunk_hold).give(parcel);
        }
    }

    fn close(&mut self, spans: impl Iterator<Item = Span>, last: bool) {
        let Some((chunk_hold, span_hold)) = &mut self.holds else { return };
        self.span_out.activate().session(span_hold).give_iterator(spans);
        let next = chunk_hold.time() + 1;
        chunk_hold.downgrade(&next);
        span_hold.downgrade(&next);
        if last {
            self.holds = None;
        }
    }

    fn is_in_flight(&self, epoch: Epoch) -> bool {
        self.probe.less_equal(&epoch)
    }

    fn wake(&self) {
        self.again.activate();
    }

    fn wake_after(&self, time: Duration) {
        self.again.activate_after(time);
    }
}

/// The source on one worker.
struct ReadOperator {
    flow: Arc<Flow>,
    fetched: Receiver<Fetched>,
    /// The open epoch; none after the end of the source.
    epoch: Option<Epoch>,
    open: OpenRows,
    timer: Timer,
}

impl ReadOperator {
    fn new(flow: &Arc<Flow>, fetched: Receiver<Fetched>) -> Self {
        let timer = Timer { step: flow.commit.every.0 / GATHER, closed: Instant::now(), alarm: None };
        Self { flow: Arc::clone(flow), fetched, epoch: Some(0), open: OpenRows::default(), timer }
    }

    /// Sends what the reader has fetched, and closes epochs that are due. After a failure it does neither: the open epoch
    /// stays open for ever, so that no frontier passes it.
    fn activate(&mut self, down: &mut impl Downstream) {
        if self.flow.halt.failure().is_some() {
            return;
        }
        let mut end = self.flow.halt.is_stopping();
        self.timer.set(&self.open, down);
        for turn in 0.. {
            let Some(epoch) = self.epoch else { return };
            if end || self.must_close(epoch) {
                self.close(epoch, end, down);
                continue;
            }
            if has_two_before(epoch, down) {
                return;
            }
            if turn >= CHUNKS_PER_TURN {
                down.wake();
                return;
            }
            match next(&self.fetched) {
                Next::Rows(parcel, span) => {
                    if let Err(error) = self.pass_on(epoch, parcel, &span, down) {
                        self.flow.fail_by_bug(format_args!("the source gave {error}"));
                        return;
                    }
                }
                Next::Nothing => return,
                Next::End => end = true,
            }
        }
    }

    /// By time, by size, or because another worker closed it.
    fn must_close(&self, epoch: Epoch) -> bool {
        epoch < self.flow.open.get() || self.timer.is_due(&self.open) || self.open.is_full(&self.flow)
    }

    fn close(&mut self, epoch: Epoch, last: bool, down: &mut impl Downstream) {
        self.flow.open.close(epoch);
        self.timer.closed = Instant::now();
        down.close(std::mem::take(&mut self.open).spans.into_values(), last);
        self.epoch = (!last).then_some(epoch + 1);
    }

    fn pass_on(
        &mut self,
        epoch: Epoch,
        parcel: Parcel,
        span: &Span,
        down: &mut impl Downstream,
    ) -> Result<(), SpanError> {
        let bytes = parcel.chunk().bytes();
        self.flow.meter.add_read(epoch, span.rows);
        self.flow.meter.add_passed(SOURCE, span.rows, bytes);
        self.open.add(span, bytes)?;
        self.timer.set(&self.open, down);
        if !parcel.chunk().is_empty() {
            down.send(parcel);
        }
        Ok(())
    }
}

/// At most two epochs in flight: the open one, and one that is not committed yet.
fn has_two_before(epoch: Epoch, down: &impl Downstream) -> bool {
    epoch >= 2 && down.is_in_flight(epoch - 2)
}

#[expect(clippy::large_enum_variant, reason = "it is moved once for thousands of rows")]
enum Next {
    Rows(Parcel, Span),
    Nothing,
    End,
}

fn next(fetched: &Receiver<Fetched>) -> Next {
    match fetched.try_recv() {
        Ok(Fetched::Rows(parcel, span)) => Next::Rows(parcel, span),
        Ok(Fetched::End) => Next::End,
        // A reader that hung up has failed: the epoch stays open for ever, so that no frontier passes it.
        Err(TryRecvError::Empty | TryRecvError::Disconnected) => Next::Nothing,
    }
}

/// Closes epochs by time.
struct Timer {
    /// A part of the time between two commits.
    step: Duration,
    /// When the epoch before was closed.
    closed: Instant,
    /// When this operator gets its turn in any case.
    alarm: Option<Instant>,
}

impl Timer {
    /// Rows that come in bursts, as the commits of a flow before this one make them, do not wait for the next burst:
    /// where nothing follows them the epoch closes a step early, so that, epoch by epoch, the commits of this flow move
    /// up to just behind those of the other. Of several workers the first one to be due closes it for all.
    fn due(&self, Came { first, last }: Came) -> Instant {
        let late = self.closed + self.step * GATHER;
        let early = (late - self.step).max(last + self.step);
        (first + self.step).max(late.min(early))
    }

    fn is_due(&self, open: &OpenRows) -> bool {
        open.came.is_some_and(|came| self.due(came) <= Instant::now())
    }

    /// Sees to it that an epoch with rows is looked at when it is due.
    fn set(&mut self, open: &OpenRows, down: &impl Downstream) {
        let Some(came) = open.came else { return };
        let now = Instant::now();
        if self.alarm.is_none_or(|alarm| alarm <= now) {
            let due = self.due(came);
            self.alarm = Some(due);
            down.wake_after(due.saturating_duration_since(now));
        }
    }
}

/// What this worker has read in the open epoch.
#[derive(Default)]
struct OpenRows {
    /// None before its first row.
    came: Option<Came>,
    rows: u64,
    bytes: u64,
    spans: BTreeMap<u32, Span>,
}

/// When the first and the last row of an epoch came.
#[derive(Clone, Copy, Debug)]
struct Came {
    first: Instant,
    last: Instant,
}

impl OpenRows {
    fn add(&mut self, span: &Span, bytes: u64) -> Result<(), SpanError> {
        let now = Instant::now();
        self.came = Some(Came { first: self.came.map_or(now, |came| came.first), last: now });
        self.rows += span.rows;
        self.bytes += bytes;
        match self.spans.get_mut(&span.partition) {
            Some(open) => open.extend(span),
            None => {
                self.spans.insert(span.partition, *span);
                Ok(())
            }
        }
    }

    fn is_full(&self, flow: &Flow) -> bool {
        let workers = u64::from(flow.workers);
        self.rows >= flow.commit.rows.div_ceil(workers) || self.bytes >= flow.commit.bytes.0.div_ceil(workers)
    }
}
