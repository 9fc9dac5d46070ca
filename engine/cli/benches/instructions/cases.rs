//! What is counted.

use crate::input;
use crate::reports::{self, Reports};
use files::sink::Compression;
use operators_core::Chunk;
use operators_core::stage::{Apply, BuiltStage};
use serde_json::{Value, json};
use stages::decode::DecodeConfig;
use stages::encode::EncodeConfig;
use stages::partition::PartitionConfig;
use stages::transform::TransformConfig;
use std::hint::black_box;
use std::path::Path;

/// A piece of work that can be done so many times.
pub struct Case {
    pub name: &'static str,
    /// Rows that go through when it is done once.
    pub rows: u64,
    work: fn(times: usize, scratch: &Path),
}

impl Case {
    /// Does it; `scratch` is an empty directory.
    pub fn work(&self, times: usize, scratch: &Path) {
        (self.work)(times, scratch);
    }
}

/// Rows of one chunk, as `source.weather` makes it.
const CHUNK: u64 = 8192;

pub const CASES: &[Case] = &[
    Case { name: "source.weather", rows: CHUNK, work: weather },
    Case { name: "encode.protobuf", rows: CHUNK, work: |times, _| encode(times, input::protobuf()) },
    Case { name: "decode.protobuf", rows: CHUNK, work: |times, _| decode(times, input::protobuf(), input::protobuf()) },
    Case { name: "encode.json", rows: CHUNK, work: |times, _| encode(times, json!({ "json": {} })) },
    Case {
        name: "decode.json",
        rows: CHUNK,
        work: |times, _| decode(times, json!({ "json": {} }), input::from_json()),
    },
    Case { name: "transform.filter", rows: CHUNK, work: filter },
    Case { name: "partition.key", rows: CHUNK, work: key },
    Case { name: "sink.parquet", rows: PARQUET_CHUNKS * CHUNK, work: parquet },
    Case { name: "archive", rows: input::PARTITIONS as u64 * CHUNK, work: archive },
];

fn weather(times: usize, _: &Path) {
    let mut reader = input::reader();
    for _ in 0..times {
        black_box(input::read(&mut reader));
    }
}

/// The same chunk again and again.
fn apply(times: usize, stage: &BuiltStage, chunk: &Chunk) {
    let mut handle: Box<dyn Apply> = stage.stage.handle();
    for _ in 0..times {
        black_box(handle.apply(chunk.clone()).unwrap());
    }
}

fn encoder(config: Value, rows: &Chunk) -> BuiltStage {
    input::config::<EncodeConfig>(config).build(&rows.columns(), &input::context()).unwrap()
}

fn encode(times: usize, config: Value) {
    let rows = input::rows(1).remove(0);
    apply(times, &encoder(config, &rows), &rows);
}

fn decode(times: usize, encoded: Value, config: Value) {
    let rows = input::rows(1).remove(0);
    let encoder = encoder(encoded, &rows);
    let decoder = input::config::<DecodeConfig>(config).build(&encoder.schema, &input::context()).unwrap();
    apply(times, &decoder, &input::apply(&mut *encoder.stage.handle(), rows));
}

fn filter(times: usize, _: &Path) {
    let rows = input::rows(1).remove(0);
    let config = json!({ "filter": { "column": "degrees", "ge": 0, "lt": 20 } });
    apply(times, &input::config::<TransformConfig>(config).build(&rows.columns()).unwrap(), &rows);
}

fn key(times: usize, _: &Path) {
    let rows = input::rows(1).remove(0);
    let config = json!({ "key": { "column": "station_id", "partitions": input::PARTITIONS } });
    apply(times, &input::config::<PartitionConfig>(config).build(&rows.columns()).unwrap(), &rows);
}

const PARQUET_CHUNKS: u64 = 16;

/// One batch of one file per partition, kept in memory.
fn parquet(times: usize, _: &Path) {
    let chunks = input::partitioned(PARQUET_CHUNKS as usize);
    for _ in 0..times {
        black_box(input::write(&input::parquet(&chunks, Compression::Zstd), &chunks));
    }
}

/// The whole leg, engine, commit and files included.
fn archive(times: usize, scratch: &Path) {
    reports::archive(scratch, &Reports::new(times as u64 * CHUNK));
}
