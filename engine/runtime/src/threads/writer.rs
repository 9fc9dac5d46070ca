//! Writes one worker's rows of each epoch, one writer per open epoch.

use crate::dataflow::parcel::{Delivery, Parcel};
use crate::flow::Flow;
use crate::flow::budget::Lease;
use crate::flow::epoch::Epoch;
use crate::flow::halt::Waker;
use crate::threads::Threads;
use operators_core::progress::Version;
use operators_core::stage::{Closing, Held, Writer};
use operators_core::{Error, Span};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Of a worker's part of the budget, rows that only a commit frees may hold `1 / COMMIT_SHARE` before their epoch is
/// closed early: two epochs in flight then leave room to read on.
const COMMIT_SHARE: u64 = 4;

/// Whether an epoch must close so that its rows do not use up the memory that reading on would need.
fn must_close(held: Held, flow: &Flow) -> bool {
    let share = flow.budget.limit() / u64::from(flow.workers);
    held.until_commit >= share / COMMIT_SHARE || held.bytes >= share
}

/// What a worker asks of its writer.
pub(crate) enum Order {
    /// Write rows of an epoch.
    Write(Epoch, Parcel),
    /// Every row of the epoch has been ordered: close it as this version.
    Close(Epoch, Version, Arc<[Span]>),
}

/// The two ends of a writer that its operator holds.
pub(crate) struct WriterThread {
    /// Never full: the byte budget bounds it.
    pub(crate) orders: Sender<Order>,
    /// One for each close.
    pub(crate) deliveries: Receiver<(Epoch, Delivery)>,
}

/// Starts writing; `wake` is called after each delivery.
pub(crate) fn spawn(threads: &Threads, flow: &Arc<Flow>, wake: Waker) -> WriterThread {
    let (orders, inbox) = channel();
    let (outbox, deliveries) = channel();
    threads.spawn(flow, "writer", &flow.sink_name, move |flow| write_all(flow, &inbox, &outbox, &wake));
    WriterThread { orders, deliveries }
}

/// A writer and the memory it holds.
struct Open {
    writer: Box<dyn Writer>,
    held: Lease,
}

fn write_all(
    flow: &Flow,
    inbox: &Receiver<Order>,
    outbox: &Sender<(Epoch, Delivery)>,
    wake: &Waker,
) -> Result<(), Error> {
    let mut open: BTreeMap<Epoch, Open> = BTreeMap::new();
    for order in inbox {
        if flow.halt.failure().is_some() {
            return Ok(());
        }
        match order {
            Order::Write(epoch, parcel) => {
                let _span = tracing::error_span!("epoch", epoch).entered();
                let Open { writer, held } = match open.entry(epoch) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => {
                        let writer = flow.sink.writer(&flow.run, epoch)?;
                        entry.insert(Open { writer, held: flow.budget.lease(0) })
                    }
                };
                let chunk = parcel.into_chunk();
                flow.meter.add_taken(&chunk);
                let now = writer.write(chunk)?;
                held.resize(now.bytes);
                if must_close(now, flow) {
                    flow.open.close(epoch);
                }
            }
            Order::Close(epoch, version, spans) => {
                let _span = tracing::error_span!("epoch", epoch).entered();
                let Some(Open { writer, held }) = open.remove(&epoch) else {
                    return Err(Error::Other(format!("epoch {epoch} was closed without rows; this is a bug")));
                };
                let (fingerprint, source) = (flow.fingerprint.clone(), flow.source_identity()?);
                let batch = Closing { version, spans: spans.to_vec(), fingerprint, source };
                let delivery = Delivery::new(writer.close(&batch)?, held);
                if outbox.send((epoch, delivery)).is_err() {
                    return Ok(());
                }
                wake();
            }
        }
    }
    Ok(())
}
