//! A small world for tests of the engine alone: a sink in memory that can stall and fail, stages that misbehave.
use operators_core::config::{Context, Interval, Size};
use operators_core::inspect::Inspect;
use operators_core::progress::{Commit, Contents, Progress, Receipt, Run, Version};
use operators_core::stage::{
    Account, Applied, Apply, Audit, BuiltSink, BuiltStage, Closing, Committer, Held, Listen, Opened, Sink, Stage,
    Writer,
};
use operators_core::{Chunk, Error, Result, Span};
use pipeline::CommitConfig;
use pipeline::{BuiltFlow, NamedStage};
use runtime::plan::{Plan, PlannedFlow, Resume};
use stages::source::SourceConfig;
use stages::source::weather::WeatherConfig;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A door that threads wait at until it is opened.
pub struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub fn new(open: bool) -> Arc<Self> {
        Arc::new(Self { open: Mutex::new(open), changed: Condvar::new() })
    }

    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn pass(&self) {
        drop(self.changed.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
    }
}

/// A commit, and the spans it was made of.
type Committed = (Progress, Vec<Span>);

/// Commits into memory. Writers wait at `writing`, the committer at `committing`.
#[derive(Clone)]
pub struct MemorySink {
    pub writing: Arc<Gate>,
    pub committing: Arc<Gate>,
    pub committed: Arc<Mutex<Vec<Committed>>>,
    /// Writers keep their rows until the commit, as a sink with transactions does.
    pub holds_rows: bool,
}

impl MemorySink {
    pub fn new() -> Self {
        Self { writing: Gate::new(true), committing: Gate::new(true), committed: Arc::default(), holds_rows: false }
    }

    /// Rows of each commit.
    pub fn versions(&self) -> Vec<u64> {
        let committed = self.committed.lock().unwrap();
        committed.iter().map(|(_, spans)| spans.iter().map(|span| span.rows).sum()).collect()
    }
}

impl Audit for MemorySink {
    fn audit(&self, _: &str, _: &mut dyn Listen) -> Result<Account> {
        Ok(Account::default())
    }
}

impl Inspect for MemorySink {}

impl Sink for MemorySink {
    fn progress(&self, _: &str) -> Result<Option<Progress>> {
        Ok(self.committed.lock().unwrap().last().map(|(progress, _)| progress.clone()))
    }

    fn open(&self, _: &Run) -> Result<Opened> {
        Ok(Opened { committer: Box::new(self.clone()), progress: self.progress("")? })
    }

    fn writer(&self, _: &Run, _: u64) -> Result<Box<dyn Writer>> {
        Ok(Box::new(MemoryWriter { sink: self.clone(), chunks: Vec::new(), rows: 0 }))
    }
}

impl Committer for MemorySink {
    fn commit(&mut self, commit: Commit) -> Result<()> {
        self.committing.pass();
        let mut committed = self.committed.lock().unwrap();
        assert_eq!(commit.progress.version, Version(committed.len() as u64), "versions are dense");
        committed.push((commit.progress, commit.spans));
        Ok(())
    }
}

struct MemoryWriter {
    sink: MemorySink,
    chunks: Vec<Chunk>,
    rows: u64,
}

impl Writer for MemoryWriter {
    fn write(&mut self, chunk: Chunk) -> Result<Held> {
        self.sink.writing.pass();
        self.rows += chunk.len();
        if !self.sink.holds_rows {
            return Ok(Held::default());
        }
        self.chunks.push(chunk);
        let bytes = self.chunks.iter().map(Chunk::bytes).sum();
        Ok(Held { bytes, until_commit: bytes })
    }

    fn close(self: Box<Self>, _: &Closing) -> Result<Receipt> {
        Ok(Receipt { rows: self.rows, dead_letters: 0, contents: Contents::Chunks(self.chunks) })
    }
}

/// How a stage misbehaves, at its n-th chunk.
#[derive(Clone, Copy)]
pub enum Fault {
    Panics(u32),
    Fails(u32),
    LosesRows(u32),
}

impl Stage for Fault {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(Faulty { fault: *self, chunk: 0 })
    }
}

struct Faulty {
    fault: Fault,
    chunk: u32,
}

impl Apply for Faulty {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        self.chunk += 1;
        match self.fault {
            Fault::Panics(at) if at == self.chunk => panic!("the sky is falling"),
            Fault::Fails(at) if at == self.chunk => Err(Error::Other("the stage has had enough".into())),
            Fault::LosesRows(at) if at == self.chunk => Ok(Applied::default()),
            _ => Ok(Applied { rows: vec![chunk], ..Applied::default() }),
        }
    }
}

/// An unpaced weather source into a sink, through stages, as a plan of one flow.
pub fn plan(days: u32, commit_rows: u64, memory: u64, stages: Vec<Arc<dyn Stage>>, sink: &MemorySink) -> Plan {
    plan_into(days, commit_rows, memory, stages, Arc::new(sink.clone()))
}

/// The same, into any sink.
pub fn plan_into(days: u32, commit_rows: u64, memory: u64, stages: Vec<Arc<dyn Stage>>, sink: Arc<dyn Sink>) -> Plan {
    let first = WeatherConfig::default().first_day;
    let weather = WeatherConfig {
        every: Interval(Duration::ZERO),
        last_day: first.checked_add_days(chrono::Days::new(u64::from(days) - 1)),
        ..WeatherConfig::default()
    };
    let source = SourceConfig::Weather(weather).build(&Context { dir: PathBuf::new() }).unwrap();
    let schema = source.schema.clone();
    let stages = stages.into_iter().enumerate().map(|(index, stage)| NamedStage {
        name: format!("stage.{index}"),
        built: BuiltStage {
            stage,
            schema: schema.clone(),
            partitions: None,
            dead_letters: false,
            about: Default::default(),
        },
    });
    let built = BuiltFlow {
        name: "test".into(),
        id: "test/test".into(),
        commit: CommitConfig { every: Interval(Duration::from_secs(3600)), rows: commit_rows, bytes: Size(u64::MAX) },
        retry_for: Interval(Duration::ZERO),
        source,
        source_name: "source.weather".into(),
        stages: stages.collect(),
        sink: BuiltSink { sink, place: "memory".into(), staging: None, about: Default::default() },
        sink_name: "sink.memory".into(),
        fingerprint: Default::default(),
    };
    let flow = PlannedFlow { built: Arc::new(built), resume: Resume::Beginning, upstream: Vec::new() };
    Plan { name: "test".into(), memory, workers: 1, flows: vec![flow] }
}
