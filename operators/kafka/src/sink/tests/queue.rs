//! What the library holds between a row and a request: how much of it, and how long.

use super::topics::{create, row_of};
use super::{KafkaSink, PARTITIONS, World, drive, run};
use operators_core::stage::Sink;
use std::sync::Arc;

fn sink_with(world: &World, name: &str, value: u64) -> KafkaSink {
    KafkaSink(Arc::new(world.kafka_with(name, value)))
}

#[test]
fn a_full_queue_loses_doubles_and_moves_no_message() {
    let Some(world) = World::new("full-queue") else { return };
    drive(&sink_with(&world, "queue.buffering.max.messages", 2), &run("one"), 2).unwrap();
    world.assert_holds(2, "through a queue of two messages");
    world.remove();
}

/// Otherwise it would wait for room without end.
#[test]
fn the_largest_message_of_a_topic_fits_into_the_queue() {
    const LIMIT: usize = 4_000_000;
    let Some(world) = World::new("queue-of-one") else { return };
    create(&world, &world.topic, PARTITIONS as i32, &[("max.message.bytes", &LIMIT.to_string())]);
    for sink in [world.sink(), sink_with(&world, "queue.buffering.max.kbytes", 1_000)] {
        let mut opened = sink.open(&run("one")).unwrap();
        opened.committer.commit(row_of(&sink, LIMIT - 1_000, opened.progress.as_ref())).unwrap();
    }
    assert_eq!(world.committed().len(), 2);
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
