//! What is measured runs on rows as the main job moves them: ten stations report once per simulated day.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic)]

use files::sink::{Compression, Layout, ParquetSink};
use files::store::memory::Memory;
use operators_core::config::{Context, Interval};
use operators_core::progress::{Receipt, Run};
use operators_core::stage::{Apply, BuiltSource, Closing, Read, Reader, Share, Sink};
use operators_core::{Checkpoint, Chunk};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stages::source::SourceConfig;
use stages::source::weather::WeatherConfig;
use std::sync::Arc;
use std::time::Duration;

/// Partitions of the main job's topic.
pub const PARTITIONS: u32 = 4;

/// The first chunks that `source.weather` gives.
pub fn rows(chunks: usize) -> Vec<Chunk> {
    let mut reader = reader();
    (0..chunks).map(|_| read(&mut reader)).collect()
}

/// The same, spread over the partitions of a source in turn.
pub fn partitioned(chunks: usize) -> Vec<Chunk> {
    let mut rows = rows(chunks);
    for (chunk, partition) in rows.iter_mut().zip((0..PARTITIONS).cycle()) {
        (chunk.source, chunk.partition) = (partition, partition);
    }
    rows
}

/// `source.weather` at its first row, without pauses.
pub fn reader() -> Box<dyn Reader> {
    let config = WeatherConfig { every: Interval(Duration::ZERO), ..WeatherConfig::default() };
    let BuiltSource { source, .. } = SourceConfig::Weather(config).build(&context()).unwrap();
    source.open(Share { index: 0, of: 1 }, &Checkpoint::default()).unwrap()
}

/// Its next chunk; from the first row again after the last.
pub fn read(open: &mut Box<dyn Reader>) -> Chunk {
    loop {
        match open.read().unwrap() {
            Read::Rows(chunk, _) => return chunk,
            Read::End => *open = reader(),
            other => panic!("no rows but {other:?}"),
        }
    }
}

/// The one chunk that a stage makes of another.
pub fn apply(stage: &mut dyn Apply, chunk: Chunk) -> Chunk {
    stage.apply(chunk).unwrap().rows.remove(0)
}

/// The config of a stage, as a pipeline file at the top of the project would write it.
pub fn config<T: DeserializeOwned>(config: Value) -> T {
    serde_json::from_value(config).unwrap()
}

/// Settings of both protobuf stages.
pub fn protobuf() -> Value {
    json!({ "protobuf": { "schema": "proto/report.proto", "message": "weather.Report" } })
}

/// Settings of `decode.json` for the columns of the rows.
pub fn from_json() -> Value {
    json!({ "json": { "columns": { "date": "string", "degrees": "float64", "station_id": "string" } } })
}

/// A sink of Parquet files in memory.
pub fn parquet(chunks: &[Chunk], compression: Compression) -> ParquetSink {
    let (store, schema) = (Arc::new(Memory::default()), chunks[0].columns());
    ParquetSink::new(store, "memory".to_owned(), &schema, compression, Layout::Batches)
}

/// Writes one batch.
pub fn write(sink: &ParquetSink, chunks: &[Chunk]) -> Receipt {
    let run = Run { id: "bench".to_owned(), flow: "weather/archive".to_owned() };
    let mut writer = sink.writer(&run, 0).unwrap();
    for chunk in chunks {
        writer.write(chunk.clone()).unwrap();
    }
    writer.close(&Closing::default()).unwrap()
}

/// Paths begin at the top of the project.
pub fn context() -> Context {
    Context { dir: testkit::project() }
}
