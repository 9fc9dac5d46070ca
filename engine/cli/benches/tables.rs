//! Rows per second out of a table and out of a topic, each in a SQLite file.
#![allow(clippy::unwrap_used, missing_docs)]

mod input;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use operators_core::config::Context;
use operators_core::position::{Anchors, Checkpoint};
use operators_core::progress::{Commit, Fingerprint, Progress, Run, Tally, Version};
use operators_core::stage::{Closing, Inflow, Read, Share};
use operators_core::{Chunk, stage};
use serde_json::{Value, json};
use stages::encode::EncodeConfig;
use stages::sink::SinkConfig;
use stages::source::SourceConfig;

const CHUNKS: usize = 16;

/// Commits rows into a sink as one batch.
fn fill(sink: Value, chunks: Vec<Chunk>, context: &Context) {
    let inflow = Inflow { partitions: Some(1), dead_letters: false };
    let sink = input::config::<SinkConfig>(sink).build(&chunks[0].columns(), inflow, context).unwrap().sink;
    let run = Run { id: "bench".to_owned(), flow: "weather/bench".to_owned() };
    let mut committer = sink.open(&run).unwrap().committer;
    let mut writer = sink.writer(&run, 0).unwrap();
    let rows = chunks.iter().map(Chunk::len).sum();
    for chunk in chunks {
        writer.write(chunk).unwrap();
    }
    let tally = Tally { read: rows, written: rows, ..Tally::default() };
    let progress = Progress {
        version: Version::FIRST,
        run,
        fingerprint: Fingerprint::default(),
        source: None,
        positions: Checkpoint::default(),
        anchors: Anchors::default(),
        totals: tally,
    };
    let receipts = vec![writer.close(&Closing::default()).unwrap()];
    committer.commit(Commit { progress, spans: Vec::new(), tally, attempt: 0, receipts }).unwrap();
}

/// Rows up to where the source has no more.
fn drain(reader: &mut dyn stage::Reader) -> u64 {
    let mut rows = 0;
    while let Read::Rows(chunk, _) = reader.read().unwrap() {
        rows += chunk.len();
    }
    rows
}

fn read(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let context = Context { dir: dir.path().to_owned() };
    let rows = input::rows(CHUNKS);
    let encoder = input::config::<EncodeConfig>(input::protobuf());
    let mut encoder = encoder.build(&rows[0].columns(), &input::context()).unwrap().stage.handle();
    let messages = rows.iter().map(|chunk| input::apply(&mut *encoder, chunk.clone())).collect();
    let count = rows.iter().map(Chunk::len).sum();
    let columns = json!({ "station_id": "string", "date": "string", "degrees": "float64" });
    let table = json!({ "table": { "url": "sqlite:bench.db", "table": "t" } });
    let topic = json!({ "topic": { "url": "sqlite:bench.db", "topic": "t" } });
    fill(table, rows, &context);
    fill(topic.clone(), messages, &context);
    let mut group = criterion.benchmark_group("sqlite");
    group.throughput(Throughput::Elements(count)).sample_size(10);
    let table = json!({ "table": { "url": "sqlite:bench.db", "table": "t", "cursor": "id", "columns": columns } });
    for (name, source) in [("source.table", table), ("source.topic", topic)] {
        let built = input::config::<SourceConfig>(source).build(&context).unwrap();
        let open = || built.source.open(Share { index: 0, of: 1 }, &Checkpoint::default()).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(open, |reader| assert_eq!(drain(&mut **reader), count), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
