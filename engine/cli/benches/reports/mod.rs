//! The archive leg with its Reports in memory, so that nothing but the leg itself is measured.
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used)]

use crate::input::{self, PARTITIONS};
use operators_core::inspect::Inspect;
use operators_core::stage::{Read, Reader, Recount, Share, Source};
use operators_core::{Checkpoint, Chunk, Lag, Position, Result, Span};
use pipeline::{Loaded, load};
use runtime::Halt;
use runtime::Running;
use runtime::plan::Plan;
use stages::encode::EncodeConfig;
use stages::source::weather::WeatherConfig;
use std::path::Path;
use std::sync::Arc;
use testkit::project;

/// The main job in a folder of its own.
pub fn loaded(dir: &Path, rows: u64) -> Loaded {
    let last = stages::source::weather::expected(&WeatherConfig::default(), rows - 1).1;
    let text = std::fs::read_to_string(project().join("pipelines/weather.toml")).unwrap();
    let text = text
        .replace("../proto", &project().join("proto").display().to_string())
        .replace("../data", "data")
        .replace("stations = 10\n", &format!("stations = 10\nlast_day = \"{last}\"\n"))
        .replace("{ env = \"AUTOGRADER_DELAY_OVERRIDE_VAL\", default = \"0.1s\" }", "0");
    let file = dir.join("weather.toml");
    std::fs::write(&file, text).unwrap();
    load(&file).map_err(|errors| errors.to_string()).unwrap()
}

/// Archives the Reports into a directory on one worker.
pub fn archive(dir: &Path, reports: &Reports) {
    let mut loaded = loaded(dir, 10);
    let archive = loaded.built.iter_mut().find(|flow| flow.name == "archive").unwrap();
    archive.source.source = Arc::new(reports.clone());
    let plan = Plan::new(loaded, Some("archive"), 1).unwrap();
    let running = Running::new(plan, true, Halt::new());
    let (_, meter) = running.meters().remove(0);
    running.run().unwrap();
    assert_eq!(meter.read().committed.written, reports.rows());
}

/// Encoded Reports in memory, given again and again until each partition has had its chunks.
#[derive(Clone)]
pub struct Reports {
    chunks: Arc<Vec<Chunk>>,
    chunks_per_partition: u64,
}

impl Reports {
    pub fn new(rows_per_partition: u64) -> Self {
        let rows = input::rows(16);
        let encode: EncodeConfig = input::config(input::protobuf());
        let mut encode = encode.build(&rows[0].columns(), &input::context()).unwrap().stage.handle();
        let chunks: Vec<_> = rows.into_iter().map(|chunk| input::apply(&mut *encode, chunk)).collect();
        let chunks_per_partition = rows_per_partition.div_ceil(chunks[0].len());
        Self { chunks: Arc::new(chunks), chunks_per_partition }
    }

    /// Rows of all partitions; every chunk has as many.
    pub fn rows(&self) -> u64 {
        u64::from(PARTITIONS) * self.chunks_per_partition * self.chunks[0].len()
    }
}

impl Inspect for Reports {}

impl Source for Reports {
    fn open(&self, _: Share, _: &Checkpoint) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Giving { reports: self.clone(), given: [0; PARTITIONS as usize], turn: 0 }))
    }

    fn identity(&self) -> Result<Option<String>> {
        Ok(None)
    }

    fn count(&self, _: &Span, _: &mut dyn FnMut(u64)) -> Result<Recount> {
        Ok(Recount::Gone)
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
        let span = Span { partition, from: Position(from), to: Position(to), rows: to - from, anchor: None };
        Ok(Read::Rows(chunk, span))
    }

    fn lag(&mut self) -> Result<Lag> {
        Ok(Lag::default())
    }
}
