//! Rows per second of the weather source and of the stages that look at every row: `partition.key`, `filter`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use operators::config::{Context, Interval};
use operators::partition::PartitionConfig;
use operators::position::Checkpoint;
use operators::source::SourceConfig;
use operators::source::weather::WeatherConfig;
use operators::stage::{BuiltSource, BuiltStage, Read, Reader, Share};
use operators::transform::TransformConfig;
use operators::{Chunk, Schema};
use serde_json::json;
use std::time::Duration;

fn weather() -> BuiltSource {
    let config = WeatherConfig { every: Interval(Duration::ZERO), ..WeatherConfig::default() };
    SourceConfig::Weather(config).build(&Context { dir: ".".into() }).unwrap()
}

fn reader(weather: &BuiltSource) -> Box<dyn Reader> {
    weather.source.open(Share { index: 0, of: 1 }, &Checkpoint::default()).unwrap()
}

/// The next chunk; from the first day again after the last.
fn read(weather: &BuiltSource, open: &mut Box<dyn Reader>) -> Chunk {
    loop {
        match open.read().unwrap() {
            Read::Rows(chunk, _) => return chunk,
            Read::End => *open = reader(weather),
            other => panic!("no rows but {other:?}"),
        }
    }
}

fn filter(schema: &Schema) -> BuiltStage {
    let config = json!({ "filter": { "column": "degrees", "ge": 0, "lt": 20 } });
    serde_json::from_value::<TransformConfig>(config).unwrap().build(schema).unwrap()
}

fn key(schema: &Schema) -> BuiltStage {
    let config = json!({ "key": { "column": "station_id", "partitions": 4 } });
    serde_json::from_value::<PartitionConfig>(config).unwrap().build(schema).unwrap()
}

fn stages(c: &mut Criterion) {
    let weather = weather();
    let mut source = reader(&weather);
    let chunk = read(&weather, &mut source);
    let mut group = c.benchmark_group("10 stations");
    group.throughput(Throughput::Elements(chunk.len()));
    group.bench_function("source.weather", |b| b.iter(|| read(&weather, &mut source)));
    for (name, stage) in [("transform.filter", filter(&weather.schema)), ("partition.key", key(&weather.schema))] {
        let mut handle = stage.stage.handle();
        group.bench_function(name, |b| {
            b.iter_batched(|| chunk.clone(), |chunk| handle.apply(chunk).unwrap(), BatchSize::SmallInput);
        });
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
