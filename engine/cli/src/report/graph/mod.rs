//! The compiled graph, as timely will run it: one model, and one renderer for each format.

mod dot;
mod json;
mod mermaid;
mod model;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use model::Graph;

use clap::ValueEnum;

/// How a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Boxes and arrows, as wide as the terminal
    Text,
    /// The language of Graphviz: `| dot -Tsvg`
    Dot,
    /// For Markdown that draws Mermaid
    Mermaid,
    /// For programs
    Json,
}

impl Graph {
    /// Text that is made for this many columns where the format has lines of its own.
    pub(crate) fn render(&self, format: Format, width: usize) -> String {
        match format {
            Format::Text => text::render(self, width),
            Format::Dot => dot::render(self),
            Format::Mermaid => mermaid::render(self),
            Format::Json => json::render(self),
        }
    }
}
