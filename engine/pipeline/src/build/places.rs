//! Checks across flows: one name each, one place for each sink, and no flow that feeds itself.

use crate::build::built::BuiltFlow;
use crate::diagnostics::diagnostic::{Diagnostic, Diagnostics};
use crate::text::tree::{Node, Value};
use operators_core::config::shown;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

/// A flow's source or sink and where the file says so.
pub(crate) struct Placed {
    pub(crate) place: String,
    /// Where rows of a sink lie until they are committed, if that is another place.
    pub(crate) staging: Option<String>,
    /// The place in words.
    pub(crate) summary: String,
    pub(crate) span: Range<usize>,
}

/// What of a flow is known to the checks across flows, however much else of it is wrong.
#[derive(Default)]
pub(crate) struct Ends {
    pub(crate) name: String,
    pub(crate) source: Option<Placed>,
    pub(crate) sink: Option<Placed>,
}

/// No two flows of one name: it is the name their progress is stored under.
pub(crate) fn check_names(flows: &[Node], found: &mut Diagnostics) {
    let mut seen = BTreeMap::new();
    for node in flows.iter().filter_map(|flow| flow.get("name")) {
        let Value::Text(name) = &node.value else { continue };
        if let Some(first) = seen.get(name) {
            found.push(
                Diagnostic::new(node.span.clone(), format!("two flows are named `{name}`"))
                    .related(Clone::clone(first), "the first")
                    .help("progress is stored under the name of a flow, so each has its own"),
            );
        } else {
            seen.insert(name, node.span.clone());
        }
    }
}

/// No two sinks in one place, and no flow that reads what it writes, by itself or through others.
pub(crate) fn check(flows: &[Ends], found: &mut Diagnostics) {
    let mut sinks: Vec<(&str, &Placed)> = Vec::new();
    for flow in flows {
        let Some(sink) = &flow.sink else { continue };
        // Each sink is reported once, beside the first that is in its way.
        let error = sinks.iter().find_map(|(other, first)| conflict(sink, other, first));
        error.into_iter().for_each(|error| found.push(error));
        sinks.push((&flow.name, sink));
    }
    for start in 0..flows.len() {
        // A circle is reported once, at its first flow.
        if let Some(way) = way_back(flows, start, &mut vec![start])
            && way.iter().all(|flow| *flow >= start)
            && let Some(source) = &flows[start].source
        {
            report_circle(flows, &way, source, found);
        }
    }
}

fn conflict(sink: &Placed, other: &str, first: &Placed) -> Option<Diagnostic> {
    let (message, label, help) = if first.place == sink.place {
        (
            format!("two sinks have one place: {}", sink.summary),
            format!("flow `{other}` writes there too"),
            "a sink holds the positions of its flow, so each flow has a place of its own",
        )
    } else if within(&first.place, &sink.place) || within(&sink.place, &first.place) {
        (
            format!("one sink lies within another: {} and {}", sink.summary, first.summary),
            format!("flow `{other}` writes here"),
            "put them side by side, so that no flow takes the other's files for its own",
        )
    } else if stages_in(sink, first) || stages_in(first, sink) {
        (
            format!("one sink stages its files where another writes: {} and {}", sink.summary, first.summary),
            format!("flow `{other}` writes here"),
            "name a `staging` outside of both directories, so that readers find committed rows and nothing else",
        )
    } else {
        return None;
    };
    Some(Diagnostic::new(sink.span.clone(), message).related(first.span.clone(), label).help(help))
}

/// Whether a sink stages its files in the place of another, or the other lies where it stages them.
fn stages_in(sink: &Placed, other: &Placed) -> bool {
    let Some(staging) = &sink.staging else { return false };
    *staging == other.place || within(staging, &other.place) || within(&other.place, staging)
}

/// What is odd about the places of a pipeline and stops no run: a database in a directory of Parquet files.
pub(crate) fn warnings(flows: &[BuiltFlow]) -> Vec<String> {
    let directories: BTreeSet<_> =
        flows.iter().filter(|flow| flow.sink.staging.is_some()).map(|flow| flow.sink.place.as_str()).collect();
    let places = flows.iter().flat_map(|flow| [&flow.source.place, &flow.sink.place]);
    let databases: BTreeSet<_> = places.filter_map(|place| place.strip_prefix("sqlite:")?.split('#').next()).collect();
    let directories = directories.iter().filter_map(|place| place.strip_prefix("file:"));
    let inside = directories.flat_map(|directory| {
        databases.iter().filter(move |database| within(database, directory)).map(move |database| (directory, *database))
    });
    let warning = |(directory, database)| {
        format!(
            "the database {} lies in the directory {}, which holds the Parquet files of a flow of this pipeline; keep it \
             elsewhere, so that nobody moves or deletes the one with the other",
            shown(Path::new(database)),
            shown(Path::new(directory))
        )
    };
    inside.map(warning).collect()
}

/// The flows from `start` back to it, each feeding the next.
fn way_back(flows: &[Ends], start: usize, way: &mut Vec<usize>) -> Option<Vec<usize>> {
    let last = &flows[*way.last()?].sink.as_ref()?.place;
    for (next, flow) in flows.iter().enumerate() {
        if flow.source.as_ref().is_none_or(|source| source.place != *last) {
            continue;
        }
        if next == start {
            return Some(way.clone());
        }
        if way.contains(&next) {
            continue;
        }
        way.push(next);
        if let Some(way) = way_back(flows, start, way) {
            return Some(way);
        }
        way.pop();
    }
    None
}

fn report_circle(flows: &[Ends], way: &[usize], source: &Placed, found: &mut Diagnostics) {
    let names: Vec<_> = way.iter().map(|flow| format!("`{}`", flows[*flow].name)).collect();
    let message = match names.as_slice() {
        [name] => format!("flow {name} reads what it writes"),
        names => format!("flows {} feed each other in a circle", names.join(" -> ")),
    };
    let error = Diagnostic::new(source.span.clone(), message)
        .help("rows would go round for ever; let one read or write elsewhere");
    let feeder = way.last().and_then(|flow| flows[*flow].sink.as_ref());
    found.push(match feeder {
        Some(sink) => error.related(sink.span.clone(), "written here"),
        None => error,
    });
}

fn within(place: &str, outer: &str) -> bool {
    place.strip_prefix(outer.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
}
