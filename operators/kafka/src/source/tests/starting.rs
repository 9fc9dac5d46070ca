//! Where a first run begins, and that no later one does.

use super::*;

#[test]
fn a_first_run_begins_where_the_file_says() {
    let Some(world) = World::new("starts", 2, &[]) else { return };
    let producer: BaseProducer = world.client_config().create().unwrap();
    for (partition, time) in [(0, 1_000_000), (0, 2_000_000), (0, 3_000_000), (1, 1_500_000)] {
        let record = BaseRecord::to(&world.topic).partition(partition).key("k").payload("v").timestamp(time);
        producer.send(record).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
    world.delete_before(0, 1);
    let starts = [
        (json!("earliest"), [1, 0]),
        (json!("latest"), [3, 1]),
        (json!({ "timestamp": "1970-01-01T00:33:20Z" }), [1, 1]),
        (json!({ "timestamp": "1970-01-01T00:33:20.001Z" }), [2, 1]),
        (json!({ "timestamp": "1970-01-01T00:25:00Z" }), [1, 0]),
        (json!({ "timestamp": "2030-01-01T00:00:00Z" }), [3, 1]),
        (json!({ "offsets": { "0": 2 } }), [2, 0]),
    ];
    for (start, expected) in starts {
        let source = world.source(json!({ "start": start }));
        let given = run(&*source, &Checkpoint::default()).unwrap();
        assert_eq!(given.begun, BTreeMap::from([(0, expected[0]), (1, expected[1])]), "{start}");
        assert_eq!(given.next, checkpoint(&[(0, 3), (1, 1)]), "{start}");
        // The same file goes on from its last commit, wherever that is.
        let again = run(&*source, &checkpoint(&[(0, 2), (1, 0)])).unwrap();
        assert_eq!((again.values(0).len(), again.values(1).len()), (1, 1), "{start}");
        assert!(again.begun.is_empty());
    }
    for (partition, offset, words) in [("0", 0, "begins at 1"), ("1", 2, "ends at 1")] {
        let source = world.source(json!({ "start": { "offsets": { partition: offset } } }));
        refused(&run_into_error(&*source, &Checkpoint::default()), &[words]);
    }
    let source = world.source(json!({ "start": { "offsets": { "2": 0 } } }));
    refused(&run_into_error(&*source, &Checkpoint::default()), &["names partition 2", "has 2 partitions"]);
}

#[test]
fn every_partition_has_a_position_from_the_first_commit_on() {
    let Some(world) = World::new("pinned", 3, &[]) else { return };
    world.send(0, &["old"]);
    let source = world.source(json!({ "start": "latest" }));
    let first = run(&*source, &Checkpoint::default()).unwrap();
    assert_eq!(first.next, checkpoint(&[(0, 1), (1, 0), (2, 0)]), "idle partitions too, or they would begin later");
    world.send(1, &["new"]);
    // Another process, from what was committed.
    let next = run(&*world.source(json!({ "start": "latest" })), &first.next).unwrap();
    assert_eq!((next.values(0), next.values(1)), (vec![], vec!["new".to_owned()]));
}

#[test]
fn a_restart_before_the_first_commit_begins_at_the_same_place() {
    let Some(world) = World::new("uncommitted", 1, &[]) else { return };
    world.send(0, &["old"]);
    let source = world.source(json!({ "start": "latest" }));
    source.starts().unwrap();
    drop(source.open(ALL, &Checkpoint::default()).unwrap());
    world.send(0, &["between"]);
    assert_eq!(run(&*source, &Checkpoint::default()).unwrap().values(0), ["between"]);
}

#[test]
fn a_partition_that_is_begun_late_begins_where_the_first_run_did() {
    let Some(world) = World::new("late", 2, &[]) else { return };
    (0..2).for_each(|partition| world.send(partition, &["old"]));
    let source = world.source(json!({ "start": "latest" }));
    let starts = source.starts().unwrap();
    assert_eq!(starts, checkpoint(&[(0, 1), (1, 1)]));
    (0..2).for_each(|partition| world.send(partition, &["new"]));
    assert_eq!(source.starts().unwrap(), starts, "it is asked once");
    // One worker has read, and the other could not be opened before the program or this attempt ended.
    let mut reader = source.open(Share { index: 0, of: 2 }, &Checkpoint::default()).unwrap();
    let mut given = Given::default();
    given.drain(reader.as_mut()).unwrap();
    assert_eq!(given.next, checkpoint(&[(0, 2)]));
    let next = run(&*source, &given.next).unwrap();
    assert_eq!((next.values(0), next.values(1)), (vec![], vec!["new".to_owned()]));
    // What the first commit carries is the same to another program, and a partition that it does not name was added.
    world.add_partitions(3);
    world.send(2, &["added"]);
    let next = run(&*world.source(json!({ "start": "latest" })), &starts).unwrap();
    assert_eq!((0..3).flat_map(|partition| next.values(partition)).collect::<Vec<_>>(), ["new", "new", "added"]);
}

/// Brokers learn of topics one after the other, and one that has just started knows none.
#[test]
fn what_a_broker_learns_of_late_is_not_missing() {
    let Some(world) = World::without_topic("behind") else { return };
    let source = world.source(json!({ "start": { "offsets": { "0": 0 } } }));
    std::thread::scope(|scope| {
        let asked = [
            scope.spawn(|| source.starts().map(|starts| starts.0.len())),
            scope.spawn(|| Ok(usize::from(source.identity()?.is_some()))),
        ];
        std::thread::sleep(Duration::from_millis(300));
        topic::create(&world.place(), 1, Some(1), &[]).unwrap();
        assert_eq!(asked.map(|asked| asked.join().unwrap().unwrap()), [1, 1]);
        let opened = scope.spawn(|| source.open(ALL, &checkpoint(&[(0, 0), (1, 0)])).map(drop));
        std::thread::sleep(Duration::from_millis(300));
        world.add_partitions(2);
        opened.join().unwrap().unwrap();
    });
}

#[test]
fn a_topic_that_does_not_exist_yet_is_waited_for_and_read_whole() {
    let Some(world) = World::without_topic("awaited") else { return };
    let source = world.source(json!({ "start": "latest" }));
    assert_eq!(source.identity().unwrap(), None);
    assert_eq!(source.starts().unwrap(), Checkpoint::default());
    let mut reader = source.open(ALL, &Checkpoint::default()).unwrap();
    let mut given = Given::default();
    assert!(given.read(reader.as_mut()).unwrap(), "there is nothing");
    assert_eq!(reader.lag().unwrap().total(), None);
    topic::create(&world.place(), 2, Some(1), &[]).unwrap();
    world.send(0, &["a"]);
    world.send(1, &["b"]);
    given.drain(reader.as_mut()).unwrap();
    assert_eq!((given.values(0), given.values(1)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    refused(
        &run_into_error(&*World { topic: "none".into(), ..world }.source(json!({})), &checkpoint(&[(0, 1)])),
        &["does not exist any more"],
    );
}

#[test]
fn workers_share_the_partitions_and_none_is_read_twice() {
    let Some(world) = World::new("shared", 5, &[]) else { return };
    (0..5).for_each(|partition| world.send(partition, &["x", "y"]));
    let source = world.source(json!({}));
    let mut read = Vec::new();
    for index in 0..3 {
        let mut reader = source.open(Share { index, of: 3 }, &Checkpoint::default()).unwrap();
        let mut given = Given::default();
        given.drain(reader.as_mut()).unwrap();
        assert!(given.messages.values().all(|messages| messages.len() == 2 || messages.is_empty()));
        read.extend(given.begun.into_keys());
        assert_eq!(reader.lag().unwrap().total(), Some(0));
    }
    read.sort_unstable();
    assert_eq!(read, [0, 1, 2, 3, 4]);
}
