//! What the library holds between a row and a request: how much of it, and how long.

use super::super::{KafkaConfig, KafkaSink};
use super::{PARTITIONS, World, drive, run, schema};
use crate::config::Context;
use std::sync::Arc;

/// A sink whose file sets one of the library's settings.
fn sink_with(world: &World, name: &str, value: u64) -> KafkaSink {
    let options = serde_json::from_value(serde_json::json!({ name: value })).unwrap();
    let config = KafkaConfig { options, ..world.config() };
    KafkaSink(Arc::new(config.kafka(&schema(), Some(PARTITIONS), &Context { dir: "/".into() }).unwrap()))
}

#[test]
fn a_full_queue_loses_doubles_and_moves_no_message() {
    let Some(world) = World::new("full-queue") else { return };
    drive(&sink_with(&world, "queue.buffering.max.messages", 2), &run("one"), 2).unwrap();
    world.assert_holds(2, "through a queue of two messages");
    world.remove();
}

/// Longer than any call may take: a commit that waited for full batches would fail.
#[test]
fn a_commit_has_all_sent_at_once() {
    let Some(world) = World::new("linger") else { return };
    drive(&sink_with(&world, "linger.ms", 50_000), &run("one"), 2).unwrap();
    world.assert_holds(2, "without waiting for full batches");
    world.remove();
}
