//! What the Parquet sink leaves in a real directory, read with the parquet crate alone; and what its writer does with
//! memory and errors.

use crate::archive_world::{FLOW, Job, anchor, assert_whole, audit, files, run, schema, sink};
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use files::sink::ParquetConfig;
use files::sink::{Compression, Layout, ParquetSink};
use files::store::faulty::{Call, Fault, Faulty};
use files::store::local::Local;
use files::store::memory::Memory;
use files::store::{Entry, Store, StoreError, StoreFile, StoreReader};
use operators_core::chunk::Kind;
use operators_core::config::Context;
use operators_core::inspect::{Files, Ground, Holdings};
use operators_core::progress::{Contents, Version};
use operators_core::stage::{Audit, Closing, Inflow, Sink};
use operators_core::{Chunk, Position, Schema, Span};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

fn built(
    url: &str,
    dir: &Path,
    input: &Schema,
) -> Result<operators_core::stage::BuiltSink, Vec<operators_core::error::Problem>> {
    let config: ParquetConfig = serde_json::from_value(serde_json::json!({ "url": url })).unwrap();
    config.build(input, Inflow::default(), &Context { dir: dir.to_owned() })
}

#[test]
fn a_real_directory() {
    let directory = tempfile::tempdir().unwrap();
    let job = Job { partitions: 4, positions: 12, step: 3 };
    let built = built("file:../data/archive", &directory.path().join("pipelines"), &schema()).unwrap();
    let root = directory.path().join("data/archive");
    assert_eq!(built.place, format!("file:{}", root.display()));
    assert!(!directory.path().join("data").exists(), "building touches nothing");
    assert_eq!(built.sink.progress(FLOW).unwrap(), None);
    assert_eq!(job.live(&*built.sink, "one").unwrap(), 4);
    assert_eq!(job.live(&*built.sink, "two").unwrap(), 0, "a second run finds everything committed");
    let batch = root.join("segment=000000/batch=00000000000000000002");
    let mut names: Vec<_> = std::fs::read_dir(&batch).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    let expected = [
        "_checkpoint.json",
        "_dead-letters-0-batch-2.dlq",
        "_dead-letters-1-batch-2.dlq",
        "partition-0-batch-2.parquet",
        "partition-1-batch-2.parquet",
    ];
    assert_eq!(names, expected);
    let reader = SerializedFileReader::new(File::open(batch.join("partition-1-batch-2.parquet")).unwrap()).unwrap();
    let metadata = reader.metadata().file_metadata();
    assert_eq!(metadata.num_rows(), 4);
    assert!(metadata.created_by().unwrap().starts_with("weatherflow version "));
    let pairs: BTreeMap<_, _> =
        metadata.key_value_metadata().unwrap().iter().map(|p| (p.key.as_str(), p.value.as_deref().unwrap())).collect();
    assert_eq!(pairs["weatherflow.flow"], FLOW);
    assert_eq!(pairs["weatherflow.run"], "one");
    assert_eq!(pairs["weatherflow.batch"], "2");
    assert_eq!(pairs["weatherflow.partition"], "1");
    let to = Position(9);
    let span = |partition| Span { partition, from: Position(6), to, rows: 3, anchor: anchor(partition, to) };
    let spans: Vec<Span> = serde_json::from_str(pairs["weatherflow.spans"]).unwrap();
    assert_eq!(spans, [span(2), span(3)], "the spans of those source partitions that fed this file");
    assert_whole(&Local::new(root), job, "in a real directory");
}

/// Two flows in one directory are told apart by their places, so each directory has one.
#[test]
fn a_directory_of_hdfs_has_one_place() {
    for url in ["hdfs://boss:9000/data", "hdfs://boss:9000//data/"] {
        let built = built(url, Path::new("/pipelines"), &schema()).unwrap();
        assert_eq!(built.place, "hdfs://boss:9000/data");
        assert_eq!(built.about.summary, "Parquet files in hdfs://boss:9000/data");
    }
}

#[test]
fn wrong_places_and_columns_are_all_named() {
    let here = Path::new("/pipelines");
    for url in ["s3://boss/data", "../data", "file:", ""] {
        let problems = built(url, here, &schema()).err().unwrap();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].at, ["url"]);
        assert!(problems[0].message.contains(url) && problems[0].help.as_ref().unwrap().contains("file:"));
    }
    for url in [
        "hdfs:data",
        "hdfs://",
        "hdfs:///data",
        "hdfs://boss:9000",
        "hdfs://boss:9000/a/../b",
        "hdfs://unheard-of/data",
    ] {
        let problems = built(url, here, &schema()).err().unwrap();
        assert_eq!((problems.len(), &problems[0].at[..]), (1, &["url".to_owned()][..]), "{url}");
        assert!(problems[0].help.as_ref().unwrap().contains("hdfs://boss:9000/data"), "{url}");
    }
    assert_eq!(built("data", here, &Schema::new(vec![])).err().unwrap().len(), 2, "both at once");
}

/// Rows of `partition` that do not repeat, so that memory is really held.
fn chunk(partition: u32, rows: usize, salt: u64) -> Chunk {
    let number = |row: usize| (row as u64 + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let stations = StringArray::from_iter_values((0..rows).map(|row| format!("{:0>200x}", number(row))));
    let dates = StringArray::from_iter_values((0..rows).map(|_| "2000-01-01"));
    let degrees = Float64Array::from_iter_values((0..rows).map(|row| number(row) as f64));
    let columns: [(&str, ArrayRef); 3] =
        [("station_id", Arc::new(stations)), ("date", Arc::new(dates)), ("degrees", Arc::new(degrees))];
    let positions = UInt64Array::from_iter_values((0..rows).map(|row| row as u64));
    Chunk::new(partition, positions, RecordBatch::try_from_iter(columns).unwrap())
}

/// However much is written into however many files, what a writer holds stays bounded.
#[test]
fn memory_of_many_open_files_is_bounded() {
    many_files_are_bounded(Arc::new(Memory::default()));
}

/// Also where a file is slow to let go of what it was given, as with a client that queues it.
#[test]
fn what_files_have_not_sent_is_bounded() {
    let slow = Slow::default();
    many_files_are_bounded(Arc::new(slow.clone()));
    let most = slow.most.load(Ordering::Relaxed);
    println!("{} MiB queued at most", most >> 20);
    assert!(most < 40 << 20, "{most}");
}

/// Files that keep all they are given until they are freed or finished.
#[derive(Clone, Default)]
struct Slow {
    files: Memory,
    queued: Arc<AtomicU64>,
    most: Arc<AtomicU64>,
}

struct SlowFile {
    file: Box<dyn StoreFile>,
    slow: Slow,
    held: u64,
}

impl Write for SlowFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.held += data.len() as u64;
        let queued = self.slow.queued.fetch_add(data.len() as u64, Ordering::Relaxed) + data.len() as u64;
        self.slow.most.fetch_max(queued, Ordering::Relaxed);
        self.file.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl StoreFile for SlowFile {
    fn held(&self) -> u64 {
        self.held
    }

    fn free(&mut self) -> io::Result<()> {
        self.slow.queued.fetch_sub(std::mem::take(&mut self.held), Ordering::Relaxed);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        self.free().unwrap();
        self.file.finish()
    }
}

impl Store for Slow {
    fn create(&self, path: &str) -> Result<Box<dyn StoreFile>, StoreError> {
        Ok(Box::new(SlowFile { file: self.files.create(path)?, slow: self.clone(), held: 0 }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        self.files.read(path)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreReader>, StoreError> {
        self.files.open(path)
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, StoreError> {
        self.files.list(path)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.files.rename(from, to)
    }

    fn replace(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.files.replace(from, to)
    }

    fn delete(&self, path: &str) -> Result<bool, StoreError> {
        self.files.delete(path)
    }

    fn delete_empty(&self, path: &str) -> Result<bool, StoreError> {
        self.files.delete_empty(path)
    }

    fn modified(&self, path: &str) -> Result<SystemTime, StoreError> {
        self.files.modified(path)
    }

    fn root(&self) -> Result<Ground, StoreError> {
        self.files.root()
    }

    fn staging(&self) -> Result<Ground, StoreError> {
        self.files.staging()
    }

    fn staging_place(&self) -> String {
        self.files.staging_place()
    }

    fn staging_advice(&self) -> String {
        self.files.staging_advice()
    }
}

fn many_files_are_bounded(store: Arc<dyn Store>) {
    let sink = ParquetSink::new(store, "archive".to_owned(), &schema(), Compression::None, Layout::Batches);
    let mut writer = sink.writer(&run("one"), 0).unwrap();
    let (files, rounds, rows) = (100, 7, 500);
    let mut most = 0;
    let mut given = 0;
    for round in 0..rounds {
        for partition in 0..files {
            let chunk = chunk(partition, rows, u64::from(round * files + partition) << 32);
            given += chunk.bytes();
            most = writer.write(chunk).unwrap().bytes.max(most);
        }
    }
    println!("{} MiB written into {files} open files, {} MiB held at most", given >> 20, most >> 20);
    assert!(given > 60 << 20, "or this shows nothing");
    assert!(most <= 40 << 20, "{most}");
    let receipt = writer.close(&Closing::default()).unwrap();
    assert_eq!(receipt.rows, u64::from(files * rounds) * rows as u64);
    let Contents::Files(entries) = receipt.contents else { panic!("no files") };
    assert_eq!(entries.len(), files as usize);
}

/// A writer that has failed at any call is never written or closed again.
#[test]
fn after_an_error_nothing_is_written_any_more() {
    let span = Span { partition: 0, from: Position(0), to: Position(9), rows: 9, anchor: None };
    let write = |faulty: &Faulty| {
        let mut writer = sink(faulty).writer(&run("one"), 0).unwrap();
        let mut failed = 0;
        for salt in 0..3 {
            for kind in [Kind::Rows, Kind::DeadLetters] {
                let mut chunk = chunk(0, 200, salt << 32);
                chunk.kind = kind;
                failed += u32::from(writer.write(chunk).is_err());
            }
        }
        (failed, writer.close(&Closing { spans: vec![span], ..Closing::default() }))
    };
    let healthy = Faulty::new(Arc::new(Memory::default()), []);
    write(&healthy).1.unwrap();
    let calls = healthy.made();
    for call in 0..calls {
        let memory = Memory::default();
        let faulty = Faulty::new(Arc::new(memory.clone()), [(call, Fault::Unanswered)]);
        let (failed, closed) = write(&faulty);
        assert!(closed.is_err(), "call {call} had no answer, and the close said that all is well");
        let files_finished = faulty.counts().get(&Call::Finish).copied().unwrap_or(0);
        assert!(failed == 0 || files_finished == 0, "call {call}: closed after an error");
        assert_eq!(audit(&sink(&memory)).1.batches, 0);
    }
    println!("each of {calls} calls of a writer failed once: {:?}", healthy.counts());
}

/// A directory deleted under a running program stops it: the next batch must not be published alone.
#[test]
fn a_directory_deleted_under_us_stops_the_flow() {
    let memory = Memory::default();
    let job = Job { partitions: 2, positions: 12, step: 3 };
    let deleted = job.live_telling(&sink(&memory), "one", |version| {
        if version == Version(1) {
            memory.delete("segment=000000").unwrap();
        }
    });
    let error = deleted.unwrap_err().to_string();
    assert!(error.contains("batch 1 is gone") && error.contains("Batch 2 was not published"), "{error}");
    assert!(memory.read("segment=000000/batch=00000000000000000002/_checkpoint.json").is_err());
}

#[test]
fn what_is_there_is_told_from_names_alone() {
    for layout in [Layout::Batches, Layout::Flat] {
        let (memory, world) = (Memory::default(), Job { partitions: 3, positions: 9, step: 3 }.laid_out(layout));
        assert_eq!(world.sink(&memory).holdings(FLOW).unwrap(), Holdings::default());
        assert_eq!(memory.list("").err().map(|error| error.to_string()), Some("cannot list : not found".to_owned()));
        world.live(&world.sink(&memory), "one").unwrap();
        let counted = Faulty::new(Arc::new(memory.clone()), []);
        let holdings = world.sink(&counted).holdings(FLOW).unwrap();
        let (_, account) = audit(&world.sink(&memory));
        let is_data = |path: &String| path.ends_with(".parquet") || path.ends_with(".dlq");
        let data: Vec<_> = files(&memory, "").into_iter().filter(is_data).collect();
        let bytes: u64 = data.iter().map(|path| memory.read(path).unwrap().len() as u64).sum();
        assert_eq!(account.files, data.len() as u64);
        let (count, small) = (data.len() as u64, data.len() as u64);
        assert_eq!(holdings.files, Some(Files { count, bytes, small }), "{layout:?}");
        let written = data.iter().map(|path| memory.modified(path).unwrap()).max().unwrap();
        // The record of a batch is written after its files.
        let at = holdings.committed_at.unwrap();
        assert!(at >= written && at <= std::time::SystemTime::now(), "{layout:?}");
        let kinds = counted.counts();
        assert!(kinds.keys().all(|call| matches!(call, Call::List | Call::Modified)), "{layout:?}: {kinds:?}");
    }
}
