//! Rows per second of `source.weather`, of each transform and of each partition, in chunks of 8192 rows on one core.
#![allow(clippy::unwrap_used, missing_docs)]

mod input;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use stages::partition::PartitionConfig;
use stages::transform::TransformConfig;
use std::hint::black_box;

fn stages(criterion: &mut Criterion) {
    let chunk = input::rows(1).remove(0);
    let schema = chunk.columns();
    let transform = |config| input::config::<TransformConfig>(config).build(&schema).unwrap();
    let partition = |config| input::config::<PartitionConfig>(config).build(&schema).unwrap();
    let stages = [
        ("transform.filter", transform(json!({ "filter": { "column": "degrees", "ge": 0, "lt": 20 } }))),
        ("transform.select", transform(json!({ "select": { "columns": ["degrees", "station_id"] } }))),
        ("transform.cast", transform(json!({ "cast": { "columns": { "degrees": "float32" } } }))),
        ("partition.key", partition(json!({ "key": { "column": "station_id", "partitions": 4 } }))),
        ("partition.round_robin", partition(json!({ "round_robin": { "partitions": 4 } }))),
    ];
    let mut group = criterion.benchmark_group("10 stations");
    group.throughput(Throughput::Elements(chunk.len()));
    group.bench_function("source.weather", |bencher| {
        let mut reader = input::reader();
        bencher.iter(|| black_box(input::read(&mut reader)));
    });
    for (name, stage) in stages {
        let mut handle = stage.stage.handle();
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || chunk.clone(),
                |chunk| black_box(handle.apply(chunk).unwrap()),
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
