//! What SQLite's tables and topics tell of themselves, and that telling leaves no trace.

use super::{execute, folder, refusal, source};
use crate::inspect::Extent;
use std::path::Path;

const TABLE: &str = r#"{"table": {"url": "sqlite:weather.db", "table": "t", "columns": {"a": "int32"}}}"#;
const TOPIC: &str = r#"{"topic": {"url": "sqlite:weather.db", "topic": "x"}}"#;

fn extents(dir: &Path, json: &str) -> crate::Result<Vec<(u32, u64, u64)>> {
    let extents = source(dir, json).source.extents()?;
    Ok(extents.iter().map(|Extent { partition, first, next }| (*partition, first.0, next.0)).collect())
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
