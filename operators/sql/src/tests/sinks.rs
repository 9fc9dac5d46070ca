//! What the sinks create, refuse and leave alone.

use super::SinkConfig;
use super::{Target, batch, drive, execute, folder, refusal, rows, run, schema, sink, texts};
use crate::database::failpoint::Failpoints;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use operators_core::Error;
use operators_core::chunk::Chunk;
use operators_core::config::Context;
use operators_core::position::{Anchors, Checkpoint};
use operators_core::progress::{Commit, Fingerprint, Progress, Tally, Version};
use operators_core::replay::FLOW;
use operators_core::schema::{Column, Schema};
use operators_core::stage::{BuiltSink, Closing, Inflow};
use operators_core::types::ColumnType;
use std::path::Path;
use std::sync::Arc;

const TABLE: &str = r#"{"table": {"url": "sqlite:weather.db", "table": "t"}}"#;
const TOPIC: &str = r#"{"topic": {"url": "sqlite:weather.db", "topic": "t"}}"#;

fn listing(dir: &Path) -> Vec<(String, u64, std::time::SystemTime)> {
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let data = entry.metadata().unwrap();
        (entry.file_name().into_string().unwrap(), data.len(), data.modified().unwrap())
    };
    let mut all: Vec<_> = std::fs::read_dir(dir).unwrap().map(entry).collect();
    all.sort();
    all
}

/// Commits one chunk into a sink that was never used.
pub(super) fn commit_one(built: &BuiltSink, chunk: Chunk) -> operators_core::Result<()> {
    let run = run("one");
    let mut committer = built.sink.open(&run)?.committer;
    let mut writer = built.sink.writer(&run, 0)?;
    let tally = Tally { read: chunk.len(), written: chunk.len(), ..Tally::default() };
    assert!(writer.write(chunk)?.until_commit > 0);
    let progress = Progress {
        version: Version::FIRST,
        run,
        fingerprint: Fingerprint::default(),
        source: None,
        positions: Checkpoint::default(),
        anchors: Anchors::default(),
        totals: tally,
    };
    let receipts = vec![writer.close(&Closing::default())?];
    committer.commit(Commit { progress, spans: Vec::new(), tally, attempt: 0, receipts })
}

#[test]
fn looking_at_progress_touches_nothing() {
    let mut looks = 0;
    for target in [Target::Table, Target::Topic] {
        let dir = folder();
        let sink = target.sink(dir.path(), Failpoints::default());
        assert_eq!(sink.progress(FLOW).unwrap(), None);
        assert_eq!(listing(dir.path()), [], "a look at nothing creates nothing");
        let opened = sink.open(&run("first")).unwrap();
        let mut committer = opened.committer;
        assert_eq!(sink.progress(FLOW).unwrap(), None);
        committer.commit(batch(&*sink, &run("first"), None, 0)).unwrap();
        // While it is open, and when all is closed.
        for _ in 0..2 {
            let before = listing(dir.path());
            let progress = sink.progress(FLOW).unwrap().unwrap();
            assert_eq!((progress.version, progress.run.id.as_str()), (Version::FIRST, "first"));
            assert_eq!(sink.progress("weather/other").unwrap(), None);
            sink.audit(FLOW, &mut |finding| panic!("{finding:?}")).unwrap();
            assert_eq!(listing(dir.path()), before, "{target:?}");
            looks += 1;
            committer = Box::new(Closed);
            super::execute(dir.path(), "SELECT 1");
        }
        drop(committer);
        assert_eq!(listing(dir.path()).len(), 1, "at rest the database is one file");
    }
    println!("{looks} looks left no trace");
}

/// Takes the place of a committer that was dropped.
struct Closed;

impl operators_core::stage::Committer for Closed {
    fn commit(&mut self, _: Commit) -> operators_core::Result<()> {
        unreachable!("closed")
    }
}

#[test]
fn every_type_is_stored_as_its_class() {
    let dir = folder();
    let columns: [(&str, ArrayRef); 9] = [
        ("flag", Arc::new(BooleanArray::from(vec![true, false]))),
        ("small", Arc::new(Int32Array::from(vec![Some(-3), None]))),
        ("big", Arc::new(UInt64Array::from(vec![0, i64::MAX as u64]))),
        ("single", Arc::new(Float32Array::from(vec![0.5, f32::INFINITY]))),
        ("double", Arc::new(Float64Array::from(vec![Some(-0.25), None]))),
        ("text", Arc::new(StringArray::from(vec!["", "ç\"'"]))),
        ("raw", Arc::new(BinaryArray::from_opt_vec(vec![Some(b""), None]))),
        ("day", Arc::new(Date32Array::from(vec![0, 10_957]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000]).with_timezone("+00:00"))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let built = sink(dir.path(), TABLE, &Schema::from_arrow(batch.schema()), None);
    commit_one(&built, Chunk::new(0, UInt64Array::from(vec![5, 9]), batch)).unwrap();
    let row = "SELECT id || '|' || flag || '|' || quote(small) || '|' || big || '|' || quote(single) || '|' || quote(double) \
               || '|' || quote(text) || '|' || quote(raw) || '|' || day || '|' || at FROM t ORDER BY id";
    assert_eq!(
        texts(dir.path(), row),
        [
            "1|1|-3|0|0.5|-0.25|''|X''|1970-01-01|1970-01-01T00:00:00Z",
            "2|0|NULL|9223372036854775807|9.0e+999|NULL|'ç\"'''|NULL|2000-01-01|1970-01-01T00:00:01.500Z",
        ]
    );
}

#[test]
fn values_that_sqlite_would_change_are_errors() {
    let bad: [ArrayRef; 2] =
        [Arc::new(Float64Array::from(vec![f64::NAN])), Arc::new(UInt64Array::from(vec![u64::MAX]))];
    for array in bad {
        let dir = folder();
        let batch = RecordBatch::try_from_iter_with_nullable([("odd", array, true)]).unwrap();
        let built = sink(dir.path(), TABLE, &Schema::from_arrow(batch.schema()), None);
        let error = commit_one(&built, Chunk::new(0, UInt64Array::from(vec![0]), batch)).unwrap_err();
        assert_eq!(texts(dir.path(), "SELECT count(*) || '' FROM t"), ["0"], "{error}");
        assert_eq!(built.sink.progress(FLOW).unwrap(), None, "{error}");
    }
}

#[test]
fn rows_of_megabytes_and_of_many_columns_go_in() {
    let dir = folder();
    let big: StringArray = (0..5).map(|i| Some(char::from(b'a' + i).to_string().repeat(2 << 20))).collect();
    let batch = RecordBatch::try_from_iter_with_nullable([("big", Arc::new(big) as ArrayRef, true)]).unwrap();
    let built = sink(dir.path(), TABLE, &Schema::from_arrow(batch.schema()), None);
    commit_one(&built, Chunk::new(0, UInt64Array::from_iter_values(0..5), batch)).unwrap();
    let sizes = texts(dir.path(), "SELECT substr(big, 1, 1) || length(big) FROM t ORDER BY id");
    assert_eq!(sizes, ["a2097152", "b2097152", "c2097152", "d2097152", "e2097152"]);

    // More values in a few hundred rows than one statement may have.
    let dir = folder();
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..300));
    let columns = (0..500).map(|i| (format!("c{i}"), Arc::clone(&column), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let built = sink(dir.path(), TABLE, &Schema::from_arrow(batch.schema()), None);
    commit_one(&built, Chunk::new(0, UInt64Array::from_iter_values(0..300), batch)).unwrap();
    assert_eq!(texts(dir.path(), "SELECT count(*) || ' ' || sum(c0 = id - 1 AND c499 = id - 1) FROM t"), ["300 300"]);
}

#[test]
fn offsets_are_dense_per_partition_and_keys_arrive() {
    let dir = folder();
    drive(&*Target::Topic.sink(dir.path(), Failpoints::default()), &run("one"), 4).unwrap();
    let dense = "SELECT partition || ' ' || (min(\"offset\") = 0 AND max(\"offset\") = count(*) - 1) FROM messages GROUP BY partition";
    assert_eq!(texts(dir.path(), dense), ["0 1", "1 1", "2 1"]);
    assert_eq!(
        texts(dir.path(), "SELECT count(*) || ' ' || count(key) FROM messages")[0].split(' ').next(),
        Some("72")
    );
}

#[test]
fn what_does_not_fit_is_refused_at_open() {
    // A table without the columns of the rows.
    let dir = folder();
    execute(dir.path(), "CREATE TABLE t (id INTEGER PRIMARY KEY, station TEXT)");
    let built = sink(dir.path(), TABLE, &schema(), None);
    let refused = refusal(built.sink.open(&run("x")));
    assert!(refused.contains("degrees, key, value") && refused.contains("id, station"), "{refused}");
    // The refusal took nothing over.
    assert_eq!(texts(dir.path(), "SELECT name FROM sqlite_schema WHERE type = 'table'"), ["t"]);

    // Another number of partitions.
    let dir = folder();
    sink(dir.path(), TOPIC, &schema(), Some(4)).sink.open(&run("x")).unwrap();
    let refused = refusal(sink(dir.path(), TOPIC, &schema(), Some(5)).sink.open(&run("y")));
    assert!(refused.contains('4') && refused.contains('5'), "{refused}");

    // A table and a topic that are gone while their progress is not.
    for (target, drop) in [(Target::Table, "DROP TABLE \"temper\"\"atures\""), (Target::Topic, "DELETE FROM topics")] {
        let dir = folder();
        let sink = target.sink(dir.path(), Failpoints::default());
        drive(&*sink, &run("x"), 1).unwrap();
        execute(dir.path(), drop);
        assert!(refusal(sink.open(&run("y"))).contains("is gone"), "{target:?}");
    }

    // No database at all.
    let dir = folder();
    std::fs::write(dir.path().join("weather.db"), "this is no database, but a text that is long enough to be read")
        .unwrap();
    let error = sink(dir.path(), TABLE, &schema(), None).sink.open(&run("x")).err().unwrap();
    assert!(matches!(error, Error::Sql { .. }) && error.to_string().contains("weather.db"), "{error}");
}

#[test]
fn a_database_that_was_deleted_while_open_takes_no_more_rows() {
    for target in [Target::Table, Target::Topic] {
        let dir = folder();
        let sink = target.sink(dir.path(), Failpoints::default());
        let mut committer = sink.open(&run("x")).unwrap().committer;
        let first = batch(&*sink, &run("x"), None, 0);
        let last = first.progress.clone();
        committer.commit(first).unwrap();
        for name in ["weather.db", "weather.db-wal", "weather.db-shm"] {
            std::fs::remove_file(dir.path().join(name)).unwrap();
        }
        let refused = refusal(committer.commit(batch(&*sink, &run("x"), Some(&last), 1)));
        assert!(refused.contains("deleted or replaced"), "{refused}");
        // Started again, the flow begins anew, as its source sees from the progress.
        assert!(sink.open(&run("y")).unwrap().progress.is_none());
    }
}

#[test]
fn rows_that_are_not_those_of_the_batch_are_not_committed() {
    let dir = folder();
    let sink = Target::Table.sink(dir.path(), Failpoints::default());
    let mut committer = sink.open(&run("x")).unwrap().committer;
    let mut commit = batch(&*sink, &run("x"), None, 0);
    commit.receipts.pop();
    assert!(committer.commit(commit).unwrap_err().to_string().contains("nothing of it was committed"));
    let dir = folder();
    let built = super::sink(dir.path(), TOPIC, &schema(), Some(2));
    let stray = Chunk { partition: 2, ..rows(0, 0..3) };
    assert!(commit_one(&built, stray).unwrap_err().to_string().contains("partition 2 of 2"));
    assert_eq!(built.sink.progress(FLOW).unwrap(), None);
}

fn problems(json: &str, columns: Vec<Column>, partitions: Option<u32>) -> Vec<String> {
    let config: SinkConfig = serde_json::from_str(json).unwrap();
    let inflow = Inflow { partitions, ..Inflow::default() };
    let built = config.build(&Schema::new(columns), inflow, &Context { dir: "/nowhere".into() });
    let problems = built.err().unwrap();
    problems
        .into_iter()
        .map(|p| format!("{}: {} / {}", p.at.join("."), p.message, p.help.unwrap_or_default()))
        .collect()
}

#[test]
fn wrong_configurations_are_problems_all_at_once() {
    let column = |name: &str, column_type: ColumnType| Column::new(name, column_type, true);
    let (text, number) = (ColumnType::String, ColumnType::Int64);
    let columns = vec![
        column("ID", number.clone()),
        column("a", text.clone()),
        column("A", text.clone()),
        column("b", ColumnType::Headers),
    ];
    let found = problems(r#"{"table": {"url": "oracle:x", "table": "weatherflow_progress"}}"#, columns, None);
    let parts = ["url: ", "table: table names", "column `ID`", "`a` and `A`", "column `b` is of type"];
    assert_eq!(found.len(), parts.len(), "{found:#?}");
    for part in parts {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part} in {found:#?}");
    }
    let found = problems(TOPIC, vec![column("key", number), column("value", text.clone())], None);
    let parts = ["`value` is string / add an encode stage", "`key` is int64", "partition.round_robin"];
    assert_eq!(found.len(), parts.len(), "{found:#?}");
    for part in parts {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part} in {found:#?}");
    }
    assert!(problems(TOPIC, vec![column("x", text)], Some(1))[0].contains("no column `value`"));
}

#[test]
fn a_stage_says_where_and_what_it_is() {
    let dir = Path::new("/a");
    let table = sink(dir, TABLE, &schema(), None);
    assert_eq!(table.place, "sqlite:/a/weather.db#table t");
    assert_eq!(table.about.summary, "table t in /a/weather.db");
    assert_eq!(table.about.fingerprint, [("table", "t".to_owned())]);
    let topic = sink(dir, TOPIC, &schema(), Some(4));
    assert_eq!(topic.place, super::source(dir, TOPIC).place);
    assert_eq!(topic.about.fingerprint, [("topic", "t".to_owned()), ("partitions", "4".to_owned())]);
}
