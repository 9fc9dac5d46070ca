//! The tests of a file: each is given the flow it runs, and its rows the types of their columns.

use super::build::{BuiltFlow, inflow, slot};
use super::check::{help, nearest};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::pipeline::{Crashes, Expect, Test};
use super::read::read;
use super::shape::names;
use super::tree::{Node, Step};
use operators::config::Context;
use operators::decode::DecodeConfig;
use operators::encode::EncodeConfig;
use operators::error::Problem;
use operators::sink::SinkConfig;
use operators::trial::{Crash, Expected, Parts, Rows, Trial, TrialRows, Tried, partition};
use operators::{Checkpoint, Position, Schema};
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
pub(super) fn build(root: &Node, built: &[BuiltFlow], context: &Context, found: &mut Diagnostics) -> Vec<BuiltTest> {
    let flows = root.get("flow").map(Node::items).unwrap_or_default();
    let tests = root.get("test").map(Node::items).unwrap_or_default();
    tests.iter().filter_map(|node| Builder { node, flows, context, found: &mut *found }.test(built)).collect()
}

struct Builder<'a> {
    node: &'a Node,
    flows: &'a [Node],
    context: &'a Context,
    found: &'a mut Diagnostics,
}

impl<'a> Builder<'a> {
    fn test(&mut self, built: &[BuiltFlow]) -> Option<BuiltTest> {
        let test: Test = read(self.node, self.found)?;
        let node = self.flow(&test.flow)?;
        // A flow that was not built has mistakes of its own, which are reported.
        let flow = built.iter().find(|flow| flow.name == test.flow)?;
        let trial = self.trial(node, flow)?;

        let rows = self.rows(&["rows"], &test.rows, |rows| trial.input(rows, test.seed));
        let crashes = self.crashes(test.crash.as_ref());
        let expect = self.expect(&test.expect, &trial);
        Some(BuiltTest {
            place: self.found.place(self.node.span.start),
            rows: Arc::new(rows?),
            crashes: crashes?,
            expect: expect?,
            name: test.name,
            flow: test.flow,
            trial,
            seed: test.seed,
            commit_rows: test.commit.rows.unwrap_or(flow.commit.rows),
            workers: test.workers,
        })
    }

    /// The flow of a name as the file has it.
    fn flow(&mut self, name: &str) -> Option<&'a Node> {
        let named = |flow: &&Node| flow.get("name").is_some_and(|there| there.is_text(name));
        if let Some(flow) = self.flows.iter().find(named) {
            return Some(flow);
        }
        let there = |flow: &Node| flow.get("name").and_then(|name| read::<String>(name, self.found));
        let there: Vec<_> = self.flows.iter().filter_map(there).collect();
        let known = format!("flows: {}", names(there.iter().map(String::as_str)));
        let meant = nearest(name, there.iter().map(String::as_str));
        self.report(&["flow"], Problem::whole(format!("there is no flow `{name}`")).help(help(meant, &known)));
        None
    }

    fn trial(&mut self, node: &Node, flow: &BuiltFlow) -> Option<Trial> {
        let decode = slot::<DecodeConfig>(node, "decode", self.found)?;
        let encode = slot::<EncodeConfig>(node, "encode", self.found)?;
        let sink = slot::<SinkConfig>(node, "sink", self.found)??;
        let (source, stages) = (&flow.source.schema, &flow.stages);
        // The columns before the stage at an index, and after it.
        let before = |at: usize| at.checked_sub(1).map_or(source, |at| &stages[at].built.schema);
        let encoder = stages.iter().position(|stage| stage.name.starts_with("encode."));
        let columns: &Schema = before(stages.len());
        let tried = Tried {
            source,
            decode: decode.as_ref().map(|decode| (decode, before(1))),
            encode: encode.as_ref().zip(encoder).map(|(encode, at)| (encode, before(at))),
            sink: (&sink, columns, inflow(stages)),
        };
        match Trial::new(tried, self.context) {
            Ok(trial) => Some(trial),
            Err(problems) => {
                for Problem { message, help, .. } in problems {
                    let message = format!("{} cannot be tested: {message}", flow.sink_name);
                    self.report(&["flow"], Problem { at: Vec::new(), message, help });
                }
                None
            }
        }
    }

    /// Rows under some keys, made what they are for.
    fn rows<T>(&mut self, at: &[&str], rows: &Rows, make: impl Fn(&Rows) -> Result<T, Vec<Problem>>) -> Option<T> {
        let made = make(rows);
        made.map_err(|problems| problems.into_iter().for_each(|problem| self.report(at, problem))).ok()
    }

    fn crashes(&mut self, crashes: Option<&Crashes>) -> Option<Vec<Crash>> {
        let texts: Vec<(Option<usize>, &String)> = match crashes {
            None => Vec::new(),
            Some(Crashes::One(text)) => vec![(None, text)],
            Some(Crashes::Several(texts)) => texts.iter().enumerate().map(|(at, text)| (Some(at), text)).collect(),
        };
        let mut read = Vec::new();
        for (at, text) in &texts {
            match text.parse() {
                Ok(crash) => read.push(crash),
                Err(message) => {
                    let at = at.iter().map(usize::to_string).collect();
                    let help = "write \"before commit 1\", \"during commit 1\" or \"after commit 1\"; commits are \
                                counted from 0";
                    self.report(&["crash"], Problem { at, message, help: Some(help.to_owned()) });
                }
            }
        }
        (read.len() == texts.len()).then_some(read)
    }

    fn expect(&mut self, expect: &Expect, trial: &Trial) -> Option<Expectations> {
        let rows = expect.rows.as_ref().map(|rows| self.rows(&["expect", "rows"], rows, |rows| trial.expected(rows)));
        let letters = expect.dead_letters.as_ref();
        let letters = letters
            .map(|rows| self.rows(&["expect", "dead_letters"], rows, |rows| trial.expected_dead_letters(rows)));
        let positions = expect.positions.as_ref().map(|positions| {
            let mut checkpoint = Some(Checkpoint::default());
            for (key, position) in positions {
                match (partition(key), &mut checkpoint) {
                    (Ok(partition), Some(checkpoint)) => _ = checkpoint.0.insert(partition, Position(*position)),
                    (Ok(_), None) => {}
                    (Err(problem), _) => {
                        self.report(&["expect", "positions"], problem);
                        checkpoint = None;
                    }
                }
            }
            checkpoint
        });
        let has_files = trial.has_files() || expect.files.is_none();
        if !has_files {
            let problem = Problem::whole("the sink of this flow writes no files").help("remove it");
            self.report(&["expect", "files"], problem);
        }
        let mut files = expect.files.clone();
        files.iter_mut().for_each(|files| files.sort());
        // Each that is there must be right.
        let sound = [rows.as_ref().is_none_or(Option::is_some), letters.as_ref().is_none_or(Option::is_some)];
        let sound = sound.iter().all(|it| *it) && positions.as_ref().is_none_or(Option::is_some) && has_files;
        sound.then_some(Expectations {
            rows: rows.flatten(),
            dead_letters: letters.flatten(),
            filtered: expect.filtered,
            skipped: expect.skipped,
            files,
            positions: positions.flatten(),
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
