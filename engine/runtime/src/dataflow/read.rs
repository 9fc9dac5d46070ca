//! Source: opens an epoch with its first row and closes it by time, by size, or because another worker did.

use super::parcel::Parcel;
use super::{Edge, waker};
use crate::flow::Flow;
use crate::flow::epoch::Epoch;
use crate::threads::Threads;
use crate::threads::reader::{self, Fetched};
use crossbeam_channel::{Receiver, TryRecvError};
use operators_core::stage::Share;
use operators_core::{Checkpoint, Span};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
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
    let mut chunk_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<Parcel>>>::from(chunk_out);
    let mut span_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<Span>>>::from(span_out);

    let wake = waker(scope, &address);
    flow.open.follow(Arc::clone(&wake));
    flow.halt.wake(Arc::clone(&wake));
    let share = Share { index: scope.index() as u32, of: flow.workers };
    let fetched = reader::spawn(threads, flow, share, from, wake);
    let activator = scope.activator_for(address);
    let (flow, again) = (Arc::clone(flow), activator.clone());

    builder.build(move |mut capabilities| {
        let span_hold = capabilities.pop();
        let chunk_hold = capabilities.pop();
        let mut holds = chunk_hold.zip(span_hold);
        let mut open = OpenRows::default();
        let mut timer = Timer { step: flow.commit.every.0 / GATHER, closed: Instant::now(), alarm: None };
        move |_frontiers| {
            if flow.halt.failure().is_some() {
                return;
            }
            let mut end = flow.halt.is_stopping();
            timer.set(&open, &again);
            for turn in 0.. {
                let Some((chunk_hold, span_hold)) = holds.as_mut() else { return };
                let epoch = *chunk_hold.time();
                if end || epoch < flow.open.get() || timer.is_due(&open) || open.is_full(&flow) {
                    flow.open.close(epoch);
                    timer.closed = Instant::now();
                    let spans = std::mem::take(&mut open).spans;
                    span_out.activate().session(span_hold).give_iterator(spans.into_values());
                    chunk_hold.downgrade(&(epoch + 1));
                    span_hold.downgrade(&(epoch + 1));
                    if end {
                        holds = None;
                    }
                    continue;
                }
                if has_two_before(epoch, &probe) {
                    return;
                }
                if turn >= CHUNKS_PER_TURN {
                    again.activate();
                    return;
                }
                match next(&fetched) {
                    Next::Rows(parcel, span) => {
                        flow.meter.add_read(epoch, span.rows);
                        flow.meter.add_passed(SOURCE, span.rows, parcel.chunk().bytes());
                        if let Err(error) = open.add(&span, parcel.chunk().bytes()) {
                            flow.fail_by_bug(format_args!("the source gave {error}"));
                            return;
                        }
                        timer.set(&open, &again);
                        if !parcel.chunk().is_empty() {
                            chunk_out.activate().session(chunk_hold).give(parcel);
                        }
                    }
                    Next::Nothing => return,
                    Next::End => end = true,
                }
            }
        }
    });
    (chunks, spans, activator)
}

/// At most two epochs in flight: the open one, and one that is not committed yet.
fn has_two_before(epoch: Epoch, probe: &Probe<Epoch>) -> bool {
    epoch >= 2 && probe.less_equal(&(epoch - 2))
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
    fn due(&self, first: Instant, last: Instant) -> Instant {
        let late = self.closed + self.step * GATHER;
        let early = (late - self.step).max(last + self.step);
        (first + self.step).max(late.min(early))
    }

    fn is_due(&self, open: &OpenRows) -> bool {
        open.came.is_some_and(|(first, last)| self.due(first, last) <= Instant::now())
    }

    /// Sees to it that an epoch with rows is looked at when it is due.
    fn set(&mut self, open: &OpenRows, again: &Activator) {
        let Some((first, last)) = open.came else { return };
        let now = Instant::now();
        if self.alarm.is_none_or(|alarm| alarm <= now) {
            let due = self.due(first, last);
            self.alarm = Some(due);
            again.activate_after(due.saturating_duration_since(now));
        }
    }
}

/// What this worker has read in the open epoch.
#[derive(Default)]
struct OpenRows {
    /// When the first and the last of its rows came.
    came: Option<(Instant, Instant)>,
    rows: u64,
    bytes: u64,
    spans: BTreeMap<u32, Span>,
}

impl OpenRows {
    fn add(&mut self, span: &Span, bytes: u64) -> Result<(), operators_core::position::SpanError> {
        let now = Instant::now();
        self.came = Some((self.came.map_or(now, |(first, _)| first), now));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Bursts a second apart and commits every second: wherever the first one falls, the later ones fall just behind a
    /// burst.
    #[test]
    fn commits_move_up_to_bursts() {
        let [every, step] = [10, 1].map(|parts| Duration::from_millis(100) * parts);
        let zero = Instant::now();
        for phase in 0..100 {
            let mut timer = Timer { step, closed: zero + every * phase / 100, alarm: None };
            let burst = |number| zero + every * number;
            let delays = (1..30).map(|number| {
                let due = timer.due(burst(number), burst(number));
                assert!(due - timer.closed >= step * 9, "commits come no faster than a tenth early");
                timer.closed = due;
                due - burst(number)
            });
            assert_eq!(delays.last(), Some(step), "phase {phase}");
        }
    }

    #[test]
    fn an_epoch_with_rows_until_its_end_has_its_whole_time() {
        let closed = Instant::now();
        let ms = Duration::from_millis;
        let timer = Timer { step: ms(100), closed, alarm: None };
        let due = |first, last| timer.due(closed + ms(first), closed + ms(last)) - closed;
        assert_eq!(due(0, 0), ms(900));
        assert_eq!(due(0, 850), ms(950));
        assert_eq!(due(0, 950), ms(1000));
        assert_eq!(due(1500, 1500), ms(1600), "an epoch after a pause gathers for a moment");
    }
}
