//! How fast it goes: `cargo test --release -p operators --lib sql::tests::speed -- --ignored --nocapture`.

use super::{ALL, execute, read_all, run, sink, source};
use arrow::array::{ArrayRef, BinaryArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use operators_core::chunk::Chunk;
use operators_core::position::{Anchors, Checkpoint};
use operators_core::progress::{Commit, Fingerprint, Progress, Tally, Version};
use operators_core::schema::Schema;
use operators_core::stage::Closing;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const BATCHES: u64 = 10;
const CHUNKS: u64 = 12;
const CHUNK: u64 = 8192;

fn chunk(first: u64, partition: u32) -> Chunk {
    let station: StringArray = (0..CHUNK).map(|i| Some(format!("station-{:03}", i % 100))).collect();
    let date: StringArray = (0..CHUNK).map(|i| Some(format!("2000-01-{:02}", i % 28 + 1))).collect();
    let degrees = Float64Array::from_iter_values((0..CHUNK).map(|i| i as f64 / 100.0));
    let value: BinaryArray = (0..CHUNK).map(|i| Some(format!("a message of thirty bytes {:04}", i % 10_000))).collect();
    let key: BinaryArray = (0..CHUNK).map(|i| Some(format!("station-{:03}", i % 100))).collect();
    let columns: Vec<(&str, ArrayRef)> = if partition == u32::MAX {
        vec![("station_id", Arc::new(station)), ("date", Arc::new(date)), ("degrees", Arc::new(degrees))]
    } else {
        vec![("key", Arc::new(key)), ("value", Arc::new(value))]
    };
    let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let chunk = Chunk::new(0, UInt64Array::from_iter_values(first..first + CHUNK), rows);
    Chunk { partition: if partition == u32::MAX { 0 } else { partition }, ..chunk }
}

fn measure(dir: &Path, what: &str, sink_json: &str, source_json: &str, partitions: Option<u32>) {
    let target = |number: u64| partitions.map_or(u32::MAX, |partitions| (number % u64::from(partitions)) as u32);
    let built = sink(dir, sink_json, &Schema::from_arrow(chunk(0, target(0)).rows.schema()), partitions);
    let run = run("fast");
    let mut committer = built.sink.open(&run).unwrap().committer;
    let mut totals = Tally::default();
    let mut busy = std::time::Duration::ZERO;
    for version in 0..BATCHES {
        let mut writer = built.sink.writer(&run, version).unwrap();
        for number in 0..CHUNKS {
            writer.write(chunk((version * CHUNKS + number) * CHUNK, target(number))).unwrap();
        }
        let tally = Tally { read: CHUNKS * CHUNK, written: CHUNKS * CHUNK, ..Tally::default() };
        totals += tally;
        let progress = Progress {
            version: Version(version),
            run: run.clone(),
            fingerprint: Fingerprint::default(),
            source: None,
            positions: Checkpoint::default(),
            anchors: Anchors::default(),
            totals,
        };
        let receipts = vec![writer.close(&Closing::default()).unwrap()];
        let start = Instant::now();
        committer.commit(Commit { progress, spans: Vec::new(), tally, attempt: version, receipts }).unwrap();
        busy += start.elapsed();
    }
    let rows = totals.written;
    println!("{what}: {rows} rows in, {:.0} rows/s", rows as f64 / busy.as_secs_f64());
    drop(committer);
    execute(dir, "PRAGMA wal_checkpoint(TRUNCATE)");
    let mut reader = source(dir, source_json).source.open(ALL, &Checkpoint::default()).unwrap();
    let start = Instant::now();
    let read: u64 = read_all(&mut *reader).unwrap().iter().map(|(chunk, _)| chunk.len()).sum();
    println!("{what}: {read} rows out, {:.0} rows/s", read as f64 / start.elapsed().as_secs_f64());
    assert_eq!(read, rows);
}

#[test]
#[ignore = "a measurement, for a release build"]
fn speed() {
    let dir = tempfile::tempdir().unwrap();
    measure(
        dir.path(),
        "table",
        r#"{"table": {"url": "sqlite:weather.db", "table": "t"}}"#,
        r#"{"table": {"url": "sqlite:weather.db", "table": "t", "columns": {"station_id": "string", "date": "string", "degrees": "float64"}}}"#,
        None,
    );
    let dir = tempfile::tempdir().unwrap();
    let topic = r#"{"topic": {"url": "sqlite:weather.db", "topic": "temperatures"}}"#;
    measure(dir.path(), "topic", topic, topic, Some(4));
}
