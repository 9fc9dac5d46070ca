//! Sink, second half: an epoch whose receipts and spans are all known goes to the committer, and ends when it is durable.

use super::exchange::route;
use super::parcel::{Delivery, Entry};
use super::{Edge, Hold, waker};
use crate::flow::Flow;
use crate::flow::epoch::Epoch;
use crate::threads::Threads;
use crate::threads::committer::{self, Batch, Begin};
use operators_core::Span;
use operators_core::progress::Tally;
use std::collections::BTreeMap;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// The worker that commits.
pub(super) const COMMITTER: usize = 0;

/// Adds the commit point. `begin` is given on the committing worker only. Nothing travels on the output; its frontier
/// tells which epochs are durable.
pub(super) fn commit<'scope>(
    flow: &Arc<Flow>,
    threads: &Threads,
    begin: Option<Begin>,
    deliveries: Edge<'scope, Delivery>,
    entries: Edge<'scope, Entry>,
) -> Edge<'scope, ()> {
    let scope = deliveries.scope();
    let mut builder = OperatorBuilder::new("commit".to_owned(), scope);
    let mut deliveries = builder.new_input(deliveries, route(|_: &Delivery| COMMITTER as u64));
    let mut entries = builder.new_input(entries, route(|_: &Entry| COMMITTER as u64));
    let (output, durable) = builder.new_output::<Vec<()>>();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<()>>>::from(output);
    let wake = waker(scope, &builder.operator_info().address);
    let committer = begin.map(|begin| committer::spawn(threads, flow, begin, wake));

    builder.build(move |_capabilities| {
        let mut open: BTreeMap<Epoch, Gathered> = BTreeMap::new();
        let mut committing: BTreeMap<Epoch, Hold> = BTreeMap::new();
        move |frontiers| {
            let Some(committer) = &committer else { return };
            let port = output.activate().output_index();
            deliveries.for_each(|epoch, data| {
                let Some(hold) = epoch.retain_least(port) else { return };
                gathered(&mut open, hold).deliveries.append(data);
            });
            entries.for_each(|epoch, data| {
                let Some(hold) = epoch.retain_least(port) else { return };
                let gathered = gathered(&mut open, hold);
                for entry in data.drain(..) {
                    match entry {
                        Entry::Read(span) => gathered.spans.push(span),
                        Entry::LeftOut(tally) => gathered.left_out += tally,
                    }
                }
            });
            while let Some(entry) = open.first_entry() {
                let epoch = *entry.key();
                if frontiers.iter().any(|frontier| frontier.less_equal(&epoch)) {
                    break;
                }
                let Gathered { hold, mut spans, deliveries, left_out } = entry.remove();
                spans.sort_unstable_by_key(|span| span.partition);
                committing.insert(epoch, hold);
                // A committer that has hung up says itself why, and the capability held here keeps the epoch open.
                let _ = committer.batches.send(Batch { epoch, spans, deliveries, left_out });
            }
            for epoch in committer.done.try_iter() {
                committing.remove(&epoch);
            }
        }
    });
    durable
}

/// What has come of an epoch; while it is here or being committed, its frontier stays.
struct Gathered {
    hold: Hold,
    spans: Vec<Span>,
    deliveries: Vec<Delivery>,
    left_out: Tally,
}

fn gathered(open: &mut BTreeMap<Epoch, Gathered>, hold: Hold) -> &mut Gathered {
    open.entry(*hold.time()).or_insert_with(|| Gathered {
        hold,
        spans: Vec::new(),
        deliveries: Vec::new(),
        left_out: Tally::default(),
    })
}
