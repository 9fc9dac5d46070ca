//! Rows per second of the codecs on `weather.Report`, in chunks of 8192 rows on one core.
#![allow(clippy::unwrap_used, missing_docs)]

mod input;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use stages::decode::DecodeConfig;
use stages::encode::EncodeConfig;
use std::hint::black_box;

/// Measures a pair of codecs; the decoder reads what the encoder wrote.
fn measure(criterion: &mut Criterion, name: &str, encode: Value, decode: Value) {
    let (encode, decode): (EncodeConfig, DecodeConfig) = (input::config(encode), input::config(decode));
    let reports = input::rows(1).remove(0);
    let encoder = encode.build(&reports.columns(), &input::context()).unwrap();
    let decoder = decode.build(&encoder.schema, &input::context()).unwrap();
    let (mut encoder, mut decoder) = (encoder.stage.handle(), decoder.stage.handle());
    let messages = input::apply(&mut *encoder, reports.clone());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(reports.len()));
    for (name, handle, chunk) in [("encode", &mut encoder, reports), ("decode", &mut decoder, messages)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || chunk.clone(),
                |chunk| black_box(input::apply(&mut **handle, chunk)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn codecs(criterion: &mut Criterion) {
    measure(criterion, "protobuf", input::protobuf(), input::protobuf());
    measure(criterion, "json", json!({ "json": {} }), input::from_json());
}

criterion_group!(benches, codecs);
criterion_main!(benches);
