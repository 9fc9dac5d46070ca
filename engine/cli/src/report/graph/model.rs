//! What a graph is made of.
//!
//! Nothing of it comes from the file as it was written, only from what the built stages say of themselves, which is
//! without secrets.

use crate::report::summary;
use crate::report::words::counted;
use indicatif::{HumanBytes, HumanCount};
use operators_core::progress::Version;
use operators_core::schema::Column;
use operators_core::terminal::printed;
use operators_core::{Checkpoint, Schema};
use runtime::plan::{Plan, PlannedFlow, Resume};
use serde::Serialize;

/// The graph of a plan.
#[derive(Debug, Serialize)]
pub(crate) struct Graph {
    #[serde(skip)]
    pub(super) heading: String,
    pub(super) pipeline: String,
    pub(super) workers: u32,
    pub(super) memory_bytes: u64,
    pub(super) flows: Vec<Flow>,
    /// Flows that read what others commit.
    pub(super) feeds: Vec<Feed>,
}

#[derive(Debug, Serialize)]
pub(super) struct Flow {
    pub(super) name: String,
    /// Where it goes on, in words.
    #[serde(skip)]
    pub(super) goes_on: String,
    pub(super) resume: State,
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
}

/// Where a flow goes on.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum State {
    Beginning,
    After { version: Version, positions: Checkpoint },
    Unknown { reason: String },
    Refused { reason: String },
}

/// An operator, or several of timely's that do one thing.
#[derive(Debug, Serialize)]
pub(super) struct Node {
    /// Unique in the graph: `archive.decode.protobuf`.
    pub(super) id: String,
    pub(super) kind: Kind,
    /// The stage it runs, as the file names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stage: Option<String>,
    pub(super) about: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Read,
    Apply,
    Exchange,
    Write,
    Commit,
    Probe,
}

#[derive(Debug, Serialize)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
    #[serde(flatten)]
    pub(super) carries: Carries,
}

#[derive(Debug, Serialize)]
#[serde(tag = "carries", rename_all = "snake_case")]
pub(super) enum Carries {
    /// Rows with these columns.
    Rows { columns: Vec<Column> },
    /// How far each source partition was read.
    Spans,
    /// How many rows a stage left out.
    Counts,
    /// What was written and closed.
    Receipts,
    /// Epochs that are committed.
    Epochs,
}

/// An edge between flows: what one commits, the other reads.
#[derive(Debug, Serialize)]
pub(super) struct Feed {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) place: String,
}

impl Graph {
    pub(crate) fn of(plan: &Plan) -> Self {
        let flows: Vec<_> = plan.flows.iter().map(|flow| Flow::of(flow, plan.workers)).collect();
        let mut feeds = Vec::new();
        for (planned, to) in plan.flows.iter().zip(&flows) {
            for from in planned.upstream.iter().filter_map(|index| flows.get(*index)) {
                let ends = from.node(Kind::Commit).zip(to.node(Kind::Read));
                feeds.extend(ends.map(|(from, to)| Feed {
                    from: from.id.clone(),
                    to: to.id.clone(),
                    place: to.about.clone(),
                }));
            }
        }
        Self {
            heading: summary::heading(plan),
            pipeline: plan.name.clone(),
            workers: plan.workers,
            memory_bytes: plan.memory,
            flows,
            feeds,
        }
    }
}

impl Flow {
    fn node(&self, kind: Kind) -> Option<&Node> {
        self.nodes.iter().find(|node| node.kind == kind)
    }

    fn of(flow: &PlannedFlow, workers: u32) -> Self {
        let built = &flow.built;
        let mut line = Line::new(&built.name);
        line.node(Kind::Read, Some(&built.source_name), &built.source.about.summary);
        let mut columns = &built.source.schema;
        for stage in &built.stages {
            line.then(Kind::Apply, Some(&stage.name), &stage.built.about.summary, rows(columns));
            columns = &stage.built.schema;
        }
        line.then(Kind::Exchange, None, &exchange(workers), rows(columns));
        line.then(Kind::Write, Some(&built.sink_name), &built.sink.about.summary, rows(columns));
        let commit = &built.commit;
        let when = format!(
            "on worker 0, one version per epoch: every {:?}, {} rows or {}",
            commit.every.0,
            HumanCount(commit.rows),
            HumanBytes(commit.bytes.0)
        );
        line.then(Kind::Commit, None, &when, Carries::Receipts);
        line.then(Kind::Probe, None, "lets the source go on: at most two epochs are in flight", Carries::Epochs);
        let (nodes, edges) = line.close();
        let goes_on = printed(&summary::resume(&flow.resume)).into_owned();
        Self { name: built.name.clone(), goes_on, resume: State::of(&flow.resume), nodes, edges }
    }
}

fn rows(columns: &Schema) -> Carries {
    Carries::Rows { columns: columns.columns().to_vec() }
}

fn exchange(workers: u32) -> String {
    match workers {
        1 => "by partition; one worker keeps them all".to_owned(),
        _ => format!("by partition, over {}", counted(workers.into(), "worker")),
    }
}

impl State {
    fn of(resume: &Resume) -> Self {
        match resume {
            Resume::Beginning => Self::Beginning,
            Resume::After(progress) => Self::After { version: progress.version, positions: progress.positions.clone() },
            Resume::Unknown(reason) => Self::Unknown { reason: reason.clone() },
            Resume::Refused(reason) => Self::Refused { reason: reason.clone() },
        }
    }
}

/// A flow's nodes and edges while they are laid, from the source on.
struct Line<'a> {
    flow: &'a str,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

impl<'a> Line<'a> {
    fn new(flow: &'a str) -> Self {
        Self { flow, nodes: Vec::new(), edges: Vec::new() }
    }

    fn node(&mut self, kind: Kind, stage: Option<&str>, about: &str) {
        let name = stage.unwrap_or(kind.name());
        let id = format!("{}.{name}", self.flow);
        self.nodes.push(Node { id, kind, stage: stage.map(str::to_owned), about: printed(about).into_owned() });
    }

    /// A node behind the last one.
    fn then(&mut self, kind: Kind, stage: Option<&str>, about: &str, carries: Carries) {
        let from = self.nodes.last().map(|last| last.id.clone());
        self.node(kind, stage, about);
        if let (Some(from), Some(to)) = (from, self.nodes.last()) {
            self.edges.push(Edge { from, to: to.id.clone(), carries });
        }
    }

    /// Adds the edges beside the rows' own way.
    fn close(mut self) -> (Vec<Node>, Vec<Edge>) {
        let of = |kind| self.nodes.iter().filter(move |node| node.kind == kind).map(|node| &node.id);
        let edge = |from: &String, to: &String, carries| Edge { from: from.clone(), to: to.clone(), carries };
        let mut beside = Vec::new();
        for commit in of(Kind::Commit) {
            for read in of(Kind::Read) {
                beside.extend(of(Kind::Write).map(|write| edge(read, write, Carries::Spans)));
                beside.push(edge(read, commit, Carries::Spans));
            }
            beside.extend(of(Kind::Apply).map(|stage| edge(stage, commit, Carries::Counts)));
        }
        for probe in of(Kind::Probe) {
            beside.extend(of(Kind::Read).map(|read| edge(probe, read, Carries::Epochs)));
        }
        self.edges.extend(beside);
        (self.nodes, self.edges)
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Apply => "apply",
            Self::Exchange => "exchange",
            Self::Write => "write",
            Self::Commit => "commit",
            Self::Probe => "probe",
        }
    }
}

impl Node {
    /// `read source.topic`
    pub(super) fn title(&self) -> String {
        match &self.stage {
            // What a stage does stands in its name.
            Some(stage) if self.kind == Kind::Apply => stage.clone(),
            Some(stage) => format!("{} {stage}", self.kind.name()),
            None => self.kind.name().to_owned(),
        }
    }
}

impl Carries {
    /// What an edge says about itself, in pieces between which a line may break.
    pub(super) fn words(&self) -> Vec<String> {
        match self {
            Self::Rows { columns } => columns.iter().map(|column| printed(&column.to_string()).into_owned()).collect(),
            Self::Spans => vec!["spans".to_owned()],
            Self::Counts => vec!["counts".to_owned()],
            Self::Receipts => vec!["receipts".to_owned()],
            Self::Epochs => vec!["epochs".to_owned()],
        }
    }
}
