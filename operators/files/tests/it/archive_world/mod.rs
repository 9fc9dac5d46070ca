//! A small world for the proofs of the archive: rows that anyone can predict, a program that archives them, and a
//! reader that knows nothing of the sink.
pub mod earlier;

pub mod flat_file;

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::Float64Type;
use bytes::Bytes;
use files::sink::{Compression, Layout, ParquetSink};
use files::store::{EntryKind, Store};
use operators_core::chunk::Kind;
use operators_core::position::Anchor;
use operators_core::progress::{Commit, Fingerprint, Progress, Receipt, Run, Tally, Version};
use operators_core::schema::Column;
use operators_core::stage::{Account, Audit, Closing, Finding, Opened, Sink};
use operators_core::{Chunk, ColumnType, Error, Position, Schema, Span};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

pub const FLOW: &str = "weather/archive";

/// What becomes of the row at a position, the same in every source partition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Written,
    Filtered,
    DeadLetter,
}

/// Positions 3, 4, 5 of every twelve are filtered, so that a batch of three positions has spans and no rows.
fn fate(position: u64) -> Fate {
    match position % 12 {
        3..=5 => Fate::Filtered,
        8 => Fate::DeadLetter,
        _ => Fate::Written,
    }
}

/// The rows of one source partition, dead letters included, by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub written: Vec<u64>,
    pub dead_letters: Vec<u64>,
}

/// How much there is to archive and how it is cut into batches.
#[derive(Clone, Copy)]
pub struct Job {
    /// Source partitions; two of them feed one file.
    pub partitions: u32,
    /// Positions in each.
    pub positions: u64,
    /// Positions of each in one batch.
    pub step: u64,
}

impl Job {
    /// This job in one of the layouts.
    pub const fn laid_out(self, layout: Layout) -> World {
        World { job: self, layout }
    }

    /// What must be in the archive once all is done, by source partition.
    pub fn expected(self) -> BTreeMap<u32, Rows> {
        self.laid_out(Layout::Batches).expected()
    }

    /// One life of the program: takes the archive over and commits batch after batch, from wherever it stands, until
    /// everything is there. Two workers, each with its own writer, share the target partitions.
    pub fn live(self, sink: &dyn Sink, id: &str) -> Result<u64, Error> {
        self.live_telling(sink, id, |_| {})
    }

    /// As [`Job::live`], telling of each commit at once.
    pub fn live_telling(self, sink: &dyn Sink, id: &str, committed: impl Fn(Version)) -> Result<u64, Error> {
        self.laid_out(Layout::Batches).live_telling(sink, id, committed)
    }
}

/// A job and how its files are laid out. In the flat layout no source partitions share a file, and the rows that would
/// be dead letters are filtered.
#[derive(Clone, Copy)]
pub struct World {
    pub job: Job,
    pub layout: Layout,
}

impl World {
    /// What must be in the archive once all is done, by source partition.
    pub fn expected(self) -> BTreeMap<u32, Rows> {
        let of = |wanted| (0..self.job.positions).filter(|p| self.fate(*p) == wanted).collect();
        let rows = Rows { written: of(Fate::Written), dead_letters: of(Fate::DeadLetter) };
        (0..self.job.partitions).map(|partition| (partition, rows.clone())).collect()
    }

    fn fate(self, position: u64) -> Fate {
        match fate(position) {
            Fate::DeadLetter if self.layout == Layout::Flat => Fate::Filtered,
            fate => fate,
        }
    }

    /// The sink on a store.
    pub fn sink(self, store: &(impl Store + Clone + 'static)) -> ParquetSink {
        let store = Arc::new(store.clone());
        ParquetSink::new(store, "archive".to_owned(), &schema(), Compression::Zstd, self.layout)
    }

    /// As [`Job::live`].
    pub fn live(self, sink: &dyn Sink, id: &str) -> Result<u64, Error> {
        self.live_telling(sink, id, |_| {})
    }

    /// As [`Job::live_telling`].
    pub fn live_telling(self, sink: &dyn Sink, id: &str, committed: impl Fn(Version)) -> Result<u64, Error> {
        let opened = sink.open(&run(id))?;
        self.work(sink, opened, id, u64::MAX, committed)
    }

    /// The first commit of a sink that is open.
    pub fn commit_once(self, sink: &dyn Sink, opened: Opened, id: &str) -> Result<u64, Error> {
        self.work(sink, opened, id, 1, |_| {})
    }

    fn work(
        self,
        sink: &dyn Sink,
        opened: Opened,
        id: &str,
        commits: u64,
        committed: impl Fn(Version),
    ) -> Result<u64, Error> {
        let run = run(id);
        let Opened { mut committer, mut progress } = opened;
        for attempt in 0..commits {
            let Some(batch) = self.next(progress.as_ref(), &run) else { return Ok(attempt) };
            let batch = self.write(sink, batch, attempt)?;
            let version = batch.progress.version;
            progress = Some(batch.progress.clone());
            committer.commit(batch)?;
            committed(version);
        }
        Ok(commits)
    }

    /// Writes a batch by two workers, and closes it.
    pub fn write(self, sink: &dyn Sink, batch: Commit, attempt: u64) -> Result<Commit, Error> {
        let run = &batch.progress.run;
        let mut writers = [sink.writer(run, attempt)?, sink.writer(run, attempt)?];
        for span in &batch.spans {
            for kind in [Kind::Rows, Kind::DeadLetters] {
                let Some(chunk) = self.chunk(span, kind) else { continue };
                writers[chunk.partition as usize % 2].write(chunk)?;
            }
        }
        let closing = Closing {
            version: batch.progress.version,
            spans: batch.spans.clone(),
            fingerprint: batch.progress.fingerprint.clone(),
            source: batch.progress.source.clone(),
        };
        let receipts = writers.into_iter().map(|writer| writer.close(&closing)).collect::<Result<Vec<_>, _>>()?;
        Ok(Commit { attempt, receipts, ..batch })
    }

    /// The batch after a commit, not yet written; `None` when everything is committed.
    pub fn next(self, last: Option<&Progress>, run: &Run) -> Option<Commit> {
        let mut positions = last.map(|last| last.positions.clone()).unwrap_or_default();
        let mut anchors = last.map(|last| last.anchors.clone()).unwrap_or_default();
        for (&partition, &to) in &positions.0 {
            assert_eq!(anchors.0.get(&partition).copied(), anchor(partition, to), "it comes back with the position");
        }
        let (mut spans, mut tally) = (Vec::new(), Tally::default());
        for partition in 0..self.job.partitions {
            let from = positions.position(partition).unwrap_or_default();
            let to = Position((from.0 + self.job.step).min(self.job.positions));
            let span = Span { partition, from, to, rows: to.0 - from.0, anchor: anchor(partition, to) };
            if span.rows > 0 {
                positions.advance(&span).unwrap();
                anchors.advance(&span);
                spans.push(span);
            }
            for position in from.0..to.0 {
                tally.read += 1;
                match self.fate(position) {
                    Fate::Written => tally.written += 1,
                    Fate::Filtered => tally.filtered += 1,
                    Fate::DeadLetter => tally.dead_letters += 1,
                }
            }
        }
        let mut totals = last.map(|last| last.totals).unwrap_or_default();
        totals += tally;
        let progress = Progress {
            version: last.map_or(Version::FIRST, |last| last.version.next()),
            run: run.clone(),
            fingerprint: Fingerprint(BTreeMap::from([("source.topic".to_owned(), "temperatures".to_owned())])),
            source: Some("the topic's identity".to_owned()),
            positions,
            anchors,
            totals,
        };
        (!spans.is_empty()).then_some(Commit { progress, spans, tally, attempt: 0, receipts: vec![] })
    }

    fn chunk(self, span: &Span, kind: Kind) -> Option<Chunk> {
        let mut chunk = chunk(span, kind)?;
        if self.layout == Layout::Flat {
            chunk.partition = span.partition;
        }
        (self.layout == Layout::Batches || kind == Kind::Rows).then_some(chunk)
    }

    /// Checks that everything is in the archive, once, in order, and that the audit agrees.
    pub fn assert_whole(self, store: &(impl Store + Clone + 'static), context: &str) {
        let expected = self.expected();
        assert_eq!(rows(store), expected, "{context}");
        let (findings, account) = audit(&self.sink(store));
        assert_eq!(findings, [], "{context}");
        assert_eq!(account.rows, expected.values().map(|rows| rows.written.len() as u64).sum::<u64>(), "{context}");
        for span in account.spans {
            assert_eq!((span.from, span.to), (Position(0), Position(self.job.positions)), "{context}");
        }
    }
}

pub fn run(id: &str) -> Run {
    Run { id: id.to_owned(), flow: FLOW.to_owned() }
}

/// The row before a position; no two partitions have the same.
pub fn anchor(partition: u32, position: Position) -> Option<Anchor> {
    Some(Anchor { at: Position(position.0.checked_sub(1)?), epoch: partition + 7 })
}

pub fn schema() -> Schema {
    Schema::new(vec![
        Column::new("station_id", ColumnType::String, false),
        Column::new("date", ColumnType::String, false),
        Column::new("degrees", ColumnType::Float64, false),
    ])
}

pub fn sink(store: &(impl Store + Clone + 'static)) -> ParquetSink {
    Job { partitions: 0, positions: 0, step: 0 }.laid_out(Layout::Batches).sink(store)
}

/// The rows of a span that have one fate; source and position can be told from the row alone.
fn chunk(span: &Span, kind: Kind) -> Option<Chunk> {
    let wanted = if kind == Kind::Rows { Fate::Written } else { Fate::DeadLetter };
    let positions: Vec<u64> = (span.from.0..span.to.0).filter(|p| fate(*p) == wanted).collect();
    let stations = StringArray::from_iter_values(positions.iter().map(|_| span.partition.to_string()));
    let dates = StringArray::from_iter_values(positions.iter().map(|p| format!("2000-01-{:02}", 1 + p % 28)));
    let degrees = Float64Array::from_iter_values(positions.iter().map(|p| *p as f64));
    let columns: [(&str, ArrayRef); 3] =
        [("station_id", Arc::new(stations)), ("date", Arc::new(dates)), ("degrees", Arc::new(degrees))];
    let mut chunk =
        Chunk::new(span.partition, UInt64Array::from(positions), RecordBatch::try_from_iter(columns).unwrap());
    chunk.kind = kind;
    chunk.partition = span.partition / 2;
    (!chunk.is_empty()).then_some(chunk)
}

/// The rows of a span that are written.
pub fn chunk_of(span: &Span) -> Option<Chunk> {
    chunk(span, Kind::Rows)
}

/// The first batch of a job, with these receipts; its spans are those of source partition 0.
pub fn first_commit(job: Job, run: &Run, receipts: Vec<Receipt>) -> Commit {
    let one = Job { partitions: 1, ..job };
    Commit { receipts, ..one.laid_out(Layout::Batches).next(None, run).unwrap() }
}

/// Reads every file that ends in `.parquet`, whatever its name and wherever it lies, and the dead letters, batch after
/// batch, with the parquet crate alone.
pub fn rows(store: &dyn Store) -> BTreeMap<u32, Rows> {
    let mut all = BTreeMap::<u32, Rows>::new();
    let mut paths = files(store, "");
    paths.retain(|path| path.ends_with(".parquet") || path.ends_with(".dlq"));
    let batch = |path: &str| {
        let (_, number) = path.rsplit_once("-batch-").unwrap();
        number.split('.').next().unwrap().parse::<u64>().unwrap()
    };
    paths.sort_by_key(|path| batch(path));
    for path in paths {
        let dead = path.ends_with(".dlq");
        let bytes = Bytes::from(store.read(&path).unwrap());
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let stations = batch.column_by_name("station_id").unwrap().as_string::<i32>();
            let degrees = batch.column_by_name("degrees").unwrap().as_primitive::<Float64Type>();
            for (station, degrees) in stations.iter().zip(degrees) {
                let rows = all.entry(station.unwrap().parse().unwrap()).or_default();
                let rows = if dead { &mut rows.dead_letters } else { &mut rows.written };
                rows.push(degrees.unwrap() as u64);
            }
        }
    }
    all
}

/// The paths of all files below a directory, in order.
pub fn files(store: &dyn Store, below: &str) -> Vec<String> {
    let mut entries = store.list(below).unwrap_or_default();
    entries.sort();
    let path = |name: &str| if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
    entries
        .iter()
        .flat_map(|entry| match entry.kind {
            EntryKind::Directory => files(store, &path(&entry.name)),
            EntryKind::File(_) => vec![path(&entry.name)],
        })
        .collect()
}

pub fn write(store: &dyn Store, path: &str, bytes: &[u8]) {
    let mut file = store.create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.finish().unwrap();
}

/// Puts other bytes in the place of a file.
pub fn replace(store: &dyn Store, path: &str, bytes: &[u8]) {
    store.delete(path).unwrap();
    write(store, path, bytes);
}

/// Expects that an audit finds something whose path begins as given.
pub fn assert_reported(sink: &dyn Audit, name: &str, place: &str) {
    let (findings, _) = audit(sink);
    let place = format!("archive/{place}");
    assert!(
        findings.iter().any(|finding| finding.path.starts_with(&place)),
        "{name}: nothing at {place}: {findings:#?}"
    );
    println!("{name}: {}: {}", findings[0].path, findings[0].problem);
}

/// What the audit finds and counts.
pub fn audit(sink: &dyn Audit) -> (Vec<Finding>, Account) {
    let mut findings = Vec::new();
    let account = sink.audit(FLOW, &mut |finding| findings.push(finding)).unwrap();
    (findings, account)
}

/// As [`World::assert_whole`].
pub fn assert_whole(store: &(impl Store + Clone + 'static), job: Job, context: &str) {
    job.laid_out(Layout::Batches).assert_whole(store, context);
}

/// Makes a test of each function, once for each layout.
macro_rules! in_both_layouts {
    ($($test:ident)*) => {
        mod batches {
            $(#[test] fn $test() { super::$test(files::sink::Layout::Batches); })*
        }
        mod flat {
            $(#[test] fn $test() { super::$test(files::sink::Layout::Flat); })*
        }
    };
}
