//! Decode, transform, encode, partition: one generic operator for every stage that turns chunks into chunks.

use super::Edge;
use super::parcel::{Entry, Parcel};
use crate::flow::Flow;
use operators_core::chunk::Kind;
use operators_core::progress::Tally;
use operators_core::stage::{Applied, Apply, Stage};
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// Adds the stage at a place among all of the flow: chunks in, chunks out, and what was left out.
pub(super) fn apply<'scope>(
    flow: &Arc<Flow>,
    (place, name): (usize, &str),
    stage: &Arc<dyn Stage>,
    chunks: Edge<'scope, Parcel>,
) -> (Edge<'scope, Parcel>, Edge<'scope, Entry>) {
    let mut builder = OperatorBuilder::new(name.to_owned(), chunks.scope());
    let mut input = builder.new_input(chunks, Pipeline);
    let (chunk_out, applied) = builder.new_output::<Vec<Parcel>>();
    let (entry_out, entries) = builder.new_output::<Vec<Entry>>();
    let mut chunk_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<Parcel>>>::from(chunk_out);
    let mut entry_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<Entry>>>::from(entry_out);

    let mut operator = ApplyOperator::new(flow, (place, name), stage);
    builder.build(move |_capabilities| {
        move |_frontiers| {
            let (mut chunk_out, mut entry_out) = (chunk_out.activate(), entry_out.activate());
            let port = chunk_out.output_index();
            input.for_each(|epoch, parcels| {
                for parcel in parcels.drain(..) {
                    let Some(passed) = operator.activate(parcel, || epoch.retain_least(port)) else { return };
                    if let Some(left_out) = passed.left_out {
                        entry_out.session(&epoch).give(Entry::LeftOut(left_out));
                    }
                    chunk_out.session(&epoch).give_iterator(passed.parcels.into_iter());
                }
            });
        }
    });
    (applied, entries)
}

/// A stage on one worker.
struct ApplyOperator<H> {
    flow: Arc<Flow>,
    place: usize,
    name: String,
    handle: Box<dyn Apply>,
    /// A stage that failed keeps its epoch open: if its frontier passed, a commit would miss rows.
    failed: Option<H>,
}

/// What a stage made of a parcel.
struct PassedOn {
    parcels: Vec<Parcel>,
    /// Rows it left out, if it did.
    left_out: Option<Tally>,
}

impl<H> ApplyOperator<H> {
    fn new(flow: &Arc<Flow>, (place, name): (usize, &str), stage: &Arc<dyn Stage>) -> Self {
        Self { flow: Arc::clone(flow), place, name: name.to_owned(), handle: stage.handle(), failed: None }
    }

    /// Takes a parcel; `None` once the stage has failed, which takes a `hold` on the parcel's epoch.
    fn activate(&mut self, parcel: Parcel, hold: impl FnOnce() -> Option<H>) -> Option<PassedOn> {
        if self.failed.is_some() {
            return None;
        }
        if parcel.chunk().kind == Kind::DeadLetters {
            return Some(PassedOn { parcels: vec![parcel], left_out: None });
        }
        let Some(applied) = self.flow.guard(&self.name, || self.handle.apply(parcel.into_chunk())) else {
            self.failed = hold();
            return None;
        };
        for chunk in &applied.rows {
            self.flow.meter.add_passed(self.place, chunk.len(), chunk.bytes());
        }
        let left_out = Some(left_out(&applied)).filter(|tally| *tally != Tally::default());
        let chunks = applied.rows.into_iter().chain(applied.dead_letters);
        let parcels = chunks.map(|chunk| Parcel::new(chunk, &self.flow.budget)).collect();
        Some(PassedOn { parcels, left_out })
    }
}

fn left_out(applied: &Applied) -> Tally {
    Tally {
        filtered: applied.filtered,
        skipped: applied.skipped,
        dead_letters: applied.dead_letters.as_ref().map_or(0, operators_core::Chunk::len),
        ..Tally::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::fixture;
    use operators_core::Chunk;
    use operators_core::error::{Error, Result};

    /// Filters a row, skips one, rejects one, and fails at a chunk of one row.
    struct Picky;

    impl Stage for Picky {
        fn handle(&self) -> Box<dyn Apply> {
            Box::new(Self)
        }
    }

    impl Apply for Picky {
        fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
            if chunk.len() == 1 {
                return Err(Error::Other("odd".to_owned()));
            }
            let rejected = Chunk { kind: Kind::DeadLetters, ..chunk.slice(2, 1) };
            let rows = vec![chunk.slice(3, chunk.len() - 3)];
            Ok(Applied { rows, dead_letters: Some(rejected), filtered: 1, skipped: 1 })
        }
    }

    fn operator() -> (Arc<Flow>, ApplyOperator<&'static str>) {
        let flow = fixture::flow();
        let stage: Arc<dyn Stage> = Arc::new(Picky);
        let operator = ApplyOperator::new(&flow, (1, "transform.picky"), &stage);
        (flow, operator)
    }

    fn held() -> Option<&'static str> {
        Some("held")
    }

    #[test]
    fn every_row_goes_on_or_is_told_of() {
        let (flow, mut operator) = operator();
        let sent = operator.activate(fixture::parcel(&flow, 0..100), held).unwrap();
        let left_out = sent.left_out.unwrap();
        assert_eq!(left_out, Tally { filtered: 1, skipped: 1, dead_letters: 1, ..Tally::default() });
        let rows =
            |kind| sent.parcels.iter().map(Parcel::chunk).filter(|chunk| chunk.kind == kind).map(Chunk::len).sum();
        let (written, dead_letters): (u64, u64) = (rows(Kind::Rows), rows(Kind::DeadLetters));
        assert_eq!(dead_letters, left_out.dead_letters);
        assert!(Tally { read: 100, written, ..left_out }.is_conserved());
        assert!(operator.failed.is_none());
    }

    #[test]
    fn dead_letters_pass_as_they_are() {
        let (flow, mut operator) = operator();
        let chunk = Chunk { kind: Kind::DeadLetters, ..fixture::parcel(&flow, 0..1).into_chunk() };
        let sent = operator.activate(Parcel::new(chunk.clone(), &flow.budget), held).unwrap();
        assert_eq!(sent.left_out, None);
        assert_eq!(sent.parcels.into_iter().map(Parcel::into_chunk).collect::<Vec<_>>(), [chunk]);
    }

    #[test]
    fn a_stage_that_failed_keeps_its_epoch_open_and_gives_nothing_more() {
        let (flow, mut operator) = operator();
        assert!(operator.activate(fixture::parcel(&flow, 0..1), held).is_none());
        assert_eq!(operator.failed, Some("held"));
        let failure = flow.halt.failure().unwrap();
        assert_eq!((failure.stage.as_deref(), failure.reason.as_str()), (Some("transform.picky"), "odd"));
        let never = || unreachable!("the first epoch is held already");
        assert!(operator.activate(fixture::parcel(&flow, 1..100), never).is_none());
    }
}
