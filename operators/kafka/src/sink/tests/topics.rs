//! What the sink creates, refuses and leaves alone; what it finds however long its history is.

use super::super::record::{Entry, Record};
use super::super::size;
use super::{Context, Create, FLOW, KafkaConfig, PARTITIONS, Seen, World, batch, drive, positions, rows, run, schema};
use arrow::array::{ArrayRef, BinaryArray, RecordBatch, UInt64Array};
use codecs::murmur2;
use operators_core::Error;
use operators_core::chunk::Chunk;
use operators_core::position::Anchors;
use operators_core::progress::{Commit, Fingerprint, Progress, Tally, Version};
use operators_core::stage::{Closing, Sink};
use rdkafka::admin::{NewPartitions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn refusal(error: Error) -> String {
    match error {
        Error::Refused { place, reason } => format!("{place}: {reason}"),
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) fn create(world: &World, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let created = world.admin(async |admin, options| admin.create_topics([&new], options).await);
    assert!(created.iter().all(Result::is_ok), "{created:?}");
    let client: BaseConsumer = world.client().create().unwrap();
    while client.fetch_metadata(Some(topic), super::TIMEOUT).unwrap().topics()[0].error().is_some() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn looking_creates_nothing_and_a_missing_topic_is_refused() {
    let Some(world) = World::new("missing") else { return };
    assert_eq!(world.sink().progress(FLOW).unwrap(), None);
    let config = KafkaConfig { create: None, ..world.config() };
    let kafka = config.kafka(&schema(), Some(PARTITIONS), &Context { dir: "/".into() }).unwrap();
    let sink = super::KafkaSink(Arc::new(kafka));
    let reason = refusal(sink.open(&run("one")).err().unwrap());
    assert!(reason.contains("no such topic") && reason.contains(&world.topic), "{reason}");
    let client: BaseConsumer = world.client().create().unwrap();
    let topics = client.fetch_metadata(None, super::TIMEOUT).unwrap();
    assert!(topics.topics().iter().all(|topic| !topic.name().contains(&world.topic)), "something was created");
}

#[test]
fn a_topic_that_a_broker_learns_of_late_is_not_missing() {
    let Some(world) = World::new("late") else { return };
    let config = KafkaConfig { create: None, ..world.config() };
    let kafka = config.kafka(&schema(), Some(PARTITIONS), &Context { dir: "/".into() }).unwrap();
    let sink = super::KafkaSink(Arc::new(kafka));
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| sink.open(&run("one")).map(drop));
        std::thread::sleep(Duration::from_millis(300));
        create(&world, &world.topic, PARTITIONS as i32, &[]);
        opened.join().unwrap().unwrap();
    });
    world.remove();
}

#[test]
fn another_number_of_partitions_is_refused_before_and_while_it_runs() {
    let Some(world) = World::new("partitions") else { return };
    create(&world, &world.topic, 5, &[]);
    let reason = refusal(world.sink().open(&run("one")).err().unwrap());
    assert!(reason.contains("has 5 partitions") && reason.contains("asks for 3"), "{reason}");

    let world = World::new("partitions").unwrap();
    let sink = world.sink();
    let mut committer = sink.open(&run("one")).unwrap().committer;
    let first = batch(&sink, &run("one"), None, 0);
    let last = first.progress.clone();
    committer.commit(first).unwrap();
    let more = NewPartitions::new(&world.topic, 4);
    world.admin(async |admin, options| admin.create_partitions([&more], options).await);
    let client: BaseConsumer = world.client().create().unwrap();
    while client.fetch_metadata(Some(&world.topic), super::TIMEOUT).unwrap().topics()[0].partitions().len() < 4 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let reason = refusal(committer.commit(batch(&sink, &run("one"), Some(&last), 0)).unwrap_err());
    assert!(reason.contains("has 4 partitions"), "{reason}");
    world.assert_holds(1, "after partitions were added");
    let wrong = Create { partitions: Some(4), replication: None };
    let config = KafkaConfig { create: Some(wrong), ..world.config() };
    let problems = config.kafka(&schema(), Some(PARTITIONS), &Context { dir: "/".into() }).err().unwrap();
    assert_eq!(problems[0].at, ["create", "partitions"]);
}

#[test]
fn a_topic_that_was_deleted_is_refused_before_and_while_it_runs() {
    let Some(world) = World::new("recreated") else { return };
    let sink = world.sink();
    let mut committer = sink.open(&run("one")).unwrap().committer;
    let first = batch(&sink, &run("one"), None, 0);
    let last = first.progress.clone();
    committer.commit(first).unwrap();
    world.delete(&world.topic);
    let reason = refusal(sink.open(&run("two")).err().unwrap());
    assert!(reason.contains("deleted") && reason.contains("18 messages"), "{reason}");
    create(&world, &world.topic, PARTITIONS as i32, &[]);
    let reason = refusal(committer.commit(batch(&sink, &run("one"), Some(&last), 0)).unwrap_err());
    assert!(reason.contains("created again"), "{reason}");
    let reason = refusal(sink.open(&run("two")).err().unwrap());
    assert!(reason.contains("deleted"), "{reason}");
    assert_eq!(world.committed().len(), 0, "nothing was sent to the new topic");
    // What the refusal says helps, once the program is started again.
    world.delete(&world.of_flow("progress"));
    world.delete(&world.of_flow("dead_letters"));
    drive(&world.sink(), &run("three"), 2).unwrap();
    world.assert_holds(2, "all anew");
}

#[test]
fn positions_are_not_kept_where_they_would_be_deleted() {
    let Some(world) = World::new("forgets") else { return };
    create(&world, &world.of_flow("progress"), 1, &[("cleanup.policy", "compact,delete")]);
    let reason = refusal(world.sink().open(&run("one")).err().unwrap());
    assert!(reason.contains("cleanup.policy") && reason.contains("progress"), "{reason}");
}

/// One batch of one row, of which the value has so many bytes.
pub(super) fn row_of(sink: &dyn Sink, bytes: usize, last: Option<&Progress>) -> Commit {
    let keys: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"key"]));
    let values: ArrayRef = Arc::new(BinaryArray::from_vec(vec![&vec![b'v'; bytes][..]]));
    let rows = RecordBatch::try_from_iter_with_nullable([("key", keys, true), ("value", values, true)]).unwrap();
    let chunk = Chunk { partition: 1, ..Chunk::new(4, UInt64Array::from(vec![77]), rows) };
    let mut commit = batch(sink, &run("one"), last, 0);
    let mut writer = sink.writer(&run("one"), 0).unwrap();
    writer.write(chunk).unwrap();
    commit.receipts = vec![writer.close(&Closing::default()).unwrap()];
    let one = Tally { read: 1, written: 1, ..Tally::default() };
    commit.progress.totals = last.map_or(Tally::default(), |last| last.totals);
    commit.progress.totals += one;
    Commit { tally: one, ..commit }
}

/// Our reckoning of a message's size is the brokers': the largest that they take passes, one byte more is an error
/// that names the row.
#[test]
fn a_message_that_is_too_large_is_named() {
    const LIMIT: usize = 5_000;
    let Some(world) = World::new("large") else { return };
    create(&world, &world.topic, PARTITIONS as i32, &[("max.message.bytes", &LIMIT.to_string())]);
    let sink = world.sink();
    let value = (0..LIMIT).rev().find(|&n| size::alone(Some(b"key"), Some(&vec![0; n]), []) <= LIMIT as u64).unwrap();
    let mut committer = sink.open(&run("one")).unwrap().committer;
    let largest = row_of(&sink, value, None);
    let last = largest.progress.clone();
    committer.commit(largest).unwrap();
    assert_eq!(world.committed().len(), 1);
    let error = committer.commit(row_of(&sink, value + 1, Some(&last))).unwrap_err();
    let Error::Value { stage: "sink.kafka", partition: 4, position, reason, .. } = &error else { panic!("{error:?}") };
    assert_eq!(position.0, 77);
    assert!(reason.contains("5001 bytes") && reason.contains("5000") && reason.contains(&world.topic), "{reason}");
    assert_eq!(world.committed().len(), 1, "nothing of the batch is seen");

    // Many rows at once are cut into batches that the topic takes.
    let mut committer = sink.open(&run("one")).unwrap().committer;
    committer.commit(batch(&sink, &run("one"), Some(&last), 0)).unwrap();
    assert_eq!(world.committed().len(), 1 + 18);
}

/// The brokers themselves say that a byte more is too much.
#[test]
fn the_limit_is_not_lower_than_the_brokers() {
    const LIMIT: usize = 5_000;
    let Some(world) = World::new("limit") else { return };
    create(&world, &world.topic, 1, &[("max.message.bytes", &LIMIT.to_string())]);
    let producer: BaseProducer = world.client().create().unwrap();
    let value = (0..LIMIT).rev().find(|&n| size::alone(None, Some(&vec![0; n]), []) <= LIMIT as u64).unwrap();
    for bytes in [value + 1, value] {
        let value = vec![b'v'; bytes];
        producer.send(BaseRecord::<(), _>::to(&world.topic).partition(0).payload(&value)).unwrap();
        producer.flush(super::TIMEOUT).unwrap();
    }
    let seen: Vec<_> = world.committed().into_iter().map(|seen| seen.value.unwrap().len()).collect();
    assert_eq!(seen, [value]);
}

/// Our partitions are those that librdkafka's murmur2 gives, which are Java's.
#[test]
fn keys_go_where_other_clients_put_them() {
    let Some(world) = World::new("murmur2") else { return };
    create(&world, &world.topic, 7, &[]);
    let mut config = world.client();
    let producer: BaseProducer = config.set("partitioner", "murmur2").create().unwrap();
    for number in 0..500_u32 {
        let key = format!("station-{}", number * number);
        producer.send(BaseRecord::to(&world.topic).key(&key).payload("")).unwrap();
    }
    producer.flush(super::TIMEOUT).unwrap();
    let seen = world.committed();
    assert_eq!(seen.len(), 500);
    for Seen { partition, key, .. } in seen {
        assert_eq!(murmur2::partition(&key.unwrap(), 7) as i32, partition);
    }
}

#[test]
fn dead_letters_say_what_is_wrong_with_them() {
    let Some(world) = World::new("rejected") else { return };
    drive(&world.sink(), &run("one"), 1).unwrap();
    let letters = world.messages(&world.of_flow("dead_letters"), "read_committed");
    let mut values: Vec<_> = letters.iter().map(|seen| seen.value.as_deref()).collect();
    values.sort_unstable();
    assert_eq!(values, [None, Some(&b"raw"[..])]);
    assert!(letters.iter().all(|seen| seen.headers == 4 && seen.key.is_none()), "{letters:?}");

    // Where nothing may be created, they are refused and with them their batch.
    let world = World::new("rejected").unwrap();
    create(&world, &world.topic, PARTITIONS as i32, &[]);
    let config = KafkaConfig { create: None, ..world.config() };
    let kafka = config.kafka(&schema(), Some(PARTITIONS), &Context { dir: "/".into() }).unwrap();
    let sink = super::KafkaSink(Arc::new(kafka));
    let reason = refusal(drive(&sink, &run("one"), 1).unwrap_err());
    assert!(reason.contains("dead_letters"), "{reason}");
    assert_eq!((world.committed().len(), sink.progress(FLOW).unwrap()), (0, None));
}

fn record(version: u64) -> Record {
    let progress = Progress {
        version: Version(version),
        run: run("long"),
        fingerprint: Fingerprint::default(),
        source: None,
        positions: positions(version + 1),
        anchors: Anchors::default(),
        totals: Tally::default(),
    };
    let rows = Default::default();
    Record { progress, tally: Tally::default(), spans: Vec::new(), topic: None, rows, dead_letters: None }
}

/// However long the history, a few reads of its end find the last commit; what consumer groups say is not asked.
#[test]
fn progress_is_found_at_the_end_of_a_long_history() {
    const COMMITS: u64 = 10_000;
    let Some(world) = World::new("history") else { return };
    drop(world.sink().open(&run("first")).unwrap());
    let topic = world.of_flow("progress");
    let mut config = world.client();
    let producer: ThreadedProducer<DefaultProducerContext> = config.set("transactional.id", &topic).create().unwrap();
    producer.init_transactions(super::TIMEOUT).unwrap();
    let append = |version: u64| {
        let entry = Entry::Commit(Box::new(record(version)));
        let value = serde_json::to_vec(&entry).unwrap();
        producer.send(BaseRecord::to(&topic).key(entry.key()).payload(&value)).unwrap();
    };
    for versions in (0..COMMITS).collect::<Vec<_>>().chunks(100) {
        producer.begin_transaction().unwrap();
        versions.iter().copied().for_each(append);
        producer.commit_transaction(super::TIMEOUT).unwrap();
    }
    let look = || world.kafka().progress(FLOW).unwrap().look().unwrap().unwrap();
    let version = |held: &super::super::progress::Held| held.last.as_ref().map(|last| last.progress.version);
    // Readers see a commit a moment after its producer is told.
    let is_last = |held: &_| version(held) == Some(Version(COMMITS - 1));
    let held = testkit::wait_for("the last commit", || Some(look()).filter(is_last));
    assert_eq!(held.reads, 1);

    // Transactions that failed since then lie between.
    for _ in 0..60 {
        producer.begin_transaction().unwrap();
        append(COMMITS + 7);
        producer.flush(super::TIMEOUT).unwrap();
        producer.abort_transaction(super::TIMEOUT).unwrap();
    }
    let held = look();
    assert_eq!((version(&held), held.reads), (Some(Version(COMMITS - 1)), 2));

    // Nor do offsets that somebody commits for a group of that name matter.
    for group in [&topic, &format!("{}.weather.test", world.topic)] {
        let consumer: BaseConsumer = config.clone().set("group.id", group).create().unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&topic, 0, Offset::Offset(3)).unwrap();
        // A coordinator may be loading the group, or be made with it.
        testkit::wait_for("a commit of the group", || consumer.commit(&offsets, CommitMode::Sync).ok());
    }
    let opened = world.sink().open(&run("next")).unwrap();
    assert_eq!(opened.progress.map(|last| last.version), Some(Version(COMMITS - 1)));
}

#[test]
fn rows_of_a_partition_that_the_topic_has_not_are_refused() {
    let Some(world) = World::new("stray") else { return };
    let sink = world.sink();
    let mut committer = sink.open(&run("one")).unwrap().committer;
    let mut commit = batch(&sink, &run("one"), None, 0);
    let mut writer = sink.writer(&run("one"), 0).unwrap();
    let stray = Chunk { partition: PARTITIONS, ..rows(0, 0..1) };
    writer.write(stray).unwrap();
    commit.receipts = vec![writer.close(&Closing::default()).unwrap()];
    commit.tally = Tally { read: 1, written: 1, ..Tally::default() };
    let error = committer.commit(commit).unwrap_err();
    assert!(error.to_string().contains("partition 3 of 3"), "{error}");
    assert_eq!((world.committed().len(), sink.progress(FLOW).unwrap()), (0, None));
}
