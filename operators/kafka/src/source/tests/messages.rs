//! What is a row, and what is not.

use super::*;
use rdkafka::message::{Header, OwnedHeaders};

#[test]
fn aborted_and_open_transactions_are_not_read_and_markers_are_counted_over() {
    let Some(world) = World::new("aborted", 1, &[]) else { return };
    let (one, two) = (world.transactional(), world.transactional());
    world.transaction(&one, 0, &["a", "b"], true); // 0, 1, marker 2
    world.transaction(&one, 0, &["lost", "lost"], false); // 3, 4, marker 5
    world.send(0, &["c"]); // 6
    let source = world.source(json!({}));
    let first = run(&*source, &Checkpoint::default()).unwrap();
    assert_eq!(first.values(0), ["a", "b", "c"]);
    assert_eq!(first.next, checkpoint(&[(0, 7)]));

    two.begin_transaction().unwrap();
    world.send_with(&two, 0, &["open"]); // 7
    two.flush(TIMEOUT).unwrap();
    world.send(0, &["behind"]); // 8, held back by 7
    let held = run(&*source, &first.next).unwrap();
    assert_eq!((held.values(0), held.next), (vec![], checkpoint(&[(0, 7)])), "an open transaction ends what is there");

    two.commit_transaction(TIMEOUT).unwrap(); // marker 9
    world.transaction(&one, 0, &["lost"], false); // 10, marker 11
    let last = run(&*source, &first.next).unwrap();
    assert_eq!(last.values(0), ["open", "behind"]);
    assert_eq!(last.next, checkpoint(&[(0, 12)]), "what only markers follow stands behind them");
    assert_eq!(source.count(&whole(0, 0, 12), &mut |_| {}).unwrap(), Recount::Complete(5));
    assert_eq!(source.count(&whole(0, 2, 7), &mut |_| {}).unwrap(), Recount::Complete(1));
    assert_eq!(
        source.count(&whole(0, 2, 6), &mut |_| {}).unwrap(),
        Recount::Complete(0),
        "a span of nothing but markers and aborted messages"
    );
}

#[test]
fn compacted_messages_leave_gaps_and_are_never_called_lost() {
    let Some(world) = World::new("compacted", 1, &servers::COMPACTED) else { return };
    let source = world.source(json!({}));
    let mut sent = 0;
    // The log is rolled by the next message, and cleaned when the cleaner gets to it.
    let given = loop {
        world.send(0, &[&format!("v{sent}")]);
        sent += 1;
        std::thread::sleep(Duration::from_millis(500));
        let given = run(&*source, &Checkpoint::default()).unwrap();
        assert_eq!(given.next, checkpoint(&[(0, sent)]));
        if given.values(0).len() < usize::try_from(sent).unwrap() {
            break given;
        }
        assert!(sent < 200, "the cleaner never came");
    };
    assert_eq!(given.values(0).last(), Some(&format!("v{}", sent - 1)));
    for from in 0..sent {
        let all = || run(&*source, &Checkpoint::default()).unwrap().messages.remove(&0).unwrap();
        // The cleaner may come again meanwhile.
        let (resumed, all) = loop {
            let before = all();
            let resumed = run(&*source, &checkpoint(&[(0, from)])).unwrap();
            if all() == before {
                break (resumed, before);
            }
        };
        let expected: Vec<_> = all.into_iter().filter(|(offset, ..)| *offset >= from).collect();
        assert_eq!(resumed.messages[&0], expected, "from a position whose message may be gone");
    }
    let recount = source.count(&whole(0, 0, sent), &mut |_| {}).unwrap();
    assert!(matches!(recount, Recount::Partial(rows, Removal::Compaction) if rows < sent), "{recount:?}");
    println!("{sent} messages, {} left", given.values(0).len());
}

#[test]
fn tombstones_and_missing_keys_are_null_and_empty_is_not() {
    let Some(world) = World::new("nulls", 1, &[]) else { return };
    let producer: BaseProducer = world.client_config().create().unwrap();
    let record = || BaseRecord::<[u8], [u8]>::to(&world.topic).partition(0);
    producer.send(record().key(&b"k"[..]).payload(&b"v"[..])).unwrap();
    producer.send(record().key(&b"gone"[..])).unwrap();
    producer.send(record().payload(&b"v"[..])).unwrap();
    producer.send(record().key(&b""[..]).payload(&b""[..])).unwrap();
    producer.send(record()).unwrap();
    producer.flush(TIMEOUT).unwrap();
    let given = run(&*world.source(json!({})), &Checkpoint::default()).unwrap();
    let some = |text: &str| Some(text.as_bytes().to_vec());
    let expected = vec![
        (0, some("k"), some("v")),
        (1, some("gone"), None),
        (2, None, some("v")),
        (3, some(""), some("")),
        (4, None, None),
    ];
    assert_eq!(given.messages[&0], expected);
}

#[test]
fn headers_and_times_come_when_they_are_asked_for() {
    let Some(world) = World::new("columns", 1, &[]) else { return };
    let producer: BaseProducer = world.client_config().create().unwrap();
    let header = |key, value| Header { key, value };
    let headers = OwnedHeaders::new()
        .insert(header("a", Some("1")))
        .insert(header("a", Some("2")))
        .insert(header("none", None))
        .insert(header("", Some("")));
    let record = || BaseRecord::to(&world.topic).partition(0).key("k").payload("v");
    producer.send(record().headers(headers).timestamp(1_700_000_000_123)).unwrap();
    producer.send(record().timestamp(1)).unwrap();
    producer.flush(TIMEOUT).unwrap();
    let source = world.source(json!({ "columns": ["timestamp", "headers", "value"] }));
    let mut reader = source.open(ALL, &checkpoint(&[(0, 0)])).unwrap();
    let chunk = loop {
        if let Read::Rows(chunk, _) = reader.read().unwrap() {
            break chunk;
        }
    };
    let columns: Vec<_> = chunk.rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(columns, ["timestamp", "headers", "value"]);
    let text = arrow::util::display::ArrayFormatter::try_new(chunk.rows.column(1), &Default::default());
    assert_eq!(
        text.unwrap().value(0).to_string(),
        "[{name: a, value: 31}, {name: a, value: 32}, {name: none, value: }, {name: , value: }]"
    );
    let lists = chunk.rows.column(1).as_list::<i32>();
    let values = lists.value(0);
    let values = values.as_struct().column(1);
    assert_eq!((0..4).map(|at| values.is_null(at)).collect::<Vec<_>>(), [false, false, true, false]);
    assert_eq!((lists.value_length(0), lists.value_length(1)), (4, 0));
    let times = chunk.rows.column(0).as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    assert_eq!(times.values().to_vec(), [1_700_000_000_123_000, 1000]);
}

#[test]
fn a_message_larger_than_a_fetch_is_read() {
    let Some(world) = World::new("large", 1, &[("max.message.bytes", "8000000")]) else { return };
    let producer: BaseProducer = world.client_config().set("message.max.bytes", "8000000").create().unwrap();
    let sizes = [10, 5_000_000, 20, 3_000_000, 4_000_000, 30];
    for size in sizes {
        let value = "x".repeat(size);
        producer.send(BaseRecord::<str, str>::to(&world.topic).partition(0).payload(&value)).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
    let given = run(&*world.source(json!({})), &Checkpoint::default()).unwrap();
    assert_eq!(given.values(0).iter().map(String::len).collect::<Vec<_>>(), sizes);
}
