//! Mermaid's flowcharts, which Markdown viewers draw: a subgraph for each flow.

use super::model::{Carries, Feed, Graph};
use std::fmt::Write;

// Writing to a string cannot fail, so its results are passed over.
pub(super) fn render(graph: &Graph) -> String {
    let mut text = "flowchart TB\n".to_owned();
    // Ids of its own, as its words and marks may stand in names.
    let nodes: Vec<_> = graph.flows.iter().flat_map(|flow| &flow.nodes).collect();
    let id = |name: &str| nodes.iter().position(|node| node.id == name).map_or(0, |at| at + 1);
    for (number, flow) in (1..).zip(&graph.flows) {
        let label = label([&format!("flow {}", flow.name), &flow.goes_on]);
        let _ = writeln!(text, "  subgraph f{number}[{label}]");
        for node in &flow.nodes {
            let _ = writeln!(text, "    n{}[{}]", id(&node.id), self::label([&node.title(), &node.about]));
        }
        for edge in &flow.edges {
            let arrow = match edge.carries {
                Carries::Rows { .. } | Carries::Receipts => "-->",
                Carries::Spans | Carries::Counts | Carries::Epochs => "-.->",
            };
            let words = edge.carries.words().join(", ");
            let _ = writeln!(text, "    n{} {arrow}|{}| n{}", id(&edge.from), self::label([&words]), id(&edge.to));
        }
        text.push_str("  end\n");
    }
    for Feed { from, to, place } in &graph.feeds {
        let _ = writeln!(text, "  n{} ==>|{}| n{}", id(from), label([place]), id(to));
    }
    text
}

/// Lines as a label in quotes, in which only entities are safe.
fn label<const N: usize>(lines: [&str; N]) -> String {
    format!("\"{}\"", lines.map(escaped).join("<br>"))
}

/// Marks that the grammar, Markdown or HTML would take for its own, as entities.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        if matches!(c, '"' | '#' | '&' | '<' | '>' | '`' | '%' | '{' | '}' | '\\') {
            let _ = write!(safe, "#{};", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}
