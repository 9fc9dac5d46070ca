//! Source: opens an epoch with its first row and closes it by time, by size, or because another worker did.

use super::parcel::Parcel;
use super::{Edge, waker};
use crate::epoch::Epoch;
use crate::flow::Flow;
use crate::threads::Threads;
use crate::threads::reader::{self, Fetched};
use crossbeam_channel::{Receiver, TryRecvError};
use operators::stage::Share;
use operators::{Checkpoint, Span};
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

/// An epoch stays open for `1 / GATHER` of the time between two commits at least.
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
        let mut closed = Instant::now();
        move |_frontiers| {
            if flow.halt.failure().is_some() {
                return;
            }
            let mut end = flow.halt.is_stopping();
            for turn in 0.. {
                let Some((chunk_hold, span_hold)) = holds.as_mut() else { return };
                let epoch = *chunk_hold.time();
                if end || epoch < flow.open.get() || open.is_full(&flow) {
                    flow.open.close(epoch);
                    closed = Instant::now();
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
                        if open.due.is_none() {
                            let wait = stays_open(closed, flow.commit.every.0);
                            open.due = Some(Instant::now() + wait);
                            again.activate_after(wait);
                        }
                        if let Err(error) = open.add(&span, parcel.chunk().bytes()) {
                            flow.fail_by_bug(format_args!("the source gave {error}"));
                            return;
                        }
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

/// How long an epoch stays open after its first row. Rows that come in bursts, as the commits of a flow before this one
/// make them, do not wait for the next burst.
fn stays_open(closed: Instant, every: Duration) -> Duration {
    every.saturating_sub(closed.elapsed()).max(every / GATHER)
}

/// At most two epochs in flight: the open one, and one that is not committed yet.
fn has_two_before(epoch: Epoch, probe: &Probe<Epoch>) -> bool {
    epoch >= 2 && probe.less_equal(&(epoch - 2))
}

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

/// What this worker has read in the open epoch.
#[derive(Default)]
struct OpenRows {
    /// When it closes, once it has rows.
    due: Option<Instant>,
    rows: u64,
    bytes: u64,
    spans: BTreeMap<u32, Span>,
}

impl OpenRows {
    fn add(&mut self, span: &Span, bytes: u64) -> Result<(), operators::position::SpanError> {
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
        self.due.is_some_and(|due| Instant::now() >= due)
            || self.rows >= flow.commit.rows.div_ceil(workers)
            || self.bytes >= flow.commit.bytes.0.div_ceil(workers)
    }
}
