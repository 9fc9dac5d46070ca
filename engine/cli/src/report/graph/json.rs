//! For programs: the model as it is.

use super::model::Graph;
use crate::report::words::json_or_error;

pub(super) fn render(graph: &Graph) -> String {
    json_or_error(serde_json::to_string_pretty(graph))
}
