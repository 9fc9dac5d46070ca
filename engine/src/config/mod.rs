//! The pipeline file: read, resolved, checked and built, with every mistake shown at its place.
//!
//! | step | module |
//! |---|---|
//! | text to values that know their places | `tree` |
//! | what may stand where, from the config types | `shape` |
//! | unknown and missing keys, wrong types | `check` |
//! | `{ env = ... }` and `{ file = ... }` | `resolve` |
//! | values to config types | `read` |
//! | config types to stages that fit together | `build`, `places` |
//! | mistakes for people, without secrets | `diagnostic`, `mask` |

mod build;
mod catalogue;
mod check;
mod diagnostic;
mod mask;
pub mod pipeline;
mod places;
mod read;
mod resolve;
mod shape;
mod tree;

#[cfg(test)]
mod tests;

pub use build::{BuiltFlow, NamedStage};
pub use catalogue::{FieldDoc, StageDoc, catalogue, markdown};
pub(crate) use check::nearest;
pub use diagnostic::Diagnostics;

use diagnostic::Diagnostic;
use operators::config::Context;
use pipeline::Pipeline;
use resolve::Outside;
use schemars::JsonSchema;
use shape::Shape;
use std::env::VarError;
use std::path::Path;
use tree::Node;

/// A pipeline file without mistakes.
pub struct Loaded {
    /// The file, with its references resolved.
    pub pipeline: Pipeline,
    /// Its flows with every stage built, in the order of the file.
    pub built: Vec<BuiltFlow>,
}

/// Reads a file, resolves and checks it, and builds every stage. Touches nothing outside but the files it names.
/// The error holds all mistakes of the file at once.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    load_with(path, &|name| std::env::var(name))
}

fn load_with(path: &Path, env: &dyn Fn(&str) -> Result<String, VarError>) -> Result<Loaded, Diagnostics> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let dir = std::path::absolute(path).map_err(|error| unreadable(path, &error))?;
    let context = Context { dir: dir.parent().unwrap_or(&dir).to_owned() };
    let mut found = Diagnostics::new(path.display().to_string(), text.clone());
    let Some(root) = checked::<Pipeline>(&text, &Outside { context: &context, env }, &mut found) else {
        return Err(found);
    };
    let built = build::build(&root, &context, &mut found);
    match read::read::<Pipeline>(&root, &mut found) {
        Some(pipeline) if found.is_empty() => Ok(Loaded { pipeline, built }),
        _ => Err(found),
    }
}

/// The tree of a text, its references resolved and what is wrong taken out; `None` when it is not TOML.
fn checked<T: JsonSchema>(text: &str, outside: &Outside<'_>, found: &mut Diagnostics) -> Option<Node> {
    let shape = match Shape::of::<T>() {
        Ok(shape) => shape,
        Err(error) => {
            found.push(Diagnostic::new(0..0, format!("the config types cannot be described: {error}")));
            return None;
        }
    };
    let (mut root, broken) = tree::parse(text, found);
    if !found.is_empty() {
        // The tree may lack what the text shows, so the text itself is searched.
        mask::assigned(text, &shape.secrets()).into_iter().for_each(|secret| found.hide(secret));
    }
    check::check(&mut root, &shape, outside, broken, found);
    broken.is_none().then_some(root)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostics {
    let shown = path.display().to_string();
    let mut found = Diagnostics::new(shown.clone(), String::new());
    found.push(Diagnostic::new(0..0, format!("cannot read {shown}: {error}")));
    found
}
