//! Archives in both layouts pass the contract of sinks.

use crate::archive_world::{Job, World};
use files::sink::Layout;
use files::store::memory::Memory;
use operators_core::progress::{Commit, Progress, Run};
use operators_core::sink_contract::{self, SinkWorld};
use operators_core::stage::Sink;

/// Each batch has all that can become of a row.
const JOB: Job = Job { partitions: 3, positions: 1_200, step: 12 };

struct Archive {
    store: Memory,
    world: World,
}

impl SinkWorld for Archive {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(self.world.sink(&self.store))
    }

    fn batch(&self, sink: &dyn Sink, run: &Run, last: Option<&Progress>, attempt: u64) -> Commit {
        let batch = self.world.next(last, run).unwrap();
        self.world.write(sink, batch, attempt).unwrap()
    }
}

in_both_layouts! { an_archive_is_a_sink }

fn an_archive_is_a_sink(layout: Layout) {
    sink_contract::suite(|| Archive { store: Memory::default(), world: JOB.laid_out(layout) });
}
