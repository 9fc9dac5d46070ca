//! Readers in use, each in a Python environment of its own, read an archive while a run writes to it: every value, the
//! committed rows alone, and no more row groups than a filter needs.

use crate::archive_world::{Job, run};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::ipc::writer::FileWriter;
use files::sink::{Compression, Layout, ParquetSink};
use files::store::local::Local;
use operators_core::chunk::Kind;
use operators_core::position::Anchors;
use operators_core::progress::{Commit, Fingerprint, Progress, Tally, Version};
use operators_core::stage::{Closing, Committer, Sink, Writer};
use operators_core::{Chunk, Position, Schema, Span};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use testkit::project;

/// Rows of the largest file: two whole row groups and the beginning of a third.
const LARGE: u64 = (2 << 20) + 30_000;
/// Rows of one chunk.
const CHUNK: u64 = 1 << 17;
/// What each of the two commits adds to each of the two source partitions. `row` is the position, but in partition 1
/// `10_000_000` more.
const COMMITS: [[Range<u64>; 2]; 2] = [[0..LARGE, 0..1_000], [LARGE..LARGE + 500, 1_000..1_500]];
/// What comes next, not committed.
const NEXT: [Range<u64>; 2] = [LARGE + 500..LARGE + 1_000, 1_500..2_000];

/// The largest file has zeros of both signs in pages of their own, and other numbers in each row group. Of the small
/// files one has infinities, another no number above -0.0.
fn wind(partition: u32, position: u64) -> f64 {
    let ordinary = (position % 1_000) as f64 / 10.0;
    match (partition, position) {
        (0, 40_000..100_000 | LARGE) => -0.0,
        (0, 100_000..160_000) => 0.0,
        (0, LARGE..) => -ordinary,
        (0, _) => ordinary + 100.0 * (position >> 20) as f64,
        (_, 17) => f64::NEG_INFINITY,
        (_, 18) => f64::INFINITY,
        _ => ordinary,
    }
}

/// As [`wind`], with NaN in the second row group alone, and infinities in the others.
fn degrees(partition: u32, position: u64) -> f64 {
    match (partition, position) {
        (0, 17) => f64::NEG_INFINITY,
        (0, 1_500_000) => f64::NAN,
        (0, 1_500_001) => -f64::NAN,
        (0, 2_100_000) => f64::INFINITY,
        _ => wind(partition, position),
    }
}

fn rows(partition: u32, positions: Range<u64>) -> RecordBatch {
    let each = || positions.clone();
    let kept = |position: u64, every: u64| !position.is_multiple_of(every);
    let days: ArrayRef = Arc::new(Date32Array::from_iter_values(each().map(|p| 10_957 + p as i32 / 2_000)));
    let dates = cast(&days, &DataType::Utf8).unwrap();
    let row = Int64Array::from_iter_values(each().map(|p| (p + u64::from(partition) * 10_000_000) as i64));
    let wind = Float32Array::from_iter_values(each().map(|p| wind(partition, p) as f32));
    let rain: Float64Array = each().zip(wind.values()).map(|(p, wind)| kept(p, 97).then_some((*wind).into())).collect();
    let degrees: Float64Array = each().map(|p| kept(p, 89).then(|| degrees(partition, p))).collect();
    let stations: StringArray = each().map(|p| kept(p, 31).then(|| format!("station-{}", p % 50))).collect();
    let times = TimestampMicrosecondArray::from_iter_values(each().map(|p| p as i64 * 1_000_003 - 1_000_000_000));
    let columns: [(&str, ArrayRef); 11] = [
        ("row", Arc::new(row)),
        ("degrees", Arc::new(degrees)),
        ("wind", Arc::new(wind)),
        ("rain", Arc::new(rain)),
        ("station_id", Arc::new(stations)),
        ("date", dates),
        ("day", days),
        ("at", Arc::new(times.with_timezone("+00:00"))),
        ("count", Arc::new(each().map(|p| kept(p, 13).then_some(i64::MIN + p as i64)).collect::<Int64Array>())),
        ("is_wet", Arc::new(each().map(|p| kept(p, 7).then_some(p % 2 == 0)).collect::<BooleanArray>())),
        ("payload", Arc::new(each().map(|p| kept(p, 11).then(|| p.to_be_bytes())).collect::<BinaryArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns.map(|(name, values)| (name, values, name != "row" && name != "wind")),
    )
    .unwrap()
}

/// What a source gives for a commit, piece by piece; in the layout that has them, the last rows of partition 1 are dead
/// letters.
fn pieces([first, second]: &[Range<u64>; 2], layout: Layout) -> Vec<(Kind, u32, Range<u64>)> {
    let dead = second.end - dead_letters(layout);
    let begins = first.clone().step_by(CHUNK as usize);
    let large = begins.map(|begin| (Kind::Rows, 0, begin..first.end.min(begin + CHUNK)));
    let small = [(Kind::Rows, 1, second.start..dead), (Kind::DeadLetters, 1, dead..second.end)];
    large.chain(small).filter(|(_, _, positions)| !positions.is_empty()).collect()
}

fn dead_letters(layout: Layout) -> u64 {
    match layout {
        Layout::Batches => 10,
        Layout::Flat => 0,
    }
}

/// A directory with an archive in `data/archive`, its committed rows in `reference.arrow`, and a run that has written
/// half of the next batch: the files of one writer are closed, those of another still open.
struct Running {
    directory: TempDir,
    _committer: Box<dyn Committer>,
    _writer: Box<dyn Writer>,
}

impl Running {
    fn new(layout: Layout) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let schema = rows(0, 0..0).schema();
        let columns = Schema::from_arrow(schema.clone());
        let store = Arc::new(Local::new(directory.path().join("data/archive")));
        let sink = ParquetSink::new(store, "archive".to_owned(), &columns, Compression::Zstd, layout)
            .with_bloom_filters(&["station_id".to_owned()]);
        let run = run("one");
        let mut committer = sink.open(&run).unwrap().committer;
        let reference = File::create(directory.path().join("reference.arrow")).unwrap();
        let mut reference = FileWriter::try_new(reference, &schema).unwrap();
        let mut before = None;
        for (attempt, ranges) in (0..).zip(&COMMITS) {
            let mut writer = sink.writer(&run, attempt).unwrap();
            for (kind, partition, positions) in pieces(ranges, layout) {
                let rows = rows(partition, positions.clone());
                if kind == Kind::Rows {
                    reference.write(&rows).unwrap();
                }
                writer.write(chunk(kind, partition, positions, rows)).unwrap();
            }
            let (mut commit, closing) = commit(attempt, ranges, before.take(), layout);
            before = Some(commit.progress.clone());
            commit.receipts.push(writer.close(&closing).unwrap());
            committer.commit(commit).unwrap();
        }
        reference.finish().unwrap();
        let [closed, _writer] = [2, 3].map(|attempt| {
            let mut writer = sink.writer(&run, attempt).unwrap();
            for (kind, partition, positions) in pieces(&NEXT, layout) {
                writer.write(chunk(kind, partition, positions.clone(), rows(partition, positions))).unwrap();
            }
            writer
        });
        closed.close(&commit(2, &NEXT, before, layout).1).unwrap();
        Self { directory, _committer: committer, _writer }
    }
}

fn chunk(kind: Kind, partition: u32, positions: Range<u64>, rows: RecordBatch) -> Chunk {
    let mut chunk = Chunk::new(partition, UInt64Array::from_iter_values(positions), rows);
    chunk.kind = kind;
    chunk
}

fn commit(attempt: u64, ranges: &[Range<u64>; 2], before: Option<Progress>, layout: Layout) -> (Commit, Closing) {
    let spans = (0..).zip(ranges).map(|(partition, range)| {
        let (from, to) = (Position(range.start), Position(range.end));
        Span { partition, from, to, rows: range.end - range.start, anchor: None }
    });
    let spans: Vec<_> = spans.collect();
    let (mut positions, mut totals) = before.map(|before| (before.positions, before.totals)).unwrap_or_default();
    spans.iter().for_each(|span| positions.advance(span).unwrap());
    let (read, dead_letters) = (spans.iter().map(|span| span.rows).sum(), dead_letters(layout));
    let tally = Tally { read, written: read - dead_letters, dead_letters, ..Tally::default() };
    totals += tally;
    let (version, fingerprint) = (Version(attempt), Fingerprint::default());
    let closing = Closing { version, spans: spans.clone(), fingerprint: fingerprint.clone(), source: None };
    let anchors = Anchors::default();
    let progress = Progress { version, run: run("one"), fingerprint, source: None, positions, anchors, totals };
    (Commit { progress, spans, tally, attempt, receipts: Vec::new() }, closing)
}

/// Where `.ci/run` installs readers: the newest ones, and the oldest that an archive promises to be read by.
const CURRENT: &str = "target/python";
const OLDER: &str = "target/python-older";

/// Where Spark is, if it is to be tried: `WEATHERFLOW_SPARK` is its version, `3.5` or `4`.
fn spark() -> Option<String> {
    let Ok(version) = std::env::var("WEATHERFLOW_SPARK") else {
        skipped("Spark read nothing, as WEATHERFLOW_SPARK names no version");
        return None;
    };
    let environment = format!("target/python-spark-{version}");
    assert!(
        project().join(&environment).exists(),
        "install it first: python3 -m venv {environment} && {environment}/bin/pip install 'pyspark=={version}.*' pyarrow \
         pandas"
    );
    Some(environment)
}

/// Runs a script, and gives what it prints; `None` where its environment is not installed.
fn python(environment: &str, directory: &Path, arguments: &[&OsStr]) -> Option<String> {
    let python = project().join(environment).join("bin/python");
    if !python.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "there is no {environment}; .ci/run installs it");
        skipped(&format!("{arguments:?} was not run, there is no {environment}"));
        return None;
    }
    let output = Command::new(python).current_dir(directory).args(arguments).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{environment} {arguments:?}:\n{printed}{errors}");
    Some(printed)
}

/// Says so past the capture of the test harness.
fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

fn every_reader_reads(layout: Layout, name: &str) {
    let running = Running::new(layout);
    let directory = running.directory.path();
    let mut readers = vec![
        (CURRENT.to_owned(), "read_pyarrow.py"),
        (CURRENT.to_owned(), "read_polars.py"),
        (CURRENT.to_owned(), "read_duckdb.py"),
        (OLDER.to_owned(), "read_pyarrow.py"),
        (OLDER.to_owned(), "read_polars.py"),
        (OLDER.to_owned(), "read_datafusion.py"),
    ];
    readers.extend(spark().map(|environment| (environment, "read_spark.py")));
    for (environment, script) in readers {
        let path = project().join("operators/files/tests/it/readers").join(script);
        let arguments = [path.as_os_str(), "data/archive".as_ref(), name.as_ref(), "reference.arrow".as_ref()];
        if let Some(printed) = python(&environment, directory, &arguments) {
            println!("{environment} {script} {name}:\n{printed}");
        }
    }
}

#[test]
fn every_reader_reads_an_archive_of_batches() {
    every_reader_reads(Layout::Batches, "batches");
}

#[test]
fn every_reader_reads_a_flat_archive() {
    every_reader_reads(Layout::Flat, "flat");
}

#[test]
fn the_readme_shows_how_to_read_an_archive() {
    let readme = std::fs::read_to_string(project().join("operators/files/README.md")).unwrap();
    let section = readme.split("\n## ").find(|section| section.starts_with("Reading the archive")).unwrap();
    let snippets: Vec<_> = section.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let directory = tempfile::tempdir().unwrap();
    let job = Job { partitions: 3, positions: 24, step: 3 };
    job.live(&crate::archive_world::sink(&Local::new(directory.path().join("data/archive"))), "one").unwrap();
    let environments = [
        ("import pyarrow", Some(CURRENT.to_owned())),
        ("import polars", Some(CURRENT.to_owned())),
        ("import duckdb", Some(CURRENT.to_owned())),
        ("from datafusion", Some(OLDER.to_owned())),
        ("from pyspark", spark()),
    ];
    assert_eq!(snippets.len(), environments.len());
    for (snippet, (import, environment)) in snippets.iter().zip(environments) {
        assert!(snippet.starts_with(import), "{snippet}");
        let Some(environment) = environment else { continue };
        if let Some(printed) = python(&environment, directory.path(), &["-c".as_ref(), snippet.as_ref()]) {
            assert_eq!(printed.trim(), "3", "one row of that day from each partition: {snippet}");
        }
    }
}
