//! For programs: the model as it is.

use super::Graph;

pub(super) fn render(graph: &Graph) -> String {
    serde_json::to_string_pretty(graph).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}
