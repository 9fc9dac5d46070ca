//! The tests of a file: each is given the flow it runs, and its rows the types of their columns.

use crate::build::built::{BuiltFlow, NamedStage};
use crate::build::flow::{inflow, required, slot};
use crate::build::stage_name::{Slot, StageName};
use crate::diagnostics::diagnostic::{Diagnostic, Diagnostics, Reported};
use crate::file::{self, Crashes, TestCommit};
use crate::shape::names;
use crate::text::tree::{Node, Step};
use crate::values::check::help;
use crate::values::meant::nearest;
use crate::values::read::read;
use operators_core::config::Context;
use operators_core::error::Problem;
use operators_core::{Checkpoint, Position, Schema};
use serde::de::DeserializeOwned;
use stages::decode::DecodeConfig;
use stages::encode::EncodeConfig;
use stages::harness::{Crash, Expected, Parts, Rows, Trial, TrialRows, Tried, partition};
use stages::sink::SinkConfig;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A test, ready to run.
pub struct BuiltTest {
    /// What it shows.
    pub name: String,
    /// Where it stands: `pipelines/weather.toml:85:1`.
    pub place: String,
    /// The flow it runs.
    pub flow: String,
    /// What that runs with.
    pub trial: Trial,
    /// What its source gives.
    pub rows: Arc<TrialRows>,
    /// Decides what of a crash is chance.
    pub seed: u64,
    /// Rows of a commit.
    pub commit_rows: u64,
    /// Worker threads.
    pub workers: u32,
    /// Where the program dies, in this order.
    pub crashes: Vec<Crash>,
    /// What must be there in the end.
    pub expect: Expectations,
}

/// What is compared; nothing of what is `None`.
pub struct Expectations {
    /// Rows in the sink.
    pub rows: Option<Parts<Expected>>,
    /// Rows beside them.
    pub dead_letters: Option<Parts<Expected>>,
    /// How many a transform left out.
    pub filtered: Option<u64>,
    /// How many could not be processed.
    pub skipped: Option<u64>,
    /// Names of data files, sorted.
    pub files: Option<Vec<String>>,
    /// Next positions.
    pub positions: Option<Checkpoint>,
}

/// Builds the tests that can be built, and reports what is wrong with them.
pub(crate) fn build(root: &Node, built: &[BuiltFlow], context: &Context, found: &mut Diagnostics) -> Vec<BuiltTest> {
    let flows = root.get("flow").map(Node::items).unwrap_or_default();
    let tests = root.get("test").map(Node::items).unwrap_or_default();
    tests.iter().filter_map(|node| Builder { node, flows, context, found: &mut *found }.test(built).ok()).collect()
}

struct Builder<'a> {
    node: &'a Node,
    flows: &'a [Node],
    context: &'a Context,
    found: &'a mut Diagnostics,
}

impl<'a> Builder<'a> {
    fn test(&mut self, built: &[BuiltFlow]) -> Result<BuiltTest, Reported> {
        let name = required(self.key(&["flow"], Ok::<String, _>))?;
        let node = self.flow(&name)?;
        // A flow that was not built has mistakes of its own, which are reported.
        let flow = built.iter().find(|flow| flow.name == name).ok_or(Reported)?;
        let trial = self.trial(node, flow)?;
        let seed = self.key(&["seed"], Ok::<u64, _>)?.unwrap_or_default();
        // What is wrong in one does not hide what is wrong in the next.
        let rows = self.key(&["rows"], |rows: Rows| trial.input(&rows, seed));
        let crashes = self.key(&["crash"], |crashes: Crashes| self::crashes(&crashes));
        let expect = self.expect(&trial);
        let commit = self.key(&["commit"], Ok::<TestCommit, _>)?.unwrap_or_default();
        Ok(BuiltTest {
            name: required(self.key(&["name"], Ok))?,
            place: self.found.place(self.node.span.start),
            rows: Arc::new(required(rows)?),
            crashes: crashes?.unwrap_or_default(),
            expect: expect?,
            commit_rows: commit.rows.unwrap_or(flow.commit.rows),
            workers: self.key(&["workers"], Ok)?.unwrap_or_else(file::workers),
            flow: name,
            trial,
            seed,
        })
    }

    /// What is made of the value under some keys; `None` when there is none.
    fn key<T: DeserializeOwned, U>(
        &mut self,
        at: &[&str],
        make: impl FnOnce(T) -> Result<U, Vec<Problem>>,
    ) -> Result<Option<U>, Reported> {
        let Some(node) = at.iter().try_fold(self.node, |node, key| node.get(key)) else { return Ok(None) };
        let made = make(read(node, self.found).ok_or(Reported)?);
        made.map(Some).map_err(|problems| {
            problems.into_iter().for_each(|problem| self.report(at, problem));
            Reported
        })
    }

    /// The flow of a name as the file has it.
    fn flow(&mut self, name: &str) -> Result<&'a Node, Reported> {
        let named = |flow: &&Node| flow.get("name").is_some_and(|there| there.is_text(name));
        if let Some(flow) = self.flows.iter().find(named) {
            return Ok(flow);
        }
        let there = |flow: &Node| flow.get("name").and_then(|name| read::<String>(name, self.found));
        let there: Vec<_> = self.flows.iter().filter_map(there).collect();
        let known = format!("flows: {}", names(there.iter().map(String::as_str)));
        let meant = nearest(name, there.iter().map(String::as_str));
        self.report(&["flow"], Problem::whole(format!("there is no flow `{name}`")).help(help(meant, &known)));
        Err(Reported)
    }

    fn trial(&mut self, node: &Node, flow: &BuiltFlow) -> Result<Trial, Reported> {
        let decode = slot::<DecodeConfig>(node, "decode", self.found)?;
        let encode = slot::<EncodeConfig>(node, "encode", self.found)?;
        let sink = required(slot::<SinkConfig>(node, "sink", self.found))?;
        let (source, stages) = (&flow.source.schema, &flow.stages);
        // The columns before the stage at an index, and after it.
        let before = |at: usize| at.checked_sub(1).map_or(source, |at| &stages[at].built.schema);
        let is_encoder = |stage: &NamedStage| stage.name.parse().is_ok_and(|name: StageName| name.slot == Slot::Encode);
        let encoder = stages.iter().position(is_encoder);
        let columns: &Schema = before(stages.len());
        let tried = Tried {
            source,
            decode: decode.as_ref().map(|decode| (decode, before(1))),
            encode: encode.as_ref().zip(encoder).map(|(encode, at)| (encode, before(at))),
            sink: (&sink, columns, inflow(stages)),
        };
        match Trial::new(tried, self.context) {
            Ok(trial) => Ok(trial),
            Err(problems) => {
                for Problem { message, help, .. } in problems {
                    let message = format!("{} cannot be tested: {message}", flow.sink_name);
                    self.report(&["flow"], Problem { at: Vec::new(), message, help });
                }
                Err(Reported)
            }
        }
    }

    fn expect(&mut self, trial: &Trial) -> Result<Expectations, Reported> {
        let rows = self.key(&["expect", "rows"], |rows: Rows| trial.expected(&rows));
        let dead_letters = self.key(&["expect", "dead_letters"], |rows: Rows| trial.expected_dead_letters(&rows));
        let files = self.key(&["expect", "files"], |mut names: Vec<String>| {
            names.sort();
            let problem = || Problem::whole("the sink of this flow writes no files").help("remove it");
            if trial.has_files() { Ok(names) } else { Err(vec![problem()]) }
        });
        let positions = self.key(&["expect", "positions"], |given| positions(&given));
        Ok(Expectations {
            rows: rows?,
            dead_letters: dead_letters?,
            filtered: self.key(&["expect", "filtered"], Ok)?,
            skipped: self.key(&["expect", "skipped"], Ok)?,
            files: files?,
            positions: positions?,
        })
    }

    /// Shows a problem of a value below some keys of the test.
    fn report(&mut self, below: &[&str], problem: Problem) {
        let below = below.iter().map(|&key| key.to_owned());
        let path: Vec<_> = below.chain(problem.at).map(Step::Key).collect();
        let error = Diagnostic::new(self.node.nearest(&path).span.clone(), problem.message);
        self.found.push(match problem.help {
            Some(help) => error.help(help),
            None => error,
        });
    }
}

fn crashes(given: &Crashes) -> Result<Vec<Crash>, Vec<Problem>> {
    const HELP: &str =
        "write \"before commit 1\", \"during commit 1\" or \"after commit 1\"; commits are counted from 0";
    let texts: Vec<(Vec<String>, &String)> = match given {
        Crashes::One(text) => vec![(Vec::new(), text)],
        Crashes::Several(texts) => (0..).zip(texts).map(|(at, text): (u32, _)| (vec![at.to_string()], text)).collect(),
    };
    let crash = |(at, text): (Vec<String>, &String)| {
        text.parse().map_err(|message| Problem { at, message, help: Some(HELP.to_owned()) })
    };
    all(texts.into_iter().map(crash))
}

fn positions(given: &BTreeMap<String, u64>) -> Result<Checkpoint, Vec<Problem>> {
    let next = |(key, position): (&String, &u64)| Ok((partition(key)?, Position(*position)));
    all(given.iter().map(next)).map(Checkpoint)
}

/// All of them, or every problem.
fn all<T, C: FromIterator<T>>(made: impl Iterator<Item = Result<T, Problem>>) -> Result<C, Vec<Problem>> {
    let (mut sound, mut problems) = (Vec::new(), Vec::new());
    for made in made {
        match made {
            Ok(made) => sound.push(made),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(sound.into_iter().collect()) } else { Err(problems) }
}
