//! What the topic source reads, waits for and refuses.

use super::{ALL, PARTITIONS, Target, drive, execute, folder, read_all, recount, refusal, run, source};
use crate::database::failpoint::Failpoints;
use arrow::array::{Array, AsArray};
use operators_core::Error;
use operators_core::position::{Checkpoint, Position, Span};
use operators_core::stage::{Read, Recount, Removal, Share};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const SOURCE: &str = r#"{"topic": {"url": "sqlite:weather.db", "topic": "temper\"atures"}}"#;
const CREATE: &str = "CREATE TABLE topics (name TEXT PRIMARY KEY, id TEXT, partitions INTEGER);
    CREATE TABLE messages (topic, partition, \"offset\", timestamp, key, value, PRIMARY KEY (topic, partition, \"offset\")) WITHOUT ROWID;
    INSERT INTO topics VALUES ('temper\"atures', 'one', 2);";

/// Messages `[from, to)` of a partition.
fn insert(partition: u32, from: u64, to: u64) -> String {
    format!(
        "INSERT INTO messages SELECT 'temper\"atures', {partition}, value, 0, NULL, CAST('{partition}:' || value AS BLOB) \
         FROM (WITH RECURSIVE n(value) AS (SELECT {from} UNION ALL SELECT value + 1 FROM n WHERE value + 1 < {to}) SELECT * FROM n);"
    )
}

fn checkpoint(positions: &[u64]) -> Checkpoint {
    Checkpoint((0..).zip(positions.iter().map(|&position| Position(position))).collect())
}

/// All messages there are, per partition, after checking that their spans follow each other.
fn messages(dir: &Path, share: Share, from: &Checkpoint) -> BTreeMap<u32, Vec<String>> {
    let built = source(dir, SOURCE);
    let mut reader = built.source.open(share, from).unwrap();
    let mut next = from.clone();
    let mut all: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (chunk, span) in read_all(&mut *reader).unwrap() {
        assert!(share.owns(chunk.source) && chunk.partition == chunk.source);
        assert_eq!(span.from, next.position(span.partition).unwrap_or_default());
        next.advance(&span).unwrap();
        assert!(chunk.positions.values().iter().copied().eq(span.from.0..span.to.0));
        assert_eq!(recount(&built, &span), Recount::Complete(span.rows));
        let values = chunk.rows.column_by_name("value").unwrap().as_binary::<i32>();
        let texts = values.iter().map(|value| String::from_utf8(value.unwrap().to_vec()).unwrap());
        all.entry(chunk.source).or_default().extend(texts);
    }
    // A share without a partition cannot tell.
    assert_eq!(reader.lag().unwrap().total().unwrap_or(0), 0);
    all
}

#[test]
fn reads_what_the_sink_wrote_from_anywhere_with_any_number_of_workers() {
    let dir = folder();
    drive(&*Target::Topic.sink(dir.path(), Failpoints::default()), &run("one"), 5).unwrap();
    let whole = messages(dir.path(), ALL, &Checkpoint::default());
    assert_eq!(whole.values().map(Vec::len).sum::<usize>(), 5 * 18);
    let mut starts = 0;
    for from in 0..=30 {
        let from = checkpoint(&[from, 30 - from, 7]);
        let mut joined = BTreeMap::new();
        for index in 0..4 {
            joined.extend(messages(dir.path(), Share { index, of: 4 }, &from));
        }
        for partition in 0..PARTITIONS {
            let rest = &whole[&partition][from.position(partition).unwrap().0 as usize..];
            assert_eq!(joined.get(&partition).map_or(&[][..], Vec::as_slice), rest);
        }
        starts += 1;
    }
    println!("90 messages read from {starts} positions by 4 workers");
}

#[test]
fn keys_and_values_keep_their_nulls() {
    let dir = folder();
    let null =
        "INSERT INTO messages VALUES ('temper\"atures', 0, 0, 0, NULL, x'01'), ('temper\"atures', 0, 1, 0, x'', NULL)";
    execute(dir.path(), &format!("{CREATE}{null}"));
    let mut reader = source(dir.path(), SOURCE).source.open(ALL, &Checkpoint::default()).unwrap();
    let (chunk, _) = &read_all(&mut *reader).unwrap()[0];
    let (keys, values) = (chunk.rows.column(0).as_binary::<i32>(), chunk.rows.column(1).as_binary::<i32>());
    assert!(keys.is_null(0) && keys.is_valid(1) && keys.value(1).is_empty());
    assert!(values.value(0) == [1] && values.is_null(1));
}

#[test]
fn partitions_take_turns_and_pages_are_bounded() {
    let dir = folder();
    let big = "INSERT INTO messages SELECT 'temper\"atures', 1, value - 1, 0, NULL, zeroblob(2 << 20) FROM \
               (SELECT 1 AS value UNION ALL SELECT 2 UNION ALL SELECT 3);";
    execute(dir.path(), &format!("{CREATE}{}{big}", insert(0, 0, 20_000)));
    let mut reader = source(dir.path(), SOURCE).source.open(ALL, &Checkpoint::default()).unwrap();
    assert_eq!(reader.lag().unwrap().total(), Some(20_003));
    let spans: Vec<_> = read_all(&mut *reader).unwrap().iter().map(|(_, span)| (span.partition, span.rows)).collect();
    assert_eq!(spans, [(0, 8192), (1, 1), (0, 8192), (1, 1), (0, 3616), (1, 1)]);
}

#[test]
fn waits_for_a_topic_that_is_not_there_yet_and_creates_nothing() {
    let dir = folder();
    let built = source(dir.path(), SOURCE);
    let mut reader = built.source.open(ALL, &Checkpoint::default()).unwrap();
    assert!(matches!(reader.read().unwrap(), Read::CaughtUp(_)));
    assert_eq!((built.source.identity().unwrap(), reader.lag().unwrap().total()), (None, None));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was created");
    execute(dir.path(), "CREATE TABLE other (a)");
    assert!(matches!(reader.read().unwrap(), Read::CaughtUp(_)));
    let last = drive(&*Target::Topic.sink(dir.path(), Failpoints::default()), &run("one"), 1).unwrap().unwrap();
    let read: u64 = read_all(&mut *reader).unwrap().iter().map(|(chunk, _)| chunk.len()).sum();
    assert_eq!(read, last.totals.written);
    let id = built.source.identity().unwrap().unwrap();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
}

#[test]
fn holes_are_damage() {
    for (cut, at) in [("\"offset\" = 0", 0), ("\"offset\" = 9", 9), ("\"offset\" BETWEEN 3 AND 5", 3)] {
        let dir = folder();
        execute(dir.path(), &format!("{CREATE}{}DELETE FROM messages WHERE {cut};", insert(1, 0, 20)));
        let mut reader = source(dir.path(), SOURCE).source.open(ALL, &Checkpoint::default()).unwrap();
        let error = read_all(&mut *reader).unwrap_err();
        assert!(
            matches!(error, Error::Damaged { .. }) && error.to_string().contains(&format!("hole at {at}")),
            "{error}"
        );
    }
}

#[test]
fn a_recount_tells_removed_messages_from_lost_ones() {
    let dir = folder();
    execute(dir.path(), &format!("{CREATE}{}{}", insert(0, 0, 10), insert(1, 0, 5)));
    let built = source(dir.path(), SOURCE);
    let count = |partition, from, to| {
        let (from, to) = (Position(from), Position(to));
        recount(&built, &Span { partition, from, to, rows: to.0 - from.0, anchor: None })
    };
    assert_eq!([count(0, 0, 10), count(0, 3, 7), count(1, 5, 5)], [10, 4, 0].map(Recount::Complete));
    assert_eq!(count(2, 0, 1), Recount::Gone, "no such partition");
    // A hole is damage, an older end is not.
    execute(dir.path(), "DELETE FROM messages WHERE partition = 0 AND \"offset\" = 5");
    assert_eq!(count(0, 0, 10), Recount::Complete(9));
    execute(dir.path(), "DELETE FROM messages WHERE partition = 0 AND \"offset\" < 5");
    assert_eq!(count(0, 0, 10), Recount::Partial(4, Removal::Retention));
    assert_eq!(count(0, 6, 10), Recount::Complete(4));
    let Recount::Truncated(4, reason) = count(0, 6, 11) else { panic!("{:?}", count(0, 6, 11)) };
    assert!(reason.contains("partition 0 ends at 10, and the flow stands at 11"), "{reason}");
    execute(dir.path(), "DELETE FROM messages WHERE partition = 1");
    assert!(matches!(count(1, 0, 5), Recount::Truncated(0, _)));
}

#[test]
fn a_topic_that_is_lost_is_never_mistaken_for_one_without_news() {
    let filled = format!("{CREATE}{}{}", insert(0, 0, 10), insert(1, 0, 5));
    // From one start to the next.
    let dir = folder();
    execute(dir.path(), &filled);
    let built = source(dir.path(), SOURCE);
    let error = refusal(built.source.open(ALL, &checkpoint(&[10, 6])));
    assert!(
        error.contains("partition 1 ends at 5") && error.contains("stands at 6") && error.contains("anew"),
        "{error}"
    );
    assert!(refusal(built.source.open(ALL, &checkpoint(&[0, 0, 1]))).contains("partition 2"));
    execute(dir.path(), "DELETE FROM topics");
    assert!(refusal(built.source.open(ALL, &checkpoint(&[10, 5]))).contains("does not exist any more"));
    let span = Span { partition: 0, from: Position(0), to: Position(9), rows: 9, anchor: None };
    assert_eq!(recount(&built, &span), Recount::Gone);
    // While it is read: truncated, recreated in its database, deleted, its file deleted or replaced.
    let ways = [
        "DELETE FROM messages WHERE partition = 0 AND \"offset\" > 5",
        "UPDATE topics SET id = 'two'; UPDATE messages SET topic = topic",
        "DELETE FROM topics",
        "",
        "replaced",
    ];
    for way in ways {
        let dir = folder();
        execute(dir.path(), &filled);
        let mut reader = source(dir.path(), SOURCE).source.open(ALL, &Checkpoint::default()).unwrap();
        assert_eq!(read_all(&mut *reader).unwrap().len(), 2);
        if way.is_empty() || way == "replaced" {
            std::fs::remove_file(dir.path().join("weather.db")).unwrap();
            for rest in ["weather.db-wal", "weather.db-shm"] {
                let _ = std::fs::remove_file(dir.path().join(rest));
            }
            if way == "replaced" {
                execute(dir.path(), &format!("{filled}{}", insert(0, 10, 20)).replace("'one'", "'two'"));
            }
        } else {
            execute(dir.path(), way);
        }
        refusal(reader.read());
    }
    // A copy of the same topic in its place is the same topic.
    let dir = folder();
    execute(dir.path(), &filled);
    let mut reader = source(dir.path(), SOURCE).source.open(ALL, &Checkpoint::default()).unwrap();
    assert_eq!(read_all(&mut *reader).unwrap().len(), 2);
    let path = dir.path().join("weather.db");
    execute(dir.path(), "PRAGMA wal_checkpoint(TRUNCATE)");
    std::fs::copy(&path, dir.path().join("copy")).unwrap();
    std::fs::rename(dir.path().join("copy"), &path).unwrap();
    for rest in ["weather.db-wal", "weather.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(rest));
    }
    execute(dir.path(), &insert(0, 10, 12));
    assert_eq!(read_all(&mut *reader).unwrap()[0].1.rows, 2);
    println!("{} ways to lose a topic seen", ways.len() + 3);
}

/// A reader beside a writer sees whole commits only, each message once and in order.
#[test]
fn reads_while_it_is_written() {
    let dir = folder();
    let done = AtomicBool::new(false);
    let (read, polls) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let built = source(dir.path(), SOURCE);
            let mut reader = built.source.open(ALL, &Checkpoint::default()).unwrap();
            let mut next = Checkpoint::default();
            let (mut read, mut polls) = (0, 0);
            loop {
                let last = done.load(Ordering::SeqCst);
                for (chunk, span) in read_all(&mut *reader).unwrap() {
                    assert_eq!(span.from, next.position(span.partition).unwrap_or_default());
                    next.advance(&span).unwrap();
                    read += chunk.len();
                }
                polls += 1;
                if last {
                    return (read, polls);
                }
            }
        });
        drive(&*Target::Topic.sink(dir.path(), Failpoints::default()), &run("one"), 60).unwrap();
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    assert_eq!(read, 60 * 18);
    println!("{read} messages of 60 commits read in {polls} polls while they were written");
}
