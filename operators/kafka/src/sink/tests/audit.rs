//! What the audit counts, and what it finds.

use super::{FLOW, STEP, World, drive, run};
use operators_core::position::{Position, Span};
use operators_core::stage::{Account, Audit, Finding};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

fn audit(world: &World) -> (Account, Vec<Finding>) {
    let mut findings = Vec::new();
    let account = world.sink().audit(FLOW, &mut |finding| findings.push(finding)).unwrap();
    (account, findings)
}

/// Adds a message that is not the sink's.
fn add(world: &World, topic: &str, key: &[u8], value: &[u8]) {
    let producer: BaseProducer = world.client().create().unwrap();
    producer.send(BaseRecord::to(topic).partition(0).key(key).payload(value)).unwrap();
    producer.flush(super::TIMEOUT).unwrap();
}

fn delete_before(world: &World, topic: &str, offset: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    world.admin(async |admin, options| admin.delete_records(&offsets, options).await);
}

fn assert_one(world: &World, words: &[&str]) {
    let (_, findings) = audit(world);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let Finding { path, problem } = &findings[0];
    assert!(words.iter().all(|word| path.contains(word) || problem.contains(word)), "{path}: {problem}");
}

#[test]
fn what_is_whole_is_counted_and_nothing_is_found() {
    let Some(world) = World::new("whole") else { return };
    assert_eq!(audit(&world), (Account::default(), Vec::new()), "before the first run");
    // Two runs, so that an owner's entry lies between their commits.
    drive(&world.sink(), &run("one"), 2).unwrap();
    drive(&world.sink(), &run("two"), 5).unwrap();
    let (account, findings) = audit(&world);
    assert_eq!(findings, []);
    assert_eq!((account.batches, account.files, account.rows), (5, 0, 5 * 2 * (STEP - 1)));
    assert_eq!((account.totals.written, account.totals.dead_letters), (5 * 2 * (STEP - 1), 10));
    let span = |partition| Span { partition, from: Position(0), to: Position(5 * STEP), rows: 5 * STEP, anchor: None };
    assert_eq!(account.spans, [span(0), span(1)]);
}

#[test]
fn messages_of_others_are_found_among_ours_and_after_them() {
    let Some(world) = World::new("foreign") else { return };
    drive(&world.sink(), &run("one"), 1).unwrap();
    add(&world, &world.topic, b"", b"not ours");
    assert_one(&world, &[&world.topic, "partition 0", "1 messages", "after the last commit"]);
    drive(&world.sink(), &run("two"), 2).unwrap();
    assert_one(&world, &[&world.topic, "partition 0 holds 13 messages", "wrote 12"]);
}

#[test]
fn messages_that_are_gone_are_found() {
    let Some(world) = World::new("gone") else { return };
    drive(&world.sink(), &run("one"), 2).unwrap();
    delete_before(&world, &world.topic, 4);
    let (account, _) = audit(&world);
    assert_eq!(account.rows, 2 * 2 * (STEP - 1) - 4);
    assert_one(&world, &["partition 0 begins at offset 4", "8 of 12 messages"]);
    world.delete(&world.topic);
    assert_one(&world, &["is gone", "36 messages"]);
}

#[test]
fn dead_letters_are_counted() {
    let Some(world) = World::new("letters") else { return };
    drive(&world.sink(), &run("one"), 2).unwrap();
    delete_before(&world, &world.of_flow("dead_letters"), 1);
    assert_one(&world, &["dead_letters", "begins at offset 1", "3 of 4 messages"]);
    world.delete(&world.of_flow("dead_letters"));
    assert_one(&world, &["dead_letters", "is gone", "4 dead letters"]);
}

/// Entries of the progress topic that no run has written.
#[test]
fn a_history_that_contradicts_itself_is_found() {
    let Some(world) = World::new("forged") else { return };
    drive(&world.sink(), &run("one"), 2).unwrap();
    let progress = world.of_flow("progress");
    let commit = || {
        let mut entries = world.messages(&progress, "read_committed");
        entries.retain(|seen| seen.key.as_deref() == Some(b"commit"));
        String::from_utf8(entries.pop().unwrap().value.unwrap()).unwrap()
    };
    let last = commit();
    // A run commits after another one took over.
    drop(operators_core::stage::Sink::open(&world.sink(), &run("two")).unwrap());
    let next = last.replace("\"version\":1", "\"version\":2");
    add(&world, &progress, b"commit", next.as_bytes());
    let (_, findings) = audit(&world);
    let all = findings.iter().map(|finding| finding.problem.as_str()).collect::<Vec<_>>().join("\n");
    assert!(all.contains("run one committed after run two took over"), "{all}");
    assert!(all.contains("add up to"), "its totals are those of the version before: {all}");
    add(&world, &progress, b"commit", last.as_bytes());
    let (_, findings) = audit(&world);
    let all = findings.iter().map(|finding| finding.problem.as_str()).collect::<Vec<_>>().join("\n");
    assert!(all.contains("it came after version 2"), "{all}");
    add(&world, &progress, b"commit", b"{");
    let (_, findings) = audit(&world);
    assert!(findings.iter().any(|finding| finding.problem.contains("no entry")), "{findings:?}");
    let error = operators_core::stage::Sink::open(&world.sink(), &run("three")).err().unwrap();
    assert!(matches!(error, operators_core::Error::Damaged { .. }), "it is not guessed: {error:?}");
}
