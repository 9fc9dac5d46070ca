//! `verify` and the source: rows that the source removed by itself are no loss, another source proves nothing, and
//! everything else that differs is a finding.

use crate::common::verified::{Pipeline, objects};
use crate::common::{Job, both};
use serde_json::json;
use sqlx::Connection;
use std::fs;

const TABLE: &str = "[flow.source.table]\nurl = \"sqlite:weather.db\"\ntable = \"t\"\ncolumns = { a = \"int64\" }\n";
const TOPIC: &str = "[flow.source.topic]\nurl = \"sqlite:topic.db\"\ntopic = \"t\"\n";
const WEATHER: &str = "[flow.source.weather]\nstations = 10\nlast_day = \"2000-01-10\"\nevery = \"0\"\n";

/// A hundred rows with the ids 1 to 100.
const ROWS: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a INTEGER); WITH RECURSIVE n(i) AS (SELECT 1 \
                    UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO t SELECT i, i FROM n";

fn execute(pipeline: &Pipeline, database: &str, sql: &str) {
    let url = format!("sqlite:{}?mode=rwc", pipeline.dir.path().join(database).display());
    let sql = sql.to_owned();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
    });
}

/// A topic of two partitions with this id, and ten messages in each.
fn topic(id: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY, id TEXT, partitions INTEGER) WITHOUT ROWID; \
         CREATE TABLE IF NOT EXISTS messages (topic TEXT, partition INTEGER, \"offset\" INTEGER, timestamp INTEGER, key BLOB, \
         value BLOB, PRIMARY KEY (topic, partition, \"offset\")) WITHOUT ROWID; \
         DELETE FROM topics; DELETE FROM messages; INSERT INTO topics VALUES ('t', '{id}', 2); \
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9) \
         INSERT INTO messages SELECT 't', p.value, n.i, 0, NULL, CAST(n.i AS BLOB) FROM n, json_each('[0, 1]') AS p"
    )
}

#[test]
fn a_recreated_topic_with_as_many_messages_is_not_taken_for_the_one_that_was_read() {
    let job = Job::new(10, 50, "0", "100ms");
    job.finish();
    for name in ["topic.db", "topic.db-wal", "topic.db-shm"] {
        let _ = fs::remove_file(job.dir.path().join("data").join(name));
    }
    let publish = ["--drain", "--flow", "publish"];
    assert!(job.output("run", &publish).status.success());

    let output = job.output("verify", &[]);
    let text = both(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("the source was not counted: ") && text.contains("it was deleted or recreated"), "{text}");
    assert!(text.ends_with("not every row could be compared with its source: archive\n"), "{text}");
    let run = both(&job.output("run", &["--drain", "--flow", "archive"]));
    let reason = text.split_once("the source was not counted: ").unwrap().1.lines().next().unwrap();
    assert!(run.contains(reason), "a run says the same:\n{run}\n{reason}");

    let flows = objects(&job.output("verify", &["--json"]));
    assert_eq!((&flows[0]["source"], &flows[1]["source"]), (&json!({ "counted": 500 }), &json!({ "counted": 500 })));
    assert_eq!((&flows[2]["source"]["other"]["reason"], &flows[2]["rows"]), (&json!(reason), &json!(500)));
    let required = job.output("verify", &["--require-source"]);
    assert_eq!(required.status.code(), Some(1));
    assert!(both(&required).contains("as --require-source requires: archive"), "{}", both(&required));
}

#[test]
fn other_settings_of_a_generator_give_other_rows() {
    let pipeline = Pipeline::new(WEATHER);
    pipeline.drain();
    pipeline.assert_proved(100);
    for (from, to, words) in [
        ("stations = 10", "stations = 10\nseed = 7", "source.weather.seed was `0` and is now `7`"),
        ("stations = 10", "stations = 20", "stations was `10` and is now `20`"),
        ("stations = 10", "stations = 10\nfirst_day = \"1999-12-31\"", "first_day was `2000-01-01`"),
    ] {
        pipeline.edit(from, to);
        pipeline.assert_other(words);
    }
    pipeline.edit("2000-01-10", "2000-01-07");
    let partition = json!({ "partition": 0, "counted": 70, "removed": 30, "by": "last_day" });
    pipeline.assert_explained(
        "partition 0: 70 left, 30 removed because last_day is earlier now",
        &json!({ "fewer": { "counted": 70, "removed": 30, "partitions": [partition] } }),
    );
    pipeline.edit("2000-01-10", "2000-02-10");
    pipeline.assert_proved(100);
    pipeline.edit("every = \"0\"", "every = \"1s\"");
    pipeline.assert_proved(100);
}

#[test]
fn rows_deleted_from_a_table_after_their_commit_are_no_loss() {
    let pipeline = Pipeline::new(TABLE);
    execute(&pipeline, "weather.db", ROWS);
    pipeline.drain();
    pipeline.assert_proved(100);
    execute(&pipeline, "weather.db", "DELETE FROM t WHERE id % 10 = 0");
    let fewer = |counted: u64, removed: u64| {
        let partition = json!({ "partition": 0, "counted": counted, "removed": removed, "by": "delete" });
        json!({ "fewer": { "counted": counted, "removed": removed, "partitions": [partition] } })
    };
    pipeline.assert_explained("has 90 rows there, 10 were removed after they were committed", &fewer(90, 10));
    execute(&pipeline, "weather.db", "DELETE FROM t");
    pipeline.assert_explained("partition 0: 0 left, 100 removed by a DELETE", &fewer(0, 100));
    execute(&pipeline, "weather.db", "ALTER TABLE t RENAME TO u");
    pipeline.assert_explained("does not exist any more", &json!("gone"));
    fs::remove_file(pipeline.dir.path().join("weather.db")).unwrap();
    pipeline.assert_explained("does not exist any more", &json!("gone"));
}

#[test]
fn a_row_that_was_never_read_is_a_finding() {
    let pipeline = Pipeline::new(TABLE);
    execute(&pipeline, "weather.db", &format!("{ROWS}; DELETE FROM t WHERE id = 50"));
    pipeline.drain();
    pipeline.assert_proved(99);
    execute(&pipeline, "weather.db", "INSERT INTO t VALUES (50, 50)");
    pipeline.assert_finding("has 100 rows in the range that was read, 0 [0, 101), but the commits account for 99");
}

#[test]
fn a_topic_may_lose_its_oldest_messages_and_no_others() {
    let pipeline = Pipeline::new(TOPIC);
    execute(&pipeline, "topic.db", &topic("one"));
    pipeline.drain();
    pipeline.assert_proved(20);
    execute(&pipeline, "topic.db", "DELETE FROM messages WHERE partition = 1 AND \"offset\" < 4");
    let partition = json!({ "partition": 1, "counted": 6, "removed": 4, "by": "retention" });
    pipeline.assert_explained(
        "partition 1: 6 left, 4 removed by retention",
        &json!({ "fewer": { "counted": 16, "removed": 4, "partitions": [partition] } }),
    );
    for (damage, words) in [
        ("partition = 0 AND \"offset\" = 4", "has 9 rows in the range that was read, 0 [0, 10)"),
        ("partition = 0 AND \"offset\" = 9", "partition 0 ends at 9, and the flow stands at 10"),
        ("partition = 0", "partition 0 ends at 0, and the flow stands at 10"),
    ] {
        execute(&pipeline, "topic.db", &topic("one"));
        execute(&pipeline, "topic.db", &format!("DELETE FROM messages WHERE {damage}"));
        pipeline.assert_finding(words);
    }
    // Retention of one partition explains nothing of the other.
    execute(&pipeline, "topic.db", "DELETE FROM messages WHERE partition = 1 AND \"offset\" < 4");
    pipeline.assert_finding("partition 0 ends at 0");

    execute(&pipeline, "topic.db", &topic("two"));
    pipeline.assert_other("was read from its identity one, which is now two");
    execute(&pipeline, "topic.db", "DELETE FROM topics");
    pipeline.assert_explained("does not exist any more", &json!("gone"));
}

#[test]
fn what_another_source_proves_nothing_about_is_still_checked_in_the_sink() {
    let pipeline = Pipeline::new(WEATHER);
    pipeline.drain();
    pipeline.edit("stations = 10", "stations = 10\nseed = 7");
    let files = crate::common::parquet_files(&pipeline.dir.path().join("archive"));
    fs::remove_file(&files[0]).unwrap();
    let (text, lines, codes) = pipeline.verify();
    assert!(text.contains("is not there") && text.contains("something was lost"), "{text}");
    assert!(!text.contains("nothing lost"), "{text}");
    assert!(lines.last().unwrap()["source"]["other"].is_object(), "{lines:?}");
    assert_eq!(codes, [Some(1); 3]);
}
