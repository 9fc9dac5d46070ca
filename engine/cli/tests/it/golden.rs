//! Data that earlier versions of the program have written: this one proves it, continues after its last commit, and
//! reads it. Each version that changes a format adds a folder to `tests/golden`.

use crate::common::golden::{Golden, READINGS, is_unreadable, reading, versions};
use crate::common::{assert_generated, read_archive};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;

/// What a flow's sink held of each number, and how many files it had.
fn count(accounts: &BTreeMap<String, Value>, flow: &str, number: &str) -> u64 {
    accounts[flow][number].as_u64().unwrap_or_else(|| panic!("{flow} has no {number}: {accounts:?}"))
}

/// Whether a file is one of committed rows, of rejected ones, or the record of a commit; not one of a crash's leftovers.
fn is_committed(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    let is_staged = path.iter().any(|part| part.to_str().unwrap().starts_with("_staging"));
    !is_staged && (name.contains("-batch-") || name == "_checkpoint.json")
}

/// Proves what is there, runs to the end of the input, and proves and compares it again.
fn resume(golden: &Golden, flows: &[&str]) {
    let before = golden.verify();
    let files = golden.files("data");
    golden.drain();
    let (after, later) = (golden.verify(), golden.files("data"));
    for flow in flows {
        let batches = [&before, &after].map(|accounts| count(accounts, flow, "batches"));
        let rows = [&before, &after].map(|accounts| count(accounts, flow, "rows"));
        assert!(2 <= batches[0] && batches[0] < batches[1], "{flow}: {batches:?} batches");
        assert!(rows[0] < rows[1], "{flow}: {rows:?} rows");
    }
    for (path, bytes) in files.iter().filter(|(path, _)| is_committed(path)) {
        assert!(later.get(path) == Some(bytes), "{} was committed, and is not what it was", path.display());
    }
}

fn is_leftover(path: &Path, kind: &str) -> bool {
    path.iter().any(|part| part.to_str().unwrap().starts_with(kind))
}

/// Every reading once: those that can be read in rows, the others as dead letters where the flow keeps them.
fn assert_readings(golden: &Golden, flow: &str, dead_letters: usize) {
    let expected: Vec<_> = (0..READINGS).filter(|number| !is_unreadable(*number)).map(reading).collect();
    assert_eq!(golden.readings(flow), expected, "{flow}");
    let numbers = expected.iter().map(|(number, ..)| *number).collect();
    assert_eq!(golden.tap(flow), (numbers, dead_letters), "{flow}");
}

fn unreadable() -> usize {
    (0..READINGS).filter(|number| is_unreadable(*number)).count()
}

/// What a query of a database gives, a number.
fn query(database: &Path, sql: &'static str) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.unwrap();
        let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        number
    })
}

#[test]
fn a_table_a_topic_and_an_archive_are_continued() {
    for version in versions() {
        let golden = Golden::copy(&version, "weather");
        resume(&golden, &["archive"]);
        let after = golden.verify();
        assert_eq!(["generate", "publish", "archive"].map(|flow| count(&after, flow, "rows")), [600; 3]);
        assert_generated(10, 60, &read_archive(&golden.archive("archive")));
        let rows = "SELECT count(*) * 1000 + count(DISTINCT station_id || date) FROM temperatures";
        assert_eq!(query(&golden.path("data/weather.db"), rows), 600_600);
        let messages = "SELECT count(*) * 1000 + count(DISTINCT value) FROM messages";
        assert_eq!(query(&golden.path("data/topic.db"), messages), 600_600);
    }
}

#[test]
fn readings_and_dead_letters_of_both_layouts_are_continued() {
    for version in versions() {
        let golden = Golden::copy(&version, "readings");
        let (_, letters) = golden.tap("batches");
        assert!(0 < letters && letters < unreadable(), "{letters} dead letters before");
        resume(&golden, &["batches", "flat"]);
        assert_readings(&golden, "batches", unreadable());
        assert_readings(&golden, "flat", 0);
    }
}

#[test]
fn the_leftovers_of_a_crash_are_proved_cleaned_up_and_continued() {
    for version in versions() {
        let golden = Golden::copy(&version, "crashed");
        let files = golden.files("data");
        for (flow, kind) in [("batches", "run="), ("flat", "run="), ("batches-taken", "dead="), ("flat-taken", "dead=")]
        {
            let mut of_flow = files.keys().filter(|path| path.starts_with(golden.archive(flow)));
            assert!(of_flow.any(|path| is_leftover(path, kind)), "{flow} has nothing of a crash");
        }
        resume(&golden, &["batches", "batches-taken", "flat", "flat-taken"]);
        for (flow, letters) in
            [("batches", unreadable()), ("batches-taken", unreadable()), ("flat", 0), ("flat-taken", 0)]
        {
            assert_readings(&golden, flow, letters);
        }
        let left: Vec<_> = golden.files("data").into_keys().filter(|path| is_leftover(path, "_staging")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
