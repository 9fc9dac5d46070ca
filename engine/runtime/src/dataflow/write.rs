//! Sink, first half: rows of an epoch go to this worker's writer; when both frontiers have passed it, it is closed.

use super::exchange::{route, to_every_worker};
use super::parcel::{Delivery, Parcel};
use super::{Edge, Hold, have_passed, waker};
use crate::flow::Flow;
use crate::flow::epoch::Epoch;
use crate::threads::Threads;
use crate::threads::writer::{self, Order, WriterThread};
use operators_core::Span;
use operators_core::progress::Version;
use std::collections::BTreeMap;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::frontier::MutableAntichain;

/// Adds the writers: chunks by partition, and every worker's spans, to one receipt per worker and epoch.
///
/// Every worker sees the spans of all, so that all count the same version for an epoch without asking anyone.
pub(super) fn write<'scope>(
    flow: &Arc<Flow>,
    threads: &Threads,
    first: Version,
    chunks: Edge<'scope, Parcel>,
    spans: Edge<'scope, Span>,
) -> Edge<'scope, Delivery> {
    let scope = chunks.scope();
    let mut builder = OperatorBuilder::new("write".to_owned(), scope);
    let by_partition = route(|parcel: &Parcel| u64::from(parcel.chunk().partition));
    let mut chunks = builder.new_input(chunks, by_partition);
    let mut spans = builder.new_input(to_every_worker(spans), Pipeline);
    let (output, deliveries) = builder.new_output::<Vec<Delivery>>();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<Delivery>>>::from(output);
    let wake = waker(scope, &builder.operator_info().address);
    let mut operator = WriteOperator::new(writer::spawn(threads, flow, wake), first);

    builder.build(move |_capabilities| {
        move |frontiers| {
            let mut output = output.activate();
            let port = output.output_index();
            chunks.for_each(|epoch, parcels| {
                let Some(hold) = epoch.retain_least(port) else { return };
                operator.take_parcels(hold, parcels);
            });
            spans.for_each(|epoch, spans| {
                let Some(epoch) = epoch.least().copied() else { return };
                operator.take_spans(epoch, spans);
            });
            for (hold, delivery) in operator.activate(frontiers) {
                output.session(&hold).give(delivery);
            }
        }
    });
    deliveries
}

/// The writer of one worker.
struct WriteOperator<H> {
    writer: WriterThread,
    /// Epochs with rows on this worker, from their first row to their receipt.
    holds: BTreeMap<Epoch, H>,
    /// Spans of all workers, until their epoch has its version.
    moved: BTreeMap<Epoch, Vec<Span>>,
    /// Of the next epoch that moves any partition.
    version: Version,
}

impl<H: Hold> WriteOperator<H> {
    fn new(writer: WriterThread, first: Version) -> Self {
        Self { writer, holds: BTreeMap::new(), moved: BTreeMap::new(), version: first }
    }

    /// Hands rows of the epoch that is held to the writer.
    fn take_parcels(&mut self, hold: H, parcels: &mut Vec<Parcel>) {
        let epoch = hold.epoch();
        self.holds.entry(epoch).or_insert(hold);
        for parcel in parcels.drain(..) {
            // A writer that hung up has failed, and everything stops.
            let _ = self.writer.orders.send(Order::Write(epoch, parcel));
        }
    }

    fn take_spans(&mut self, epoch: Epoch, spans: &mut Vec<Span>) {
        self.moved.entry(epoch).or_default().append(spans);
    }

    /// Has every epoch closed that all frontiers have passed, in order; gives the receipts that are there, each with the
    /// hold of its epoch. An epoch without a receipt stays held.
    fn activate(&mut self, frontiers: &[MutableAntichain<Epoch>]) -> impl Iterator<Item = (H, Delivery)> {
        while let Some(entry) = self.moved.first_entry() {
            let epoch = *entry.key();
            if !have_passed(frontiers, epoch) {
                break;
            }
            let mut spans = entry.remove();
            spans.sort_unstable_by_key(|span| span.partition);
            if self.holds.contains_key(&epoch) {
                let _ = self.writer.orders.send(Order::Close(epoch, self.version, spans.into()));
            }
            self.version = self.version.next();
        }
        let Self { writer, holds, .. } = self;
        writer.deliveries.try_iter().filter_map(|(epoch, delivery)| Some((holds.remove(&epoch)?, delivery)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TestHold, frontiers};
    use super::*;
    use crate::flow::fixture;
    use operators_core::Position;
    use operators_core::progress::{Contents, Receipt};
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// An operator with the test in the place of its writer.
    fn operator() -> (WriteOperator<TestHold>, Receiver<Order>, Sender<(Epoch, Delivery)>) {
        let ((orders, ordered), (wrote, deliveries)) = (channel(), channel());
        (WriteOperator::new(WriterThread { orders, deliveries }, Version(7)), ordered, wrote)
    }

    fn span(partition: u32) -> Span {
        Span { partition, from: Position(0), to: Position(5), rows: 5, anchor: None }
    }

    fn closed(ordered: &Receiver<Order>) -> Vec<(Epoch, Version, Vec<u32>)> {
        let close = |order| match order {
            Order::Close(epoch, version, spans) => Some((epoch, version, spans.iter().map(|s| s.partition).collect())),
            Order::Write(..) => None,
        };
        ordered.try_iter().filter_map(close).collect()
    }

    fn delivery(rows: u64) -> Delivery {
        let receipt = Receipt { rows, dead_letters: 0, contents: Contents::Files(Vec::new()) };
        Delivery::new(receipt, fixture::flow().budget.lease(0))
    }

    #[test]
    fn nothing_is_closed_before_both_frontiers_have_passed() {
        let (mut operator, ordered, _wrote) = operator();
        operator.take_parcels(TestHold::new(0), &mut vec![fixture::parcel(&fixture::flow(), 0..5)]);
        operator.take_spans(0, &mut vec![span(1), span(0)]);
        for waits in [[0, 0], [1, 0], [0, 1]] {
            assert_eq!(operator.activate(&frontiers(waits)).count(), 0);
            assert!(closed(&ordered).is_empty(), "{waits:?}");
        }
        assert_eq!(operator.activate(&frontiers([1, 1])).count(), 0);
        assert_eq!(closed(&ordered), [(0, Version(7), vec![0, 1])]);
    }

    /// Workers agree on versions because they all count the epochs that moved a partition anywhere.
    #[test]
    fn an_epoch_without_rows_here_has_a_version_too() {
        let (mut operator, ordered, _wrote) = operator();
        for epoch in [0, 2, 3] {
            operator.take_spans(epoch, &mut vec![span(0)]);
        }
        operator.take_parcels(TestHold::new(3), &mut vec![fixture::parcel(&fixture::flow(), 0..5)]);
        assert_eq!(operator.activate(&frontiers([4, 4])).count(), 0);
        assert_eq!(closed(&ordered), [(3, Version(9), vec![0])]);
    }

    #[test]
    fn an_epoch_is_held_until_its_receipt_is_sent() {
        let (mut operator, ordered, wrote) = operator();
        let hold = TestHold::new(0);
        for _ in 0..2 {
            operator.take_parcels(hold.clone(), &mut vec![fixture::parcel(&fixture::flow(), 0..5)]);
        }
        assert_eq!(ordered.try_iter().count(), 2, "rows are written as they come");
        operator.take_spans(0, &mut vec![span(0)]);
        assert_eq!(operator.activate(&frontiers([1, 1])).count(), 0);
        assert_eq!(hold.others(), 1);
        wrote.send((0, delivery(10))).unwrap();
        let sent: Vec<_> = operator.activate(&frontiers([1, 1])).collect();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].0.epoch(), hold.others()), (0, 1), "the hold goes with the receipt");
        drop(sent);
        assert_eq!(hold.others(), 0);
    }

    #[test]
    fn an_epoch_whose_writer_failed_is_held_for_ever() {
        let (mut operator, ordered, wrote) = operator();
        drop((ordered, wrote));
        let hold = TestHold::new(0);
        operator.take_parcels(hold.clone(), &mut vec![fixture::parcel(&fixture::flow(), 0..5)]);
        operator.take_spans(0, &mut vec![span(0)]);
        assert_eq!(operator.activate(&frontiers([9, 9])).count(), 0);
        assert_eq!(hold.others(), 1);
    }
}
