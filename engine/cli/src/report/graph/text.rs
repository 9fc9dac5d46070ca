//! Boxes and arrows for a terminal. The rows' way goes down through the boxes; on the left the probe lets the source go
//! on, on the right go spans and counts, which reach the commit beside the rows.

use super::model::{Flow, Graph, Kind, Node};
use std::borrow::Cow;
use textwrap::core::display_width;

/// Columns of the rails beside a box.
const LEFT: usize = 3;
const RIGHT: usize = 11;
/// Columns of a box's own borders and the space within them.
const BORDERS: usize = 4;
/// A box holds at least this much text in a line, however narrow the terminal is.
const INNER_MIN: usize = 24;

pub(super) fn render(graph: &Graph, width: usize) -> String {
    let mut lines = wrapped(&graph.heading, width);
    let inner = inner(graph, width);
    for flow in &graph.flows {
        lines.push(String::new());
        for feed in graph.feeds.iter().filter(|feed| flow.nodes.iter().any(|node| node.id == feed.to)) {
            let from = graph.flows.iter().find(|flow| flow.nodes.iter().any(|node| node.id == feed.from));
            let from = from.map(|flow| flow.name.as_str()).unwrap_or_default();
            lines.extend(arrow(&[format!("{}, as flow {from} commits it", feed.place)], inner + RIGHT));
        }
        lines.extend(wrapped(&format!("flow {}: {}", flow.name, flow.goes_on), width));
        lines.extend(draw(flow, inner));
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Columns for text within the boxes: what the longest line takes, as far as the terminal has it.
fn inner(graph: &Graph, width: usize) -> usize {
    let nodes = graph.flows.iter().flat_map(|flow| &flow.nodes);
    let abouts = nodes.map(|node| display_width(&node.about).max(display_width(&node.title()) + BORDERS));
    let edges = graph.flows.iter().flat_map(|flow| &flow.edges);
    let labels = edges.map(|edge| display_width(&edge.carries.words().join(", ")) + 1);
    let most = width.saturating_sub(LEFT + BORDERS + RIGHT).max(INNER_MIN);
    abouts.chain(labels).max().unwrap_or(0).clamp(INNER_MIN, most)
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let options = textwrap::Options::new(width).subsequent_indent("  ");
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

fn draw(flow: &Flow, inner: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rails = Rails::default();
    for (index, node) in flow.nodes.iter().enumerate() {
        let next = flow.nodes.get(index + 1);
        let onward = next.and_then(|next| flow.edges.iter().find(|edge| edge.from == node.id && edge.to == next.id));
        let mut drawn = boxed(node, inner, onward.is_some());
        drawn.extend(onward.into_iter().flat_map(|edge| arrow(&edge.carries.words(), inner)));
        for (row, line) in drawn.iter().enumerate() {
            // Edges beside the rows' way come and go at the first line within a box.
            let at = (row == 1).then_some(node.kind);
            lines.push(rails.beside(at, &pad(line, inner + BORDERS)));
        }
    }
    lines
}

/// A box with its name in the upper border; with `onward` an arrow leaves it below.
fn boxed(node: &Node, inner: usize, onward: bool) -> Vec<String> {
    let bar = |length: usize| "─".repeat(length);
    let title = node.title();
    let mut lines = vec![format!("┌─ {title} {}┐", bar((inner + 1).saturating_sub(display_width(&title) + 2)))];
    for line in textwrap::wrap(&node.about, inner) {
        lines.push(format!("│ {} │", pad(&line, inner)));
    }
    let exit = if onward { '┬' } else { '─' };
    lines.push(format!("└──{exit}{}┘", bar(inner - 1)));
    lines
}

/// An arrow down, with words beside it.
fn arrow(words: &[String], inner: usize) -> Vec<String> {
    // They begin one column further in than text in a box.
    let width = inner - 1;
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for (index, word) in words.iter().enumerate() {
        let comma = if index + 1 < words.len() { ", " } else { "" };
        if !line.is_empty() && display_width(&line) + display_width(word) + comma.trim_end().len() > width {
            lines.push(std::mem::take(&mut line));
        }
        line += &format!("{word}{comma}");
    }
    lines.push(line);
    // A word may still be longer than a line.
    let mut lines: Vec<_> = lines.iter().flat_map(|line| textwrap::wrap(line.trim_end(), width)).collect();
    let last = lines.pop().unwrap_or_default();
    lines.into_iter().map(|line| format!("   │ {line}")).chain([format!("   ▼ {last}")]).collect()
}

fn pad(line: &str, width: usize) -> String {
    format!("{line}{}", " ".repeat(width.saturating_sub(display_width(line))))
}

/// What runs beside the boxes, from line to line.
#[derive(Default)]
struct Rails {
    left: bool,
    right: bool,
}

impl Rails {
    /// A line with its rails; `at` is the kind of node whose edges come and go here.
    fn beside(&mut self, at: Option<Kind>, line: &str) -> String {
        let (left, right) = match at {
            Some(Kind::Read) => ("╭─▶", "─ spans ──╮"),
            Some(Kind::Apply) => ("│  ", "─ counts ─┤"),
            Some(Kind::Write) => ("│  ", "◀─ spans ─┤"),
            Some(Kind::Commit) => ("│  ", "◀─────────╯"),
            Some(Kind::Probe) => ("╰──", ""),
            Some(Kind::Exchange) | None => {
                (if self.left { "│  " } else { "   " }, if self.right { "          │" } else { "" })
            }
        };
        match at {
            Some(Kind::Read) => (self.left, self.right) = (true, true),
            Some(Kind::Commit) => self.right = false,
            Some(Kind::Probe) => self.left = false,
            _ => {}
        }
        // Where an edge leaves a box, its border opens.
        let border = line.strip_suffix('│').filter(|_| right.starts_with('─'));
        border.map_or_else(|| format!("{left}{line}{right}"), |line| format!("{left}{line}├{right}"))
    }
}
