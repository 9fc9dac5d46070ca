//! Tables and topics pass the contracts of sources and sinks.

use super::{Folder, Target, batch, execute, folder, source};
use crate::database::failpoint::Failpoints;
use operators_core::progress::{Commit, Progress, Run};
use operators_core::sink_contract::{self, SinkWorld};
use operators_core::source_contract::{self, Growth, Recreation, SourceWorld};
use operators_core::stage::{Sink, Source};
use std::sync::Arc;

/// A sink in a folder of its own.
struct Written {
    folder: Folder,
    target: Target,
}

impl SinkWorld for Written {
    fn sink(&self) -> Box<dyn Sink> {
        self.target.sink(self.folder.path(), Failpoints::default())
    }

    fn batch(&self, sink: &dyn Sink, run: &Run, last: Option<&Progress>, attempt: u64) -> Commit {
        batch(sink, run, last, attempt)
    }
}

fn sink(target: Target) {
    sink_contract::suite(|| Written { folder: folder(), target });
}

#[test]
fn a_table_of_sqlite_is_a_sink() {
    sink(Target::Table);
}

#[test]
fn a_topic_is_a_sink() {
    sink(Target::Topic);
}

#[test]
fn a_table_of_mysql_is_a_sink() {
    if testkit::servers::mysql().is_some() {
        sink(Target::MySql);
    }
}

const CREATE_TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a INTEGER);";
const INSERT_ROWS: &str = "INSERT INTO t (a) VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12);";
const INSERTED_ROWS: u64 = 12;

/// Table `t` of a SQLite file.
struct Table(Folder);

impl SourceWorld for Table {
    fn source(&self) -> Arc<dyn Source> {
        let json = r#"{"table": {"url": "sqlite:weather.db", "table": "t", "columns": {"a": "int64"}}}"#;
        source(self.0.path(), json).source
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn add(&self) -> Growth {
        execute(self.0.path(), INSERT_ROWS);
        Growth::Added(INSERTED_ROWS)
    }

    fn recreate(&self) -> Recreation {
        execute(self.0.path(), &format!("DROP TABLE t; {CREATE_TABLE}{INSERT_ROWS}"));
        Recreation::NoIdentity
    }
}

#[test]
fn a_table_of_sqlite_is_a_source() {
    source_contract::suite(|| {
        let folder = folder();
        // With gaps, as deleted rows leave them.
        let gaps = "DELETE FROM t WHERE id IN (1, 5, 6, 24)";
        execute(folder.path(), &format!("{CREATE_TABLE}{INSERT_ROWS}{INSERT_ROWS}{gaps}"));
        Table(folder)
    });
}

/// A topic of two partitions.
struct Topic(Folder);

impl Topic {
    const CREATE: &str = "CREATE TABLE topics (name TEXT PRIMARY KEY, id TEXT, partitions INTEGER);
        CREATE TABLE messages (topic, partition, \"offset\", timestamp, key, value,
        PRIMARY KEY (topic, partition, \"offset\")) WITHOUT ROWID;";

    fn new() -> Self {
        let topic = Self(folder());
        execute(topic.0.path(), Self::CREATE);
        topic.create("one");
        topic
    }

    fn create(&self, id: &str) {
        execute(self.0.path(), &format!("INSERT INTO topics VALUES ('t', '{id}', 2)"));
        self.add();
    }
}

impl SourceWorld for Topic {
    fn source(&self) -> Arc<dyn Source> {
        source(self.0.path(), r#"{"topic": {"url": "sqlite:weather.db", "topic": "t"}}"#).source
    }

    fn partitions(&self) -> u32 {
        2
    }

    fn add(&self) -> Growth {
        for partition in 0..self.partitions() {
            let sql = format!(
                "INSERT INTO messages WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 11),
                 last(at) AS (SELECT ifnull(max(\"offset\") + 1, 0) FROM messages WHERE partition = {partition})
                 SELECT 't', {partition}, at + i, 0, NULL, CAST('{partition}:' || (at + i) AS BLOB) FROM n, last"
            );
            execute(self.0.path(), &sql);
        }
        Growth::Added(INSERTED_ROWS)
    }

    fn recreate(&self) -> Recreation {
        execute(self.0.path(), "DELETE FROM topics; DELETE FROM messages");
        self.create("two");
        Recreation::Another
    }
}

#[test]
fn a_topic_is_a_source() {
    source_contract::suite(Topic::new);
}
