//! How fast rows become Parquet files: one worker, four partitions, files in memory.
#![allow(clippy::unwrap_used, missing_docs)]

mod input;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use files::sink::Compression;
use std::hint::black_box;

const CHUNKS: usize = 512;

fn write(criterion: &mut Criterion) {
    let chunks = input::partitioned(CHUNKS);
    let mut group = criterion.benchmark_group("parquet");
    let rows = chunks.iter().map(operators_core::Chunk::len).sum();
    group.throughput(Throughput::Elements(rows)).sample_size(10);
    for compression in [Compression::Zstd, Compression::Snappy, Compression::None] {
        group.bench_function(format!("write/{compression:?}").to_lowercase(), |bencher| {
            let setup = || input::parquet(&chunks, compression);
            bencher.iter_batched(setup, |sink| black_box(input::write(&sink, &chunks)), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, write);
criterion_main!(benches);
