//! A flow for tests of what it is shared by; its source and its sink are never opened.

use crate::dataflow::parcel::Parcel;
use crate::flow::budget::Budget;
use crate::flow::epoch::OpenEpoch;
use crate::flow::halt::Halt;
use crate::flow::meter::Meter;
use crate::flow::{End, Flow};
use operators_core::Checkpoint;
use operators_core::config::{Context, Interval};
use operators_core::error::{Error, Result};
use operators_core::inspect::Inspect;
use operators_core::progress::{Fingerprint, Progress, Run};
use operators_core::stage::{Account, Audit, Listen, Opened, Read, Share, Sink, Source, Writer};
use pipeline::CommitConfig;
use stages::source::SourceConfig;
use stages::source::weather::WeatherConfig;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) fn flow() -> Arc<Flow> {
    flow_with(CommitConfig::default())
}

pub(crate) fn flow_with(commit: CommitConfig) -> Arc<Flow> {
    let budget = Budget::new(u64::MAX);
    Arc::new(Flow {
        name: "flow".into(),
        run: Run { id: "run".into(), flow: "test/flow".into() },
        commit,
        source_name: "source.weather".into(),
        source: weather(),
        fingerprint: Fingerprint::default(),
        identity: OnceLock::new(),
        sink_name: "sink.none".into(),
        sink: Arc::new(NoSink),
        workers: 1,
        halt: Halt::new(),
        meter: Arc::new(Meter::new(["source.weather", "sink.none"].map(str::to_owned), Arc::clone(&budget))),
        budget,
        end: End::Never,
        open: OpenEpoch::default(),
    })
}

/// Rows of the first source partition, charged to the flow.
pub(crate) fn parcel(flow: &Arc<Flow>, rows: Range<u64>) -> Parcel {
    let mut reader = flow.source.open(Share { index: 0, of: 1 }, &Checkpoint::default()).unwrap();
    let Read::Rows(chunk, _) = reader.read().unwrap() else { panic!("no rows") };
    Parcel::new(chunk.slice(rows.start, rows.end - rows.start), &flow.budget)
}

fn weather() -> Arc<dyn Source> {
    let config = WeatherConfig { every: Interval(Duration::ZERO), ..WeatherConfig::default() };
    SourceConfig::Weather(config).build(&Context { dir: "/".into() }).unwrap().source
}

/// A sink that nobody opens.
struct NoSink;

impl Inspect for NoSink {}

impl Audit for NoSink {
    fn audit(&self, _: &str, _: &mut dyn Listen) -> Result<Account> {
        Ok(Account::default())
    }
}

impl Sink for NoSink {
    fn progress(&self, _: &str) -> Result<Option<Progress>> {
        Ok(None)
    }

    fn open(&self, _: &Run) -> Result<Opened> {
        Err(Error::Other("it can't be opened".to_owned()))
    }

    fn writer(&self, _: &Run, _: u64) -> Result<Box<dyn Writer>> {
        Err(Error::Other("it can't be opened".to_owned()))
    }
}
