//! A topic of a cluster passes the contract of sinks.

use super::{World, batch};
use operators_core::progress::{Commit, Progress, Run};
use operators_core::sink_contract::{self, SinkWorld};
use operators_core::stage::Sink;

/// Topics that are deleted at the end; one is there for as long as the test runs.
struct Own(Option<World>);

impl Own {
    fn world(&self) -> &World {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // A test that fails leaves its topics to be looked at.
        if !std::thread::panicking() {
            self.0.take().unwrap().remove();
        }
    }
}

impl SinkWorld for Own {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(self.world().sink())
    }

    fn batch(&self, sink: &dyn Sink, run: &Run, last: Option<&Progress>, attempt: u64) -> Commit {
        batch(sink, run, last, attempt)
    }
}

#[test]
fn a_topic_is_a_sink() {
    if testkit::servers::kafka().is_none() {
        return;
    }
    sink_contract::suite(|| Own(World::new("contract")));
}
