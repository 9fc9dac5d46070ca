//! Config types to built stages: each is given the columns of the one before it, and what does not fit is shown.

use crate::build::built::{BuiltFlow, NamedStage};
use crate::build::places::{self, Ends, Placed};
use crate::build::stage_name::{Slot, StageName};
use crate::diagnostics::diagnostic::{Diagnostic, Diagnostics, Reported};
use crate::file;
use crate::text::tree::{Node, Step};
use crate::values::read::read;
use operators_core::Schema;
use operators_core::config::{Context, Size};
use operators_core::error::Problem;
use operators_core::progress::Fingerprint;
use operators_core::stage::{About, BuiltSink, BuiltSource, BuiltStage, Inflow};
use serde::de::DeserializeOwned;
use stages::decode::DecodeConfig;
use stages::encode::EncodeConfig;
use stages::partition::PartitionConfig;
use stages::sink::SinkConfig;
use stages::source::SourceConfig;
use stages::transform::TransformConfig;
use std::ops::Range;

/// Builds the flows that can be built and reports what is wrong with them, and between them.
pub(crate) fn build(root: &Node, context: &Context, found: &mut Diagnostics) -> Vec<BuiltFlow> {
    let pipeline = check_name("pipeline", root, found).unwrap_or_default();
    check_size("memory", root, found);
    let Some(list) = root.get("flow") else { return Vec::new() };
    if list.items().is_empty() && list.is_whole() {
        found.push(
            Diagnostic::new(list.span.clone(), "a pipeline has at least one flow")
                .help("each begins with [[flow]] and has a name, a source and a sink"),
        );
    }
    let mut ends = Vec::new();
    let mut built = Vec::new();
    for node in list.items() {
        let mut flow = Ends { name: check_name("flow", node, found).unwrap_or_default(), ..Ends::default() };
        built.extend(self::flow(node, &pipeline, &mut flow, context, found));
        ends.push(flow);
    }
    places::check_names(list.items(), found);
    places::check(&ends, found);
    built
}

/// Whether a pipeline or a flow may be called so: names become parts of paths and of SQL.
pub fn is_name(name: &str) -> bool {
    let may = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    !name.is_empty() && name.chars().all(may)
}

fn check_name(of: &str, node: &Node, found: &mut Diagnostics) -> Option<String> {
    let node = node.get("name")?;
    let name: String = read(node, found)?;
    if !is_name(&name) {
        found.push(
            Diagnostic::new(node.span.clone(), format!("`{name}` is no name for a {of}"))
                .help("a name has lower-case letters, digits, `_` and `-`, and at least one of them"),
        );
        return None;
    }
    Some(name)
}

/// A size of 0 would let no row pass.
fn check_size(name: &str, node: &Node, found: &mut Diagnostics) {
    if let Some(node) = node.get(name)
        && read(node, found) == Some(Size(0))
    {
        found.push(Diagnostic::new(node.span.clone(), format!("`{name}` must be more than 0")));
    }
}

fn flow(
    node: &Node,
    pipeline: &str,
    ends: &mut Ends,
    context: &Context,
    found: &mut Diagnostics,
) -> Result<BuiltFlow, Reported> {
    node.get("commit").into_iter().for_each(|commit| check_size("bytes", commit, found));
    // Every slot is read before any is built, so that a wrong value in one does not hide those of the next.
    let commit = slot(node, "commit", found);
    let retry_for = slot(node, "retry_for", found);
    let source = slot::<SourceConfig>(node, "source", found);
    let decode = slot::<DecodeConfig>(node, "decode", found);
    let transform = slot::<Vec<TransformConfig>>(node, "transform", found);
    let encode = slot::<EncodeConfig>(node, "encode", found);
    let partition = slot::<PartitionConfig>(node, "partition", found);
    let sink = slot::<SinkConfig>(node, "sink", found);
    // A slot under a misspelled name is missing here, so that nothing can be said about columns.
    if node.flawed {
        return Err(Reported);
    }
    let commit = commit?.unwrap_or_default();
    let retry_for = retry_for?.unwrap_or_else(file::retry_for);
    let mut line = Line { found, names: Vec::new(), stages: Vec::new(), fingerprint: Fingerprint::default() };

    let at = Stage::of(Slot::Source, node)?;
    let source = line.source(&at, required(source)?.build(context))?;
    ends.source = Some(placed(&source.place, None, &source.about, &at));
    let mut columns = source.schema.clone();
    if let Some(config) = decode? {
        columns = line.stage(Stage::of(Slot::Decode, node)?, config.build(&columns, context))?;
    }
    let items = node.get("transform").map(Node::items).unwrap_or_default();
    for (config, node) in transform?.unwrap_or_default().iter().zip(items) {
        columns = line.stage(Stage::new(Slot::Transform, node)?, config.build(&columns))?;
    }
    if let Some(config) = encode? {
        columns = line.stage(Stage::of(Slot::Encode, node)?, config.build(&columns, context))?;
    }
    if let Some(config) = partition? {
        columns = line.stage(Stage::of(Slot::Partition, node)?, config.build(&columns))?;
    }
    let inflow = inflow(&line.stages);
    let to = Stage::of(Slot::Sink, node)?;
    let sink = line.sink(&to, required(sink)?.build(&columns, inflow, context))?;
    ends.sink = Some(placed(&sink.place, sink.staging.as_ref(), &sink.about, &to));

    let Line { stages, mut fingerprint, .. } = line;
    fingerprint.0.insert("sink.columns".to_owned(), columns.to_string());
    let name = Some(ends.name.clone()).filter(|name| !name.is_empty()).ok_or(Reported)?;
    let id = format!("{pipeline}/{name}");
    let (source_name, sink_name) = (at.name.to_string(), to.name.to_string());
    Ok(BuiltFlow { name, id, commit, retry_for, source_name, source, stages, sink_name, sink, fingerprint })
}

/// How rows come out of these stages.
pub(crate) fn inflow(stages: &[NamedStage]) -> Inflow {
    Inflow {
        partitions: stages.iter().rev().find_map(|stage| stage.built.partitions),
        dead_letters: stages.iter().any(|stage| stage.built.dead_letters),
    }
}

fn placed(place: &str, staging: Option<&String>, about: &About, at: &Stage<'_>) -> Placed {
    let (place, staging) = (place.to_owned(), staging.cloned());
    Placed { place, staging, summary: about.summary.clone(), span: at.span.clone() }
}

/// The config in one slot of a flow; `None` when the slot is not there.
pub(crate) fn slot<T: DeserializeOwned>(
    flow: &Node,
    name: &str,
    found: &mut Diagnostics,
) -> Result<Option<T>, Reported> {
    flow.get(name).map(|node| read(node, found).ok_or(Reported)).transpose()
}

/// What must be there. That it is not has been reported when the file was checked.
pub(crate) fn required<T>(value: Result<Option<T>, Reported>) -> Result<T, Reported> {
    value?.ok_or(Reported)
}

/// A stage's table in the file: the one entry of its slot.
struct Stage<'a> {
    name: StageName,
    node: &'a Node,
    span: Range<usize>,
}

impl<'a> Stage<'a> {
    /// The stage in a slot of a flow.
    fn of(slot: Slot, flow: &'a Node) -> Result<Self, Reported> {
        Self::new(slot, flow.get(slot.key()).ok_or(Reported)?)
    }

    fn new(slot: Slot, node: &'a Node) -> Result<Self, Reported> {
        let [entry] = node.entries() else { return Err(Reported) };
        let name = StageName::first(slot, entry.key.as_str());
        Ok(Self { name, node: &entry.node, span: entry.node.span.clone() })
    }
}

/// A flow being built, from its source on.
struct Line<'a> {
    found: &'a mut Diagnostics,
    /// Of all stages between source and sink so far.
    names: Vec<StageName>,
    stages: Vec<NamedStage>,
    fingerprint: Fingerprint,
}

impl Line<'_> {
    fn source(&mut self, at: &Stage<'_>, built: Result<BuiltSource, Vec<Problem>>) -> Result<BuiltSource, Reported> {
        let built = self.sound(at, built)?;
        self.remember(at, &built.about);
        Ok(built)
    }

    fn sink(&mut self, at: &Stage<'_>, built: Result<BuiltSink, Vec<Problem>>) -> Result<BuiltSink, Reported> {
        let built = self.sound(at, built)?;
        self.remember(at, &built.about);
        Ok(built)
    }

    /// Adds a stage; returns the columns it gives.
    fn stage(&mut self, at: Stage<'_>, built: Result<BuiltStage, Vec<Problem>>) -> Result<Schema, Reported> {
        let at = self.numbered(at);
        let built = self.sound(&at, built)?;
        self.remember(&at, &built.about);
        let columns = built.schema.clone();
        self.stages.push(NamedStage { name: at.name.to_string(), built });
        Ok(columns)
    }

    fn sound<T>(&mut self, at: &Stage<'_>, built: Result<T, Vec<Problem>>) -> Result<T, Reported> {
        built.map_err(|problems| {
            problems.into_iter().for_each(|problem| self.report(at, problem));
            Reported
        })
    }

    fn report(&mut self, at: &Stage<'_>, problem: Problem) {
        let path: Vec<_> = problem.at.into_iter().map(Step::Key).collect();
        let place = at.node.nearest(&path);
        let error = Diagnostic::new(place.span.clone(), format!("{}: {}", at.name, problem.message));
        self.found.push(match problem.help {
            Some(help) => error.help(help),
            None => error,
        });
    }

    /// Stages of one kind are told apart by a number, as a flow may filter twice.
    fn numbered<'s>(&mut self, at: Stage<'s>) -> Stage<'s> {
        let before = self.names.iter().filter(|name| name.is_like(&at.name)).count();
        let name = StageName { nth: before as u32 + 1, ..at.name };
        self.names.push(name.clone());
        Stage { name, ..at }
    }

    fn remember(&mut self, at: &Stage<'_>, about: &About) {
        for (entry, value) in &about.fingerprint {
            self.fingerprint.0.insert(format!("{}.{entry}", at.name), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::text::tree;

    /// The names of fingerprints are in every commit that was ever made.
    #[test]
    fn stages_of_one_kind_are_numbered_from_the_second_on() {
        let transforms = [
            "filter = { column = \"degrees\", ge = 0 }",
            "select = { columns = [\"degrees\"] }",
            "filter = { column = \"degrees\", ge = 1 }",
            "filter = { column = \"degrees\", ge = 2 }",
        ];
        let transforms = transforms.map(|transform| format!("[[flow.transform]]\n{transform}\n")).concat();
        let text = format!(
            "name = \"x\"\n[[flow]]\nname = \"f\"\n[flow.source.weather]\n{transforms}[flow.sink.parquet]\nurl = \"file:out\"\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        std::fs::write(&file, &text).unwrap();
        let flow = load(&file).unwrap().built.remove(0);
        let names = ["transform.filter", "transform.select", "transform.filter#2", "transform.filter#3"];
        assert_eq!(flow.stage_names()[1..5], names);

        let mut found = Diagnostics::new("x.toml", text.clone());
        let (root, _) = tree::parse(&text, &mut found);
        let nodes = root.get("flow").unwrap().items()[0].get("transform").unwrap().items();
        let mut line =
            Line { found: &mut found, names: Vec::new(), stages: Vec::new(), fingerprint: Fingerprint::default() };
        for (node, NamedStage { mut built, .. }) in nodes.iter().zip(flow.stages) {
            // No transform has one today.
            built.about.fingerprint = vec![("entry", "value".to_owned())];
            line.stage(Stage::new(Slot::Transform, node).unwrap(), Ok(built)).unwrap();
        }
        let mut entries = names.map(|name| format!("{name}.entry"));
        entries.sort();
        assert_eq!(line.fingerprint.0.into_keys().collect::<Vec<_>>(), entries);
    }
}
