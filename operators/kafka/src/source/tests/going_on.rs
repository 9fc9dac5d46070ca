//! Going on from a position, and stopping where that cannot be.

use super::*;
use crate::client::batch::SETTINGS;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

#[test]
fn every_position_is_gone_on_from_exactly() {
    let Some(world) = World::new("resumed", 1, &[]) else { return };
    let values: Vec<_> = (0..20).map(|number| format!("v{number}")).collect();
    world.send(0, &values.iter().map(String::as_str).collect::<Vec<_>>());
    let source = world.source(json!({}));
    for from in 0..=20 {
        let given = run(&*source, &checkpoint(&[(0, from)])).unwrap();
        assert_eq!(given.values(0), values[usize::try_from(from).unwrap()..], "from {from}");
        assert_eq!(given.next, checkpoint(&[(0, 20)]));
        let mut reader = source.open(ALL, &checkpoint(&[(0, from)])).unwrap();
        assert_eq!(reader.lag().unwrap().total(), Some(20 - from));
    }
}

#[test]
fn a_position_that_is_gone_stops_the_flow_with_the_numbers() {
    let Some(world) = World::new("deleted", 2, &[]) else { return };
    world.send(0, &["a", "b", "c", "d"]);
    let source = world.source(json!({}));
    let mut told = 0;
    assert_eq!(source.count(&whole(0, 0, 4), &mut |rows| told += rows).unwrap(), Recount::Complete(4));
    assert_eq!(told, 4, "each is told as it is read");
    world.delete_before(0, 3);
    refused(
        &run_into_error(&*source, &checkpoint(&[(0, 1), (1, 0)])),
        &["partition 0 begins at 3", "stands at 1", "2 offsets are gone", "start the flow anew"],
    );
    assert_eq!(run(&*source, &checkpoint(&[(0, 3)])).unwrap().values(0), ["d"]);
    let count = |span: Span| source.count(&span, &mut |_| {}).unwrap();
    assert_eq!(count(whole(0, 0, 4)), Recount::Partial(1, Removal::Retention));
    assert_eq!(count(whole(0, 3, 4)), Recount::Complete(1));
    let truncated = count(whole(0, 3, 5));
    assert!(matches!(&truncated, Recount::Truncated(1, reason) if reason.contains("ends at 4")), "{truncated:?}");
    assert_eq!(count(whole(7, 0, 5)), Recount::Gone);
}

#[test]
fn a_position_beyond_the_end_stops_the_flow_with_the_numbers() {
    let Some(world) = World::new("truncated", 1, &[]) else { return };
    world.send(0, &["a", "b"]);
    let source = world.source(json!({}));
    refused(&run_into_error(&*source, &checkpoint(&[(0, 5)])), &["partition 0 ends at 2", "stands at 5", "truncated"]);
    refused(
        &run_into_error(&*source, &checkpoint(&[(0, 2), (4, 1)])),
        &["has 1 partitions", "stands at 1 of partition 4"],
    );
}

/// A log that was cut and written to again has every offset, of other epochs. As such a log is hard to come by, the
/// stored anchors are another log's here.
#[test]
fn a_position_belongs_to_the_message_before_it() {
    let Some(world) = World::new("anchored", 1, &[]) else { return };
    let producer = world.transactional();
    world.transaction(&producer, 0, &["a", "b", "c"], true);
    let source = world.source(json!({}));
    let given = run(&*source, &Checkpoint::default()).unwrap();
    let anchor = given.anchors.0[&0];
    let recount = |anchor: Anchor| {
        let source = world.source(json!({}));
        source.anchored(&Anchors([(0, anchor)].into()));
        source.count(&whole(0, 0, 4), &mut |_| {}).unwrap()
    };
    assert_eq!(recount(anchor), Recount::Complete(3));
    for other in [Anchor { epoch: anchor.epoch + 1, ..anchor }, Anchor { at: Position(3), ..anchor }] {
        let found = recount(other);
        assert!(matches!(&found, Recount::Truncated(3, why) if why.contains("was cut before 4")), "{found:?}");
    }
    assert_eq!(
        (given.next, anchor.at),
        (checkpoint(&[(0, 4)]), Position(2)),
        "behind it is the end of the transaction"
    );
    let run = |anchor: Anchor, from: u64| {
        let source = world.source(json!({}));
        source.anchored(&Anchors([(0, anchor)].into()));
        run(&*source, &checkpoint(&[(0, from)]))
    };
    let same = run(anchor, 4).unwrap();
    assert_eq!((same.values(0), same.anchors.0.is_empty()), (vec![], true));
    world.send(0, &["d"]);
    let same = run(anchor, 4).unwrap();
    assert_eq!((same.values(0), same.anchors.0[&0].at), (vec!["d".to_owned()], Position(4)));

    let cut = "partition 0 was cut before 4, where the flow stands, and written to again";
    let other = Anchor { epoch: anchor.epoch + 1, ..anchor };
    let was = format!("2 of leader epoch {}, and now there is 2 of leader epoch {}", other.epoch, anchor.epoch);
    refused(&run(other, 4).unwrap_err(), &[cut, &was]);
    let before = Anchor { at: Position(1), ..anchor };
    refused(&run(before, 4).unwrap_err(), &[cut, "the last message read was 1 of", "now there is 2 of"]);
    // The message in its place was aborted, or is the end of a transaction.
    let gone = Anchor { at: Position(3), ..anchor };
    refused(&run(gone, 4).unwrap_err(), &[cut, "the last message read was 3 of", "it is not there any more"]);
    // What retention took cannot be compared.
    world.delete_before(0, 3);
    assert_eq!(run(other, 4).unwrap().values(0), ["d"]);
}

#[test]
fn compaction_may_have_taken_the_message_before_a_position() {
    let Some(world) = World::new("compacted-anchor", 1, &[("cleanup.policy", "compact")]) else { return };
    let producer = world.transactional();
    world.transaction(&producer, 0, &["a", "b"], true);
    world.send(0, &["c"]);
    let source = world.source(json!({}));
    let gone = Anchor { at: Position(2), epoch: 0 };
    source.anchored(&Anchors([(0, gone)].into()));
    let given = run(&*source, &checkpoint(&[(0, 3)])).unwrap();
    assert_eq!((given.values(0), given.anchors.0[&0].at), (vec!["c".to_owned()], Position(3)));
}

#[test]
fn messages_deleted_under_a_running_flow_stop_it() {
    let Some(world) = World::new("overtaken", 1, &[]) else { return };
    let value = "x".repeat(1000);
    world.send(0, &vec![value.as_str(); 3000]);
    // It fetches little at a time, so that most is not fetched yet when it is gone.
    let options = json!({ "queued.max.messages.kbytes": 1, "max.partition.fetch.bytes": 10_000 });
    let source = world.source(json!({ "options": options }));
    let mut reader = source.open(ALL, &Checkpoint::default()).unwrap();
    let mut given = Given::default();
    while given.values(0).is_empty() {
        given.read(reader.as_mut()).unwrap();
    }
    world.delete_before(0, 2990);
    let error = given.drain(reader.as_mut()).expect_err("nothing may be skipped");
    let next = given.next.position(0).unwrap();
    assert!(next.0 < 2990);
    refused(&error, &["partition 0 begins at 2990", &format!("stands at {next}")]);
}

#[test]
fn a_topic_of_the_same_name_is_another_topic() {
    let Some(world) = World::new("recreated", 1, &[]) else { return };
    world.send(0, &["a", "b"]);
    let source = world.source(json!({}));
    let before = source.identity().unwrap().unwrap();
    let mut reader = source.open(ALL, &Checkpoint::default()).unwrap();
    let mut given = Given::default();
    given.drain(reader.as_mut()).unwrap();
    world.delete_topic();
    topic::create(&world.place(), 1, Some(1), &[]).unwrap();
    // Its offsets are valid by chance.
    world.send(0, &["other", "other", "other"]);
    let after = world.source(json!({})).identity().unwrap().unwrap();
    assert_ne!(before, after, "the identity tells one from the other");
    refused(&given.drain(reader.as_mut()).expect_err("while it runs"), &["deleted and created again", &before, &after]);
    refused(&run_into_error(&*source, &given.next), &["deleted and created again"]);
    refused(&source.identity().expect_err("by its id"), &["deleted and created again"]);
}

#[test]
fn a_topic_deleted_under_a_running_flow_stops_it() {
    let Some(world) = World::new("vanished", 1, &[]) else { return };
    world.send(0, &["a"]);
    let source = world.source(json!({}));
    let mut reader = source.open(ALL, &Checkpoint::default()).unwrap();
    let mut given = Given::default();
    given.drain(reader.as_mut()).unwrap();
    world.delete_topic();
    // One broker may be behind the others, so that only the next reader says it for good.
    let error = given.drain(reader.as_mut()).expect_err("it is gone");
    assert!(matches!(&error, Error::Unavailable { reason, .. } if reason.contains("is gone")), "{error}");
    refused(&run_into_error(&*source, &given.next), &["does not exist any more"]);
}

#[test]
fn partitions_added_while_it_runs_are_read_from_their_beginning() {
    let Some(world) = World::new("widened", 1, &[]) else { return };
    world.send(0, &["a"]);
    let source = world.source(json!({ "start": "latest" }));
    source.starts().unwrap();
    let mut reader = source.open(ALL, &Checkpoint::default()).unwrap();
    let mut given = Given::default();
    given.drain(reader.as_mut()).unwrap();
    world.add_partitions(3);
    world.send(1, &["b", "c"]);
    // What was there before the call is read before it says that all is read, in partitions it did not know too.
    given.drain(reader.as_mut()).unwrap();
    assert_eq!((given.values(0), given.values(1)), (vec![], vec!["b".to_owned(), "c".to_owned()]));
    assert_eq!(given.next, checkpoint(&[(0, 1), (1, 2), (2, 0)]));
    // Added while it was away.
    world.add_partitions(4);
    world.send(3, &["d"]);
    assert_eq!(run(&*source, &given.next).unwrap().values(3), ["d"]);
}

#[test]
fn all_that_was_committed_before_is_read_before_it_is_caught_up() {
    let Some(world) = World::new("drained", 4, &[]) else { return };
    // The broker keeps what it has for a second, so that for a second nothing comes.
    let options = json!({ "fetch.min.bytes": 1_000_000, "fetch.wait.max.ms": 1000 });
    let source = world.source(json!({ "options": options }));
    let mut reader = source.open(ALL, &Checkpoint::default()).unwrap();
    let mut given = Given::default();
    let producer = world.transactional();
    for round in 1..=3 {
        // One partition at a time, and only markers behind it: the others are idle.
        world.transaction(&producer, round % 4, &["x"], true);
        given.drain(reader.as_mut()).unwrap();
        let read: usize = given.messages.values().map(Vec::len).sum();
        assert_eq!(read, usize::try_from(round).unwrap(), "caught up before all was read");
    }
    assert_eq!(reader.lag().unwrap().total(), Some(0));
}

#[test]
fn the_offsets_of_a_group_are_shown_and_never_read() {
    let Some(world) = World::new("grouped", 2, &[]) else { return };
    world.send(0, &["a", "b", "c"]);
    let group = testkit::unique("group");
    let source = world.source(json!({ "group": group }));
    let mut config = world.client_config();
    config.remove("message.timeout.ms").set("group.id", &group).set("enable.auto.commit", "false");
    let other: BaseConsumer = config.create().unwrap();
    let shown = || {
        let mut list = TopicPartitionList::new();
        list.add_partition(&world.topic, 0);
        list.add_partition(&world.topic, 1);
        // A broker that has just started may not know yet who coordinates the group.
        let committed = other.committed_offsets(list, TIMEOUT).ok()?;
        let elements = committed.elements();
        Some(elements.iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset).collect::<Vec<_>>())
    };
    eventually(|| shown() == Some(vec![Offset::Invalid, Offset::Invalid]));
    let given = run(&*source, &Checkpoint::default()).unwrap();
    source.committed(&given.next);
    eventually(|| shown() == Some(vec![Offset::Offset(3), Offset::Offset(0)]));

    // Somebody moves the group forth and back; the flow does not care.
    world.send(0, &["d"]);
    for moved in [4, 1] {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&world.topic, 0, Offset::Offset(moved)).unwrap();
        other.commit(&list, CommitMode::Sync).unwrap();
        let next = run(&*world.source(json!({ "group": group })), &given.next).unwrap();
        assert_eq!(next.values(0), ["d"], "with the group at {moved}");
    }
    source.committed(&checkpoint(&[(0, 4), (1, 0)]));
    eventually(|| shown() == Some(vec![Offset::Offset(4), Offset::Offset(0)]));
    // A run that ends right after its last commit shows that too.
    let source = world.source(json!({ "group": group }));
    source.committed(&checkpoint(&[(0, 2), (1, 0)]));
    source.ended();
    assert_eq!(shown(), Some(vec![Offset::Offset(2), Offset::Offset(0)]));
}

#[test]
fn what_librdkafka_holds_for_us_is_bounded() {
    let Some(world) = World::new("held", 2, &[]) else { return };
    let messages = 400_000_u64;
    let producer: BaseProducer = world.client_config().set("queue.buffering.max.messages", "1000000").create().unwrap();
    for number in 0..messages {
        let partition = i32::try_from(number % 2).unwrap();
        producer
            .send(
                BaseRecord::<str, str>::to(&world.topic).partition(partition).payload("012345678901234567890123456789"),
            )
            .unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
    let client = topic::Client::new(&world.place(), SETTINGS).unwrap();
    let mut batches = crate::client::batch::Batches::new(client).unwrap();
    (0..2).for_each(|partition| batches.start(partition, 0).unwrap());
    // Nobody takes anything until no more comes.
    let mut held = 0;
    let mut same = 0;
    while same < 10 {
        std::thread::sleep(Duration::from_millis(100));
        let now = batches.held();
        same = if now == held && now > 0 { same + 1 } else { 0 };
        held = now;
    }
    println!("{held} of {messages} messages are held");
    assert!(held < 70_000, "{held} messages of some 250 bytes each are more than 16 MiB");
}
