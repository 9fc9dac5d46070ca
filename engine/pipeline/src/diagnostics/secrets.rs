//! What of a file is a secret by the name it stands under, before it is known what may stand there.

use crate::diagnostics::diagnostic::Diagnostics;
use crate::diagnostics::mask::names_a_secret;
use crate::text::tree::{Entry, Node, Value};
use std::ops::Range;

/// Hides the values in a tree that stand under names of secrets, however wrong the place is. The name of a variable or
/// the path of a file is none.
pub(crate) fn hide_named(root: &mut Node, found: &mut Diagnostics) {
    below(root, false, found);
}

fn below(node: &mut Node, secret: bool, found: &mut Diagnostics) {
    match &mut node.value {
        Value::Table(entries) => {
            for Entry { key, node, .. } in entries {
                let reference = secret && matches!(key.as_str(), "env" | "file");
                below(node, !reference && (secret || names_a_secret(key)), found);
            }
            return;
        }
        Value::List(items) => return items.iter_mut().for_each(|item| below(item, secret, found)),
        Value::Text(text) if is_login(text) => found.leave_unsaid(text),
        _ if secret => {}
        _ => return,
    }
    node.secret = true;
    found.hide(node.span.clone());
}

/// Whether a text looks like a URL whose password holds a blank, which no mask of single words would hide.
fn is_login(text: &str) -> bool {
    text.contains(char::is_whitespace) && text.split_once(':').is_some_and(|(_, rest)| rest.contains('@'))
}

/// What stands behind names of secrets in a text that is no TOML: up to the end of the line, or of the multi-line string
/// that begins there.
pub(crate) fn assigned(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_letter) {
        let word = &rest[start..];
        let end = word.find(|c| !is_letter(c)).unwrap_or(word.len());
        rest = &word[end..];
        if !names_a_secret(&word[..end]) {
            continue;
        }
        let value = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start_matches([' ', '\t']);
        let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start_matches([' ', '\t']);
        let closing = ["\"\"\"", "\'\'\'"].into_iter().find(|quotes| value.starts_with(quotes));
        let length = match closing {
            Some(quotes) => value[quotes.len()..].find(quotes).map(|end| end + 2 * quotes.len()),
            None => value.find(['\n', '\r']),
        };
        let start = text.len() - value.len();
        found.push(start..start + length.unwrap_or(value.len()));
    }
    found
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}
