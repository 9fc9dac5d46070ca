//! How fast rows become Parquet files: one worker, four partitions, files in memory.
#![allow(clippy::unwrap_used, missing_docs)]

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use operators::progress::Run;
use operators::sink::parquet::{Compression, Layout, ParquetSink};
use operators::stage::{Closing, Sink};
use operators::store::memory::Memory;
use operators::{Chunk, Schema};
use std::hint::black_box;
use std::sync::Arc;

const STATIONS: usize = 10;
const PARTITIONS: u32 = 4;
const ROWS: usize = 4 << 20;
/// Rows of one chunk, as the sources read them.
const CHUNK: usize = 8 << 10;

/// Ten stations report once a day: they take turns, ten rows share a date, temperatures have two decimals.
fn chunks() -> Vec<Chunk> {
    let chunk = |n: usize| {
        let rows = || n * CHUNK..(n + 1) * CHUNK;
        let stations = StringArray::from_iter_values(rows().map(|row| format!("station-{}", row % STATIONS)));
        let day = |row: usize| row / STATIONS;
        let date = |row| format!("{:04}-{:02}-{:02}", 2000 + day(row) / 336, 1 + day(row) / 28 % 12, 1 + day(row) % 28);
        let dates = StringArray::from_iter_values(rows().map(date));
        let noise = |row: usize| ((row * 2_654_435_761) % 10_007) as f64 / 1_000.0;
        let degrees = Float64Array::from_iter_values(rows().map(|row| (noise(row) * 100.0).round() / 100.0));
        let columns: [(&str, ArrayRef); 3] =
            [("station_id", Arc::new(stations)), ("date", Arc::new(dates)), ("degrees", Arc::new(degrees))];
        let positions = UInt64Array::from_iter_values(rows().map(|row| row as u64));
        Chunk::new(n as u32 % PARTITIONS, positions, RecordBatch::try_from_iter(columns).unwrap())
    };
    (0..ROWS / CHUNK).map(chunk).collect()
}

fn write(c: &mut Criterion) {
    let schema = Schema::new(vec![
        Field::new("station_id", DataType::Utf8, false),
        Field::new("date", DataType::Utf8, false),
        Field::new("degrees", DataType::Float64, false),
    ]);
    let run = Run { id: "bench".to_owned(), flow: "weather/archive".to_owned() };
    let chunks = chunks();
    let mut group = c.benchmark_group("parquet");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    for compression in [Compression::Zstd, Compression::Snappy, Compression::None] {
        group.bench_function(format!("write/{compression:?}").to_lowercase(), |b| {
            let setup = || {
                let store = Arc::new(Memory::default());
                ParquetSink::new(store, "memory".to_owned(), &schema, compression, Layout::Batches)
            };
            let work = |sink: ParquetSink| {
                let mut writer = sink.writer(&run, 0).unwrap();
                for chunk in &chunks {
                    writer.write(chunk.clone()).unwrap();
                }
                black_box(writer.close(&Closing::default()).unwrap());
                sink
            };
            b.iter_batched(setup, work, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, write);
criterion_main!(benches);
