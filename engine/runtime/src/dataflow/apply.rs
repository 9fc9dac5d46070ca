//! Decode, transform, encode, partition: one generic operator for every stage that turns chunks into chunks.

use super::parcel::{Entry, Parcel};
use super::{Edge, Hold};
use crate::flow::Flow;
use operators_core::chunk::Kind;
use operators_core::progress::Tally;
use operators_core::stage::{Applied, Stage};
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

    let (flow, name) = (Arc::clone(flow), name.to_owned());
    let mut handle = stage.handle();
    builder.build(move |_capabilities| {
        // A stage that failed keeps its epoch open: if its frontier passed, a commit would miss rows.
        let mut failed: Option<Hold> = None;
        move |_frontiers| {
            let (mut chunk_out, mut entry_out) = (chunk_out.activate(), entry_out.activate());
            input.for_each(|epoch, parcels| {
                for parcel in parcels.drain(..) {
                    if failed.is_some() {
                        return;
                    }
                    if parcel.chunk().kind == Kind::DeadLetters {
                        chunk_out.session(&epoch).give(parcel);
                        continue;
                    }
                    let Some(applied) = flow.guard(&name, || handle.apply(parcel.into_chunk())) else {
                        failed = epoch.retain_least(chunk_out.output_index());
                        return;
                    };
                    let left_out = left_out(&applied);
                    if left_out != Tally::default() {
                        entry_out.session(&epoch).give(Entry::LeftOut(left_out));
                    }
                    for chunk in &applied.rows {
                        flow.meter.add_passed(place, chunk.len(), chunk.bytes());
                    }
                    let chunks = applied.rows.into_iter().chain(applied.dead_letters);
                    chunk_out.session(&epoch).give_iterator(chunks.map(|chunk| Parcel::new(chunk, &flow.budget)));
                }
            });
        }
    });
    (applied, entries)
}

fn left_out(applied: &Applied) -> Tally {
    Tally {
        filtered: applied.filtered,
        skipped: applied.skipped,
        dead_letters: applied.dead_letters.as_ref().map_or(0, operators_core::Chunk::len),
        ..Tally::default()
    }
}
