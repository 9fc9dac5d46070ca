//! Rows per second of the codecs on `weather.Report`, in chunks of 8192 rows on one core.

#![allow(clippy::unwrap_used, missing_docs)]

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use operators::Chunk;
use operators::config::{ColumnType, Context, OnError};
use operators::decode::{self, DecodeConfig};
use operators::encode::{self, EncodeConfig};
use operators::stage::Apply;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

const ROWS: usize = 8192;

/// Days of ten stations, as the main job moves them.
fn reports() -> Chunk {
    let dates = (0..ROWS).map(|row| format!("20{:02}-{:02}-{:02}", row / 10 % 100, row % 12 + 1, row % 28 + 1));
    let degrees = (0..ROWS).map(|row| (row * 37 % 400) as f64 / 10.0 - 12.0);
    let stations = (0..ROWS).map(|row| format!("station{:02}", row % 10));
    let columns: [(&str, ArrayRef); 3] = [
        ("date", Arc::new(StringArray::from_iter_values(dates))),
        ("degrees", Arc::new(Float64Array::from_iter_values(degrees))),
        ("station_id", Arc::new(StringArray::from_iter_values(stations))),
    ];
    Chunk::new(0, UInt64Array::from_iter_values(0..ROWS as u64), RecordBatch::try_from_iter(columns).unwrap())
}

fn apply(handle: &mut dyn Apply, chunk: Chunk) -> Chunk {
    handle.apply(chunk).unwrap().rows.pop().unwrap()
}

/// Measures a pair of codecs; the decoder reads what the encoder wrote.
fn measure(criterion: &mut Criterion, name: &str, encode: &EncodeConfig, decode: &DecodeConfig) {
    let context = Context { dir: Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines") };
    let reports = reports();
    let encoder = encode.build(&reports.columns(), &context).unwrap();
    let decoder = decode.build(&encoder.schema, &context).unwrap();
    let (mut encoder, mut decoder) = (encoder.stage.handle(), decoder.stage.handle());
    let messages = apply(&mut *encoder, reports.clone());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter_batched(|| reports.clone(), |chunk| black_box(apply(&mut *encoder, chunk)), BatchSize::SmallInput);
    });
    group.bench_function("decode", |bencher| {
        bencher.iter_batched(
            || messages.clone(),
            |chunk| black_box(apply(&mut *decoder, chunk)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn codecs(criterion: &mut Criterion) {
    let (schema, message) = ("../proto/report.proto".to_owned(), "weather.Report".to_owned());
    let on_error = OnError::Fail;
    let encode = encode::protobuf::ProtobufConfig { schema: schema.clone(), message: message.clone(), on_error };
    let decode = decode::protobuf::ProtobufConfig { schema, message, on_error };
    measure(criterion, "protobuf", &EncodeConfig::Protobuf(encode), &DecodeConfig::Protobuf(decode));
    let encode = encode::json::JsonConfig { on_error };
    let columns = [("date", ColumnType::String), ("degrees", ColumnType::Float64), ("station_id", ColumnType::String)];
    let columns = columns.map(|(name, of)| (name.to_owned(), of)).into();
    let decode = decode::json::JsonConfig { columns, on_error };
    measure(criterion, "json", &EncodeConfig::Json(encode), &DecodeConfig::Json(decode));
}

criterion_group!(benches, codecs);
criterion_main!(benches);
