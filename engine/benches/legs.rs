//! Whole legs of the main job, in rows per second and peak memory: `cargo bench --bench legs`.
//!
//! - archive: Reports in memory, 4 source partitions, decoded and written as Parquet into a local directory, with real
//!   commits, on one worker;
//! - job: the three embedded flows of the main job in one process, unpaced, from nothing to drained.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use engine::config::load;
use engine::halt::Halt;
use engine::plan::Plan;
use engine::run::Running;
use operators::config::{Context, Interval};
use operators::encode::{EncodeConfig, protobuf::ProtobufConfig};
use operators::source::{SourceConfig, weather::WeatherConfig};
use operators::stage::{Apply, BuiltSource, Read, Reader, Share, Source};
use operators::{Checkpoint, Chunk, Position, Result, Span};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PARTITIONS: u32 = 4;
const ROUNDS: usize = 5;

fn main() {
    let archive_rows = rows_from("WEATHERFLOW_ARCHIVE_ROWS", 20_000_000);
    let job_rows = rows_from("WEATHERFLOW_JOB_ROWS", 2_000_000);
    println!("| leg | rows | median rows/s | min | max | peak memory of the process so far |");
    println!("|---|---|---|---|---|---|");
    let reports = Reports::new(archive_rows / u64::from(PARTITIONS));
    measure("archive, one worker", reports.rows(), |dir| archive(dir, &reports));
    measure("job: three flows", job_rows, |dir| job(dir, job_rows));
}

fn rows_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number of rows"))
}

fn measure(leg: &str, rows: u64, round: impl Fn(&Path)) {
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let began = Instant::now();
            round(dir.path());
            rows as f64 / began.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let [min, median, max] = [rates[0], rates[ROUNDS / 2], rates[ROUNDS - 1]].map(|rate| rate.round() as u64);
    println!("| {leg} | {rows} | {median} | {min} | {max} | {} MiB |", peak_memory() >> 10);
}

/// Highest resident memory of this process so far, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The main job's file, edited for a folder of its own.
fn plan(dir: &Path, rows: u64, flow: Option<&str>) -> Plan {
    let last = operators::source::weather::expected(&WeatherConfig::default(), rows - 1).1;
    let text = std::fs::read_to_string(root().join("pipelines/weather.toml")).unwrap();
    let text = text
        .replace("../proto", &root().join("proto").display().to_string())
        .replace("../data", "data")
        .replace("stations = 10\n", &format!("stations = 10\nlast_day = \"{last}\"\n"))
        .replace("{ env = \"AUTOGRADER_DELAY_OVERRIDE_VAL\", default = \"0.1s\" }", "0");
    let file = dir.join("weather.toml");
    std::fs::write(&file, text).unwrap();
    let loaded = load(&file).map_err(|errors| errors.render(false)).unwrap();
    Plan::new(loaded, flow, 1).unwrap()
}

fn job(dir: &Path, rows: u64) {
    Running::new(plan(dir, rows, None), true, Halt::new()).run().unwrap();
}

fn archive(dir: &Path, reports: &Reports) {
    let mut plan = plan(dir, 10, Some("archive"));
    plan.flows[0].built.source.source = Arc::new(reports.clone());
    let running = Running::new(plan, true, Halt::new());
    let (_, meter) = running.meters().remove(0);
    running.run().unwrap();
    assert_eq!(meter.read().committed.written, reports.rows());
}

/// Encoded Reports in memory, given again and again until each partition has had its chunks.
#[derive(Clone)]
struct Reports {
    chunks: Arc<Vec<Chunk>>,
    chunks_per_partition: u64,
}

impl Reports {
    fn new(rows_per_partition: u64) -> Self {
        let context = Context { dir: root() };
        let weather = WeatherConfig { every: Interval(Duration::ZERO), ..WeatherConfig::default() };
        let BuiltSource { source, schema, .. } = SourceConfig::Weather(weather).build(&context).unwrap();
        let encode = EncodeConfig::Protobuf(ProtobufConfig {
            schema: "proto/report.proto".into(),
            message: "weather.Report".into(),
            on_error: Default::default(),
        });
        let mut encode = encode.build(&schema, &context).unwrap().stage.handle();
        let mut reader = source.open(Share { index: 0, of: 1 }, &Checkpoint::default()).unwrap();
        let chunks: Vec<_> = (0..16).map(|_| next(&mut *reader, &mut *encode)).collect();
        let chunks_per_partition = rows_per_partition.div_ceil(chunks[0].len());
        Self { chunks: Arc::new(chunks), chunks_per_partition }
    }

    /// Rows of all partitions; every chunk has as many.
    fn rows(&self) -> u64 {
        u64::from(PARTITIONS) * self.chunks_per_partition * self.chunks[0].len()
    }
}

fn next(reader: &mut dyn Reader, encode: &mut dyn Apply) -> Chunk {
    loop {
        if let Read::Rows(chunk, _) = reader.read().unwrap() {
            return encode.apply(chunk).unwrap().rows.remove(0);
        }
    }
}

impl Source for Reports {
    fn open(&self, _: Share, _: &Checkpoint) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Giving { reports: self.clone(), given: [0; PARTITIONS as usize], turn: 0 }))
    }

    fn identity(&self) -> Result<Option<String>> {
        Ok(None)
    }

    fn count(&self, _: &Span) -> Result<Option<u64>> {
        Ok(None)
    }
}

struct Giving {
    reports: Reports,
    given: [u64; PARTITIONS as usize],
    turn: usize,
}

impl Reader for Giving {
    fn read(&mut self) -> Result<Read> {
        let partition = self.turn % PARTITIONS as usize;
        let chunk = &self.reports.chunks[self.turn % self.reports.chunks.len()];
        self.turn += 1;
        let from = self.given[partition];
        let to = from + chunk.len();
        if to > self.reports.rows() / u64::from(PARTITIONS) {
            return Ok(Read::End);
        }
        self.given[partition] = to;
        let partition = partition as u32;
        let mut chunk = chunk.clone();
        (chunk.source, chunk.partition) = (partition, partition);
        let span = Span { partition, from: Position(from), to: Position(to), rows: to - from };
        Ok(Read::Rows(chunk, span))
    }

    fn behind(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }
}
