//! Sink, first half: rows of an epoch go to this worker's writer; when both frontiers have passed it, it is closed.

use super::exchange::{route, to_every_worker};
use super::parcel::{Delivery, Parcel};
use super::{Edge, Hold, waker};
use crate::flow::Flow;
use crate::flow::epoch::Epoch;
use crate::threads::Threads;
use crate::threads::writer::{self, Order};
use operators_core::Span;
use operators_core::progress::Version;
use std::collections::BTreeMap;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

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
    let writer = writer::spawn(threads, flow, wake);

    builder.build(move |_capabilities| {
        // Epochs with rows on this worker, from their first row to their receipt.
        let mut holds: BTreeMap<Epoch, Hold> = BTreeMap::new();
        // Spans of all workers, until their epoch has its version.
        let mut moved: BTreeMap<Epoch, Vec<Span>> = BTreeMap::new();
        let mut version = first;
        move |frontiers| {
            let mut output = output.activate();
            chunks.for_each(|epoch, parcels| {
                let Some(hold) = epoch.retain_least(output.output_index()) else { return };
                let time = *hold.time();
                holds.entry(time).or_insert(hold);
                for parcel in parcels.drain(..) {
                    // A writer that hung up has failed, and everything stops.
                    let _ = writer.orders.send(Order::Write(time, parcel));
                }
            });
            spans.for_each(|epoch, data| {
                let Some(time) = epoch.least().copied() else { return };
                moved.entry(time).or_default().append(data);
            });
            while let Some(entry) = moved.first_entry() {
                let epoch = *entry.key();
                if frontiers.iter().any(|frontier| frontier.less_equal(&epoch)) {
                    break;
                }
                let mut spans = entry.remove();
                spans.sort_unstable_by_key(|span| span.partition);
                if holds.contains_key(&epoch) {
                    let _ = writer.orders.send(Order::Close(epoch, version, spans.into()));
                }
                version = version.next();
            }
            for (epoch, delivery) in writer.deliveries.try_iter() {
                if let Some(hold) = holds.remove(&epoch) {
                    output.session(&hold).give(delivery);
                }
            }
        }
    });
    deliveries
}
