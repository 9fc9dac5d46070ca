//! What SQLite's tables and topics tell of themselves, and that telling leaves no trace.

use super::{Target, drive, execute, folder, refusal, run, source};
use crate::database::failpoint::Failpoints;
use operators_core::inspect::{Extent, Seen};
use operators_core::replay::FLOW;
use std::path::Path;
use std::time::SystemTime;

const TABLE: &str = r#"{"table": {"url": "sqlite:weather.db", "table": "t", "columns": {"a": "int32"}}}"#;
const TOPIC: &str = r#"{"topic": {"url": "sqlite:weather.db", "topic": "x"}}"#;

fn extents(dir: &Path, json: &str) -> operators_core::Result<Vec<(u32, u64, u64)>> {
    let extents = source(dir, json).source.extents()?;
    Ok(extents.iter().map(|Extent { partition, first, next, .. }| (*partition, first.0, next.0)).collect())
}

/// Everything in a folder, byte for byte.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn the_extent_of_a_table_is_that_of_its_ids() {
    let dir = folder();
    assert_eq!(extents(dir.path(), TABLE).unwrap(), []);
    assert_eq!(contents(dir.path()), [], "nothing was created");
    execute(dir.path(), "CREATE TABLE other (id INTEGER PRIMARY KEY)");
    assert_eq!(extents(dir.path(), TABLE).unwrap(), []);
    execute(dir.path(), "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT)");
    assert_eq!(extents(dir.path(), TABLE).unwrap(), [(0, 0, 0)]);
    execute(dir.path(), "INSERT INTO t VALUES (7, 1), (8, 1), (900, 1)");
    let before = contents(dir.path());
    assert_eq!(extents(dir.path(), TABLE).unwrap(), [(0, 7, 901)]);
    execute(dir.path(), &format!("INSERT INTO t VALUES ({}, 1)", i64::MAX));
    assert_eq!(extents(dir.path(), TABLE).unwrap(), [(0, 7, 1 << 63)]);
    execute(dir.path(), "DELETE FROM t WHERE id > 900");
    let again = contents(dir.path());
    assert_eq!(extents(dir.path(), TABLE).unwrap(), [(0, 7, 901)]);
    assert_eq!(contents(dir.path()), again);
    assert_eq!(before.len(), again.len());
    execute(dir.path(), "INSERT INTO t VALUES (-3, 1)");
    let error = refusal(extents(dir.path(), TABLE));
    assert!(error.contains("id holds -3"), "{error}");
}

#[test]
fn the_extents_of_a_topic_are_those_of_its_partitions() {
    let dir = folder();
    assert_eq!(extents(dir.path(), TOPIC).unwrap(), []);
    assert_eq!(contents(dir.path()), [], "nothing was created");
    execute(
        dir.path(),
        "CREATE TABLE topics (name TEXT PRIMARY KEY, id TEXT, partitions INTEGER);
         CREATE TABLE messages (topic, partition, \"offset\", key, value);
         INSERT INTO topics VALUES ('y', 'one', 5);
         INSERT INTO messages VALUES ('y', 0, 0, NULL, NULL);",
    );
    assert_eq!(extents(dir.path(), TOPIC).unwrap(), [], "another topic is not this one");
    execute(
        dir.path(),
        "INSERT INTO topics VALUES ('x', 'two', 3);
         INSERT INTO messages VALUES ('x', 0, 0, NULL, NULL), ('x', 0, 1, NULL, NULL), ('x', 2, 5, NULL, NULL);",
    );
    let before = contents(dir.path());
    assert_eq!(extents(dir.path(), TOPIC).unwrap(), [(0, 0, 2), (1, 0, 0), (2, 5, 6)]);
    assert_eq!(contents(dir.path()), before);
}

/// What was seen, each with the first letter of how it stands.
pub(super) fn told(seen: Vec<operators_core::Result<Seen>>) -> Vec<String> {
    let word = |seen| match seen {
        Ok(Seen::Fine(text)) => format!("fine: {text}"),
        Ok(Seen::NotYet(text)) => format!("not yet: {text}"),
        Ok(Seen::Untold(text)) => format!("untold: {text}"),
        Err(error) => format!("wrong: {error}"),
    };
    seen.into_iter().map(word).collect()
}

#[test]
fn sinks_say_what_is_there_and_change_nothing() {
    for target in [Target::Table, Target::Topic] {
        let dir = folder();
        let connect = || told(target.sink(dir.path(), Failpoints::default()).connect(FLOW));
        let holdings = || target.sink(dir.path(), Failpoints::default()).holdings(FLOW).unwrap();
        let seen = connect();
        assert!(seen.len() == 1 && seen[0].starts_with("not yet: ") && seen[0].contains("weather.db"), "{seen:?}");
        assert_eq!((holdings().committed_at, contents(dir.path())), (None, vec![]), "nothing was created");

        let before = SystemTime::now();
        drive(&*target.sink(dir.path(), Failpoints::default()), &run("one"), 2).unwrap();
        let there = contents(dir.path());
        let seen = connect();
        assert!(seen.iter().all(|line| line.starts_with("fine: ")), "{seen:?}");
        let at = holdings().committed_at.unwrap();
        assert!(before <= at && at <= SystemTime::now(), "{at:?}");
        assert_eq!(contents(dir.path()), there);
        // A commit that was made before commits had a time.
        execute(dir.path(), "UPDATE weatherflow_progress SET progress = json_remove(progress, '$.committed_at')");
        assert_eq!(holdings().committed_at, None);
        let progress = target.sink(dir.path(), Failpoints::default()).progress(FLOW).unwrap().unwrap();
        assert_eq!(progress.version.0, 1);

        execute(dir.path(), "DROP TABLE IF EXISTS \"temper\"\"atures\"; DROP TABLE IF EXISTS topics");
        let seen = connect();
        assert!(seen.iter().any(|line| line.starts_with("wrong: ") && line.contains("is gone")), "{seen:?}");
    }
}

#[test]
fn sources_say_whether_a_table_or_topic_can_be_read() {
    let dir = folder();
    let connect = |json| told(source(dir.path(), json).source.connect(FLOW));
    for json in [TABLE, TOPIC] {
        let seen = connect(json);
        assert!(seen.len() == 1 && seen[0].starts_with("not yet: "), "{seen:?}");
    }
    assert_eq!(contents(dir.path()), [], "nothing was created");
    execute(
        dir.path(),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT);
         CREATE TABLE topics (name TEXT PRIMARY KEY, id TEXT, partitions INTEGER);
         INSERT INTO topics VALUES ('x', 'one', 5);",
    );
    let before = contents(dir.path());
    let (table, topic) = (connect(TABLE), connect(TOPIC));
    assert!(table.len() == 1 && table[0].starts_with("fine: table t in "), "{table:?}");
    assert!(topic.len() == 1 && topic[0].ends_with("partitions: 5"), "{topic:?}");
    assert_eq!(contents(dir.path()), before);
    execute(dir.path(), "DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, b INT)");
    let table = connect(TABLE);
    assert!(table[0].starts_with("wrong: ") && table[0].contains("no column a"), "{table:?}");
}
