//! The language of Graphviz: a cluster for each flow.

use super::model::{Carries, Flow, Graph};
use std::fmt::Write;

/// Longest line within a node or beside an edge, in columns.
const WIDTH: usize = 48;

// Writing to a string cannot fail, so its results are passed over.
pub(super) fn render(graph: &Graph) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&graph.pipeline));
    text += "  graph [fontname=\"sans-serif\", fontsize=12]\n";
    text += "  node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=11]\n";
    text += "  edge [fontname=\"sans-serif\", fontsize=9]\n";
    for flow in &graph.flows {
        cluster(flow, &mut text);
    }
    for feed in &graph.feeds {
        let label = lines([feed.place.as_str()]);
        let _ = writeln!(text, "  {} -> {} [style=bold, label={label}]", quoted(&feed.from), quoted(&feed.to));
    }
    text + "}\n"
}

fn cluster(flow: &Flow, text: &mut String) {
    let _ = writeln!(text, "  subgraph {} {{", quoted(&format!("cluster_{}", flow.name)));
    let _ = writeln!(text, "    label={}", lines([&format!("flow {}", flow.name), &flow.goes_on]));
    for node in &flow.nodes {
        let _ = writeln!(text, "    {} [label={}]", quoted(&node.id), lines([&node.title(), &node.about]));
    }
    for edge in &flow.edges {
        let label = lines([edge.carries.words().join(", ").as_str()]);
        let style = match edge.carries {
            Carries::Rows { .. } | Carries::Receipts => "",
            // They follow the rows and do not shape the picture.
            Carries::Spans | Carries::Counts | Carries::Epochs => {
                ", style=dashed, color=gray50, fontcolor=gray50, constraint=false"
            }
        };
        let _ = writeln!(text, "    {} -> {} [label={label}{style}]", quoted(&edge.from), quoted(&edge.to));
    }
    text.push_str("  }\n");
}

/// Paragraphs as one label, wrapped.
fn lines<const N: usize>(paragraphs: [&str; N]) -> String {
    let lines: Vec<_> = paragraphs.into_iter().flat_map(|paragraph| textwrap::wrap(paragraph, WIDTH)).collect();
    // Each line is escaped before they are joined by the language's own line break.
    format!("\"{}\"", lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("\\n"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
