//! Sink, second half: an epoch whose receipts and spans are all known goes to the committer, and ends when it is durable.

use super::exchange::route;
use super::parcel::{Delivery, Entry};
use super::{Edge, Hold, have_passed, waker};
use crate::flow::Flow;
use crate::flow::epoch::Epoch;
use crate::threads::Threads;
use crate::threads::committer::{self, Batch, Begin, CommitterThread};
use operators_core::Span;
use operators_core::progress::Tally;
use std::collections::BTreeMap;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::frontier::MutableAntichain;

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
    let mut operator = begin.map(|begin| CommitOperator::new(committer::spawn(threads, flow, begin, wake)));

    builder.build(move |_capabilities| {
        move |frontiers| {
            let Some(operator) = &mut operator else { return };
            let port = output.activate().output_index();
            deliveries.for_each(|epoch, data| {
                let Some(hold) = epoch.retain_least(port) else { return };
                operator.gathered(hold).deliveries.append(data);
            });
            entries.for_each(|epoch, data| {
                let Some(hold) = epoch.retain_least(port) else { return };
                operator.gathered(hold).add(data);
            });
            operator.activate(frontiers);
        }
    });
    durable
}

/// The commit point, on the worker that commits.
struct CommitOperator<H> {
    committer: CommitterThread,
    /// Of what may still come.
    open: BTreeMap<Epoch, Gathered<H>>,
    /// Handed to the committer, and not durable yet.
    committing: BTreeMap<Epoch, H>,
}

impl<H: Hold> CommitOperator<H> {
    fn new(committer: CommitterThread) -> Self {
        Self { committer, open: BTreeMap::new(), committing: BTreeMap::new() }
    }

    /// What has come of the epoch that is held.
    fn gathered(&mut self, hold: H) -> &mut Gathered<H> {
        self.open.entry(hold.epoch()).or_insert_with(|| Gathered {
            hold,
            spans: Vec::new(),
            deliveries: Vec::new(),
            left_out: Tally::default(),
        })
    }

    /// Hands every epoch that all frontiers have passed to the committer, in order, and lets go of those that are
    /// durable.
    fn activate(&mut self, frontiers: &[MutableAntichain<Epoch>]) {
        while let Some(entry) = self.open.first_entry() {
            let epoch = *entry.key();
            if !have_passed(frontiers, epoch) {
                break;
            }
            let Gathered { hold, mut spans, deliveries, left_out } = entry.remove();
            spans.sort_unstable_by_key(|span| span.partition);
            self.committing.insert(epoch, hold);
            // A committer that has hung up says itself why, and the capability held here keeps the epoch open.
            let _ = self.committer.batches.send(Batch { epoch, spans, deliveries, left_out });
        }
        for epoch in self.committer.done.try_iter() {
            self.committing.remove(&epoch);
        }
    }
}

/// What has come of an epoch; while it is here or being committed, its frontier stays.
struct Gathered<H> {
    hold: H,
    spans: Vec<Span>,
    deliveries: Vec<Delivery>,
    left_out: Tally,
}

impl<H> Gathered<H> {
    fn add(&mut self, entries: &mut Vec<Entry>) {
        for entry in entries.drain(..) {
            match entry {
                Entry::Read(span) => self.spans.push(span),
                Entry::LeftOut(tally) => self.left_out += tally,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TestHold, frontiers};
    use super::*;
    use operators_core::Position;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// An operator with the test in the place of its committer.
    fn operator() -> (CommitOperator<TestHold>, Receiver<Batch>, Sender<Epoch>) {
        let ((batches, handed_over), (told, done)) = (channel(), channel());
        (CommitOperator::new(CommitterThread { batches, done }), handed_over, told)
    }

    fn span(partition: u32, rows: u64) -> Span {
        Span { partition, from: Position(0), to: Position(rows), rows, anchor: None }
    }

    #[test]
    fn nothing_is_committed_before_both_frontiers_have_passed() {
        let (mut operator, handed_over, _told) = operator();
        operator.gathered(TestHold::new(0)).add(&mut vec![Entry::Read(span(1, 5)), Entry::Read(span(0, 7))]);
        for waits in [[0, 0], [1, 0], [0, 1]] {
            operator.activate(&frontiers(waits));
            assert!(handed_over.try_recv().is_err(), "{waits:?}");
        }
        operator.activate(&frontiers([1, 1]));
        let batch = handed_over.try_recv().unwrap();
        assert_eq!((batch.epoch, batch.spans), (0, vec![span(0, 7), span(1, 5)]));
    }

    #[test]
    fn epochs_are_committed_in_order_with_all_that_came_of_them() {
        let (mut operator, handed_over, _told) = operator();
        let filtered = |filtered| Entry::LeftOut(Tally { filtered, ..Tally::default() });
        operator.gathered(TestHold::new(1)).add(&mut vec![Entry::Read(span(0, 3))]);
        operator.gathered(TestHold::new(0)).add(&mut vec![filtered(2), Entry::Read(span(0, 9)), filtered(4)]);
        operator.activate(&frontiers([2, 2]));
        let batches: Vec<_> = handed_over.try_iter().map(|batch| (batch.epoch, batch.left_out.filtered)).collect();
        assert_eq!(batches, [(0, 6), (1, 0)]);
    }

    #[test]
    fn an_epoch_is_held_until_it_is_durable() {
        let (mut operator, _handed_over, told) = operator();
        let hold = TestHold::new(0);
        // A second message of an epoch brings a second capability, which is not needed.
        operator.gathered(hold.clone());
        operator.gathered(hold.clone());
        operator.activate(&frontiers([0, 0]));
        operator.activate(&frontiers([1, 1]));
        assert_eq!(hold.others(), 1);
        told.send(0).unwrap();
        operator.activate(&frontiers([1, 1]));
        assert_eq!(hold.others(), 0);
    }

    #[test]
    fn an_epoch_whose_committer_failed_is_held_for_ever() {
        let (mut operator, handed_over, told) = operator();
        drop((handed_over, told));
        let hold = TestHold::new(0);
        operator.gathered(hold.clone());
        operator.activate(&frontiers([9, 9]));
        operator.activate(&frontiers([9, 9]));
        assert_eq!(hold.others(), 1);
    }
}
