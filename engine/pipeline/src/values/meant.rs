//! What a word that does not belong was most likely meant to be: a known one beside it, or one of another place.

use crate::shape::{Field, Shape};

/// More places than this help nobody.
const HOMES_MAX: usize = 2;

/// The choice that a word was most likely meant to be.
pub(crate) fn nearest<'a>(word: &str, choices: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    choices
        .map(|choice| (strsim::damerau_levenshtein(&word.to_lowercase(), choice), choice))
        .filter(|(distance, choice)| *distance <= 1.max(choice.len().min(word.len()) / 3))
        .min()
        .map(|(_, choice)| choice)
}

/// `; did you mean ...?`, where there is a choice that a word was most likely meant to be.
pub fn did_you_mean<'a>(word: &str, choices: impl Iterator<Item = &'a str>) -> String {
    nearest(word, choices).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default()
}

/// Where a key belongs that is not known where it stands; nothing when it is known nowhere, or in too many places.
/// `table` says whether it was written as a table.
pub(crate) fn home(root: &Shape, key: &str, table: bool) -> Option<String> {
    let mut homes = Vec::new();
    look(root, &mut Vec::new(), key, &mut homes);
    // What stands further out is what people think of first.
    let depth = homes.iter().map(|home| home.depth).min()?;
    homes.retain(|home| home.depth == depth);
    if homes.len() > HOMES_MAX {
        return None;
    }
    let words: Vec<_> = homes.into_iter().filter(|home| home.table == table).map(|home| home.words).collect();
    (!words.is_empty()).then(|| format!("`{key}` belongs {}", words.join(", or ")))
}

/// A place where a key is known.
struct Home {
    depth: usize,
    /// Whether a table stands under the key.
    table: bool,
    words: String,
}

/// Finds the places of a key below a shape, which the path leads to.
fn look<'a>(shape: &'a Shape, path: &mut Vec<&'a str>, key: &str, homes: &mut Vec<Home>) {
    let (shape, listed) = match shape {
        Shape::List(inner) => (&**inner, true),
        Shape::Either(_, parts) => (&**parts, false),
        other => (other, false),
    };
    for Field { name, shape: part, .. } in shape.fields() {
        if name == key {
            let list = matches!(part, Shape::List(inner) if !inner.fields().is_empty());
            let table = list || matches!(part, Shape::Table { .. } | Shape::Choice(_) | Shape::Map(_));
            let words = match (path.is_empty(), table && !listed) {
                (true, true) => format!("at the top of the file, as {}", header(&[name], list)),
                (true, false) => "at the top of the file".to_owned(),
                (false, true) => format!("under {}", header(&[path.as_slice(), &[name]].concat(), list)),
                (false, false) => format!("under {}", header(path, listed)),
            };
            homes.push(Home { depth: path.len(), table, words });
        }
        // What a list has to choose from stands in its items, which have no headers of their own.
        if !(listed && matches!(shape, Shape::Choice(_))) {
            path.push(name);
            look(part, path, key, homes);
            path.pop();
        }
    }
}

/// `[flow.sink.parquet]`, `[[flow.transform]]`
fn header(path: &[&str], list: bool) -> String {
    let path = path.join(".");
    if list { format!("[[{path}]]") } else { format!("[{path}]") }
}
