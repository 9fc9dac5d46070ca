//! What a `[[test]]` of a pipeline file runs its flow with: rows in memory, a sink on storage of its own, crashes.
//!
//! The engine, the stages and the commit are the real ones; only the two ends are put elsewhere.
//!
//! | file | what it knows |
//! |---|---|
//! | `rows`, `cells` | rows as a test writes them; single values, there and back |
//! | `input`, `codec`, `generate` | what the source gives: columns, messages that the flow will decode, rows made up |
//! | `source` | the source, read in the same order each time |
//! | `place`, `found` | the sink and its storage; what is read back from it |
//! | `output` | rows that are expected, and rows that were found, in one form |
//! | `life` | where the program dies |

mod cells;
mod codec;
mod found;
mod generate;
mod input;
mod life;
mod output;
mod place;
mod rows;
mod source;

pub use input::TrialRows;
pub use life::{Crash, Moment};
pub use output::{Expected, Shown};
pub use rows::{Batch, Cell, Parts, Rows, partition};

use crate::sink::SinkConfig;
use codecs::decode::DecodeConfig;
use codecs::encode::EncodeConfig;
use input::Input;
use life::Life;
use operators_core::config::Context;
use operators_core::dead_letter;
use operators_core::error::{Problem, Result};
use operators_core::progress::Progress;
use operators_core::schema::Schema;
use operators_core::stage::{About, Account, BuiltSink, BuiltSource, Finding, Inflow};
use output::Output;
use place::{Movable, Storage};
use source::TrialSource;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The parts of a flow that decide what a test of it may say.
#[derive(Clone, Copy)]
pub struct Tried<'a> {
    /// The columns of its source.
    pub source: &'a Schema,
    /// Its decoder, and the columns that gives.
    pub decode: Option<(&'a DecodeConfig, &'a Schema)>,
    /// Its encoder, and the columns that is given.
    pub encode: Option<(&'a EncodeConfig, &'a Schema)>,
    /// Its sink, the columns that is given, and how they come.
    pub sink: (&'a SinkConfig, &'a Schema, Inflow),
}

/// What a flow is tried with.
pub struct Trial {
    input: Input,
    output: Output,
    letters: Output,
    sink: Movable,
}

impl Trial {
    /// For a flow whose stages fit together. Touches nothing; a problem is one of the sink.
    pub fn new(flow: Tried<'_>, context: &Context) -> Result<Self, Vec<Problem>> {
        let (config, columns, inflow) = flow.sink;
        let sink = Movable::new(config, columns, inflow)?;
        let output = match (sink.sends_messages(), flow.encode) {
            (true, Some((encode, before))) => Output::messages(columns, codec::decoder(encode, before, context)),
            (true, None) => Output::messages(columns, None),
            (false, _) => Output::rows(columns.clone()),
        };
        let letters = Output::rows(dead_letter::schema().clone());
        Ok(Self { input: Input::new(flow.source, flow.decode, context), output, letters, sink })
    }

    /// The rows that the source will give; a number of rows is made up, and `seed` decides which.
    pub fn input(&self, rows: &Rows, seed: u64) -> Result<TrialRows, Vec<Problem>> {
        self.input.rows(rows, seed)
    }

    /// Rows that the sink must hold in the end.
    pub fn expected(&self, rows: &Rows) -> Result<Parts<Expected>, Vec<Problem>> {
        self.output.expected(rows)
    }

    /// Dead letters that must lie beside them.
    pub fn expected_dead_letters(&self, rows: &Rows) -> Result<Parts<Expected>, Vec<Problem>> {
        self.letters.expected(rows)
    }

    /// Whether the sink writes files.
    pub fn has_files(&self) -> bool {
        self.sink.has_files()
    }

    /// A world with nothing in it, which lasts for several lives of the program.
    pub fn world(&self) -> Result<World<'_>> {
        Ok(World { trial: self, storage: self.sink.storage()? })
    }
}

/// Where the program of a test lives, dies and lives again.
pub struct World<'t> {
    trial: &'t Trial,
    storage: Storage,
}

/// How a life ended; asked when nothing of it is left.
pub struct Lived(Arc<Life>);

impl Lived {
    /// Whether the crash came.
    pub fn crashed(&self) -> bool {
        self.0.died()
    }

    /// The last commit it made.
    pub fn last_commit(&self) -> Option<u64> {
        self.0.last()
    }
}

/// What a test finds in its sink.
#[derive(Debug)]
pub struct Found {
    /// By partition, in their order.
    pub rows: BTreeMap<u32, Vec<Shown>>,
    /// By source partition.
    pub dead_letters: BTreeMap<u32, Vec<Shown>>,
    /// Names of the data files, sorted.
    pub files: Vec<String>,
    /// The last commit.
    pub progress: Option<Progress>,
    /// What the sink's own audit counted.
    pub account: Account,
    /// And what it found wrong.
    pub findings: Vec<Finding>,
}

impl World<'_> {
    /// Source and sink of a program that reads `rows`, `commit_rows` of them to a commit, and dies where `crash` says.
    pub fn begin(
        &self,
        rows: &Arc<TrialRows>,
        commit_rows: u64,
        crash: Option<Crash>,
    ) -> Result<(BuiltSource, BuiltSink, Lived)> {
        let life = Life::new(crash);
        let about = || About { summary: "the test".to_owned(), fingerprint: Vec::new() };
        let source = BuiltSource {
            source: Arc::new(TrialSource::new(Arc::clone(rows), commit_rows)),
            schema: self.trial.input.source().clone(),
            place: "test source".to_owned(),
            about: about(),
        };
        let (sink, place) = (self.storage.sink(&life)?, "test sink".to_owned());
        let sink = BuiltSink { sink, place, staging: None, about: about() };
        Ok((source, sink, Lived(life)))
    }

    /// After a life that was cut short: what was not durable may be lost, as `seed` has it.
    pub fn crash(&self, seed: u64) {
        self.storage.crash(seed);
    }

    /// Everything that a flow has committed.
    pub fn found(&self, flow: &str) -> Result<Found> {
        let sink = self.storage.sink(&Life::new(None))?;
        let mut findings = Vec::new();
        let account = sink.audit(flow, &mut |finding| findings.push(finding))?;
        let contents = self.storage.contents(&*sink, flow)?;
        Ok(Found {
            rows: self.trial.output.shown(&contents.rows)?,
            dead_letters: self.trial.letters.shown(&contents.dead_letters)?,
            files: contents.files,
            progress: sink.progress(flow)?,
            account,
            findings,
        })
    }
}
