//! Two lists of lines beside each other.

use console::style;
use operators_core::terminal::printed;
use similar::{ChangeTag, TextDiff};

/// Lines that are the same, shown around those that differ.
const AROUND: usize = 3;

/// The lines that differ: `-` is expected and not there, `+` is there and not expected.
pub(super) fn diff(expected: &[String], found: &[String]) -> String {
    let [old, new] = [expected, found].map(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>());
    let diff = TextDiff::from_slices(&old, &new);
    let mut lines = Vec::new();
    for (number, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if number > 0 {
            lines.push("    ...".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = printed(change.value());
            lines.push(match change.tag() {
                ChangeTag::Equal => format!("    {line}"),
                ChangeTag::Delete => format!("  {}", style(format_args!("- {line}")).red()),
                ChangeTag::Insert => format!("  {}", style(format_args!("+ {line}")).green()),
            });
        }
    }
    lines.join("\n")
}
