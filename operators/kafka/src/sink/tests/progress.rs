//! The progress topic as brokers leave it: compacted, or cut by somebody.

use super::topics::{create, refusal};
use super::{FLOW, TIMEOUT, World, drive, run};
use crate::client::topic::Client;
use operators_core::stage::Sink;
use rdkafka::admin::{AlterConfig, ResourceSpecifier};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};
use testkit::servers;

#[test]
fn compaction_leaves_the_last_commit_and_where_the_log_begins() {
    let Some(world) = World::new("compacted") else { return };
    let topic = world.of_flow("progress");
    create(&world, &topic, 1, &servers::COMPACTED);
    let mut commits = 0;
    // The log is rolled by the next entry, and cleaned when the cleaner gets to it.
    let left = loop {
        commits += 1;
        drive(&world.sink(), &run("one"), commits).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let left = world.messages(&topic, "read_committed").len() as u64;
        if left < commits {
            break left;
        }
        assert!(commits < 200, "the cleaner never came");
    };
    assert_eq!(world.kafka().progress(FLOW).unwrap().range().unwrap().start, 0);
    world.assert_holds(commits, "after compaction");
    drive(&world.sink(), &run("two"), commits + 1).unwrap();
    world.assert_holds(commits + 1, "after compaction, and on");
    println!("{left} entries are left of {commits} commits");
    world.remove();
}

#[test]
fn a_progress_topic_that_lost_its_commits_is_refused() {
    let Some(world) = World::new("cut") else { return };
    drive(&world.sink(), &run("one"), 2).unwrap();
    let topic = world.of_flow("progress");
    let end = world.kafka().progress(FLOW).unwrap().range().unwrap().end;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(end as i64)).unwrap();
    // Brokers do not cut what is only compacted: somebody had it deleted for a while.
    let policy = |policy| {
        let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("cleanup.policy", policy);
        world.admin(async |admin, options| admin.alter_configs([&change], options).await);
    };
    policy("delete");
    let deadline = Instant::now() + TIMEOUT;
    while world.kafka().progress(FLOW).unwrap().range().unwrap().start < end {
        assert!(Instant::now() < deadline, "it is never cut");
        world.admin(async |admin, options| admin.delete_records(&list, options).await);
    }
    policy("compact");
    let client = Client::new(&world.kafka().place.sibling(topic.clone()), &[]).unwrap();
    let is_compact = || client.settings(["cleanup.policy"]).unwrap() == [Some("compact".to_owned())];
    testkit::wait_for("the old policy", || is_compact().then_some(()));
    let refusals = [world.sink().progress(FLOW).err(), world.sink().open(&run("two")).err()];
    for reason in refusals.map(|error| refusal(error.unwrap())) {
        assert!(reason.contains(&topic) && reason.contains("delete this topic"), "{reason}");
    }
    assert_eq!(world.committed().len(), 2 * 18, "nothing was sent again");
    // What was entered since the cut proves nothing about what was before it.
    let reason = refusal(world.sink().open(&run("three")).err().unwrap());
    assert!(reason.contains("deleted"), "{reason}");
    world.remove();
}
