//! A topic of a cluster passes the contract of sources.

use super::World;
use crate::client::topic;
use operators_core::source_contract::{self, Growth, Recreation, SourceWorld};
use operators_core::stage::Source;
use serde_json::json;
use std::sync::Arc;

const PARTITIONS: u32 = 2;
const MESSAGES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// A topic that is deleted at the end.
struct Own(World);

impl Own {
    fn fill(&self) {
        for partition in 0..PARTITIONS {
            self.0.send(partition.cast_signed(), &MESSAGES);
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // A test that fails leaves its topic to be looked at.
        if !std::thread::panicking() {
            self.0.delete_topic();
        }
    }
}

impl SourceWorld for Own {
    fn source(&self) -> Arc<dyn Source> {
        self.0.source(json!({}))
    }

    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    fn add(&self) -> Growth {
        self.fill();
        Growth::Added(MESSAGES.len() as u64)
    }

    fn recreate(&self) -> Recreation {
        self.0.delete_topic();
        topic::create(&self.0.place(), PARTITIONS, Some(1), &[]).unwrap();
        self.fill();
        Recreation::Another
    }
}

#[test]
fn a_topic_is_a_source() {
    if testkit::servers::kafka().is_none() {
        return;
    }
    source_contract::suite(|| {
        let own = Own(World::new("contract", PARTITIONS, &[]).unwrap());
        own.fill();
        own
    });
}
