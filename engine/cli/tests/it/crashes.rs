//! The engine over a store that stops the program before and after each single call, applies a call without an
//! answer, or applies it late: whatever happens, a restarted run ends with every row once.

use crate::common::world::plan_into;
use crate::common::{assert_generated, read_file};
use files::sink::{Compression, Layout, ParquetSink};
use files::store::faulty::{Fault, Faulty};
use files::store::memory::Memory;
use files::store::{EntryKind, Store};
use operators_core::Schema;
use operators_core::config::Context;
use operators_core::stage::{Audit, Stage};
use runtime::Halt;
use runtime::Running;
use stages::partition::{PartitionConfig, key::KeyConfig};
use stages::source::{SourceConfig, weather::WeatherConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

const DAYS: u32 = 1_700;
/// Of the weather's 17,000 rows in chunks of 8,192, each epoch holds one chunk: three epochs.
const EPOCH_ROWS: u64 = 5_000;

fn weather() -> Schema {
    SourceConfig::Weather(WeatherConfig::default()).build(&Context { dir: PathBuf::new() }).unwrap().schema
}

/// What stands between source and sink, and the columns it gives; the flat layout keeps the source's one partition.
fn stages(layout: Layout) -> (Vec<Arc<dyn Stage>>, Schema) {
    if layout == Layout::Flat {
        return (Vec::new(), weather());
    }
    let config = PartitionConfig::Key(KeyConfig { column: "station_id".into(), partitions: 2 });
    let built = config.build(&weather()).unwrap();
    (vec![built.stage], built.schema)
}

fn sink(layout: Layout, store: &(impl Store + Clone + 'static)) -> Arc<ParquetSink> {
    let (store, columns) = (Arc::new(store.clone()), stages(layout).1);
    Arc::new(ParquetSink::new(store, "archive".into(), &columns, Compression::None, layout))
}

/// One life of the program.
fn live(layout: Layout, store: &Faulty) -> Result<(), String> {
    let plan = plan_into(DAYS, EPOCH_ROWS, 64 << 20, stages(layout).0, sink(layout, store));
    Running::new(plan, true, Halt::new()).run().map_err(|failure| failure.to_string())
}

/// Lives until a life ends well; every row must then be there once, and the audit must find nothing.
fn survive(layout: Layout, faults: &[(u64, Fault)]) -> u64 {
    let memory = Memory::default();
    let faulty = Faulty::new(Arc::new(memory.clone()), faults.iter().copied());
    let mut lives = 1;
    while let Err(error) = live(layout, &faulty) {
        assert!(lives <= faults.len(), "{faults:?}: failed once more than there were faults: {error}");
        lives += 1;
        memory.crash(lives as u64);
        faulty.restart();
    }
    faulty.settle();
    let mut rows = BTreeMap::new();
    for path in files(&memory, "") {
        if path.ends_with(".parquet") {
            read_file(bytes::Bytes::from(memory.read(&path).unwrap()), &mut rows);
        }
    }
    assert_generated(10, DAYS, &rows);
    let mut findings = Vec::new();
    let account = sink(layout, &memory).audit("test/test", &mut |finding| findings.push(finding)).unwrap();
    assert!(findings.is_empty(), "{faults:?}: {findings:?}");
    assert_eq!(account.rows, u64::from(DAYS) * 10);
    faulty.made()
}

fn files(store: &Memory, directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in store.list(directory).unwrap() {
        let path = if directory.is_empty() { entry.name } else { format!("{directory}/{}", entry.name) };
        match entry.kind {
            EntryKind::Directory => found.extend(files(store, &path)),
            _ => found.push(path),
        }
    }
    found
}

#[test]
fn every_crash_point_under_the_engine() {
    crash_everywhere(Layout::Batches);
}

#[test]
fn every_crash_point_under_the_engine_in_the_flat_layout() {
    crash_everywhere(Layout::Flat);
}

fn crash_everywhere(layout: Layout) {
    let calls = survive(layout, &[]);
    let mut runs = 0;
    for fault in [Fault::StopBefore, Fault::StopAfter, Fault::Unanswered, Fault::Late(3)] {
        for call in 0..calls {
            survive(layout, &[(call, fault)]);
            runs += 1;
        }
    }
    println!("{layout:?}: {calls} calls of a run of 3 epochs, each with 4 faults: {runs} runs, each whole");
}
