//! A file as a whole: read, resolved, checked and built.

use crate::build::built::BuiltFlow;
use crate::build::trial::BuiltTest;
use crate::build::{flow, places, trial};
use crate::diagnostics::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostics::secrets;
use crate::file::Pipeline;
use crate::shape::Shape;
use crate::text::open::open;
use crate::text::tree::{self, Node};
use crate::values::check;
use crate::values::read::read;
use crate::values::resolve::Outside;
use operators_core::config::Context;
use schemars::JsonSchema;
use std::env::VarError;
use std::path::Path;

/// A pipeline file without mistakes.
pub struct Loaded {
    /// The file, with its references resolved.
    pub pipeline: Pipeline,
    /// Its flows with every stage built, in the order of the file.
    pub built: Vec<BuiltFlow>,
    /// Its tests, in the order of the file.
    pub tests: Vec<BuiltTest>,
    /// What is odd about it and stops no run, in sentences.
    pub warnings: Vec<String>,
}

/// Reads a file, resolves and checks it, and builds every stage. Touches nothing outside but the files it names.
/// The error holds all mistakes of the file at once.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    load_with(path, &|name| std::env::var(name))
}

pub(crate) fn load_with(path: &Path, env: &dyn Fn(&str) -> Result<String, VarError>) -> Result<Loaded, Diagnostics> {
    let text = open(path)?;
    let dir = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let context = Context { dir: dir.parent().unwrap_or(&dir).to_owned() };
    let mut found = Diagnostics::new(&path.display().to_string(), text.clone());
    let Some(root) = checked::<Pipeline>(&text, &Outside { context: &context, env }, &mut found) else {
        return Err(found);
    };
    let built = flow::build(&root, &context, &mut found);
    let tests = trial::build(&root, &built, &context, &mut found);
    match read::<Pipeline>(&root, &mut found) {
        Some(pipeline) if found.is_empty() => {
            let of_sinks = built.iter().flat_map(|flow| {
                let warnings = flow.sink.sink.warnings();
                warnings.into_iter().map(move |warning| format!("{}: {}: {warning}", flow.name, flow.sink_name))
            });
            let warnings = places::warnings(&built).into_iter().chain(of_sinks).collect();
            Ok(Loaded { pipeline, built, tests, warnings })
        }
        _ => Err(found),
    }
}

/// The tree of a text, its references resolved and what is wrong taken out; `None` when it is not TOML.
pub(crate) fn checked<T: JsonSchema>(text: &str, outside: &Outside<'_>, found: &mut Diagnostics) -> Option<Node> {
    let shape = match Shape::of::<T>() {
        Ok(shape) => shape,
        Err(error) => {
            found.push(Diagnostic::new(0..0, format!("the config types cannot be described: {error}")));
            return None;
        }
    };
    let (mut root, broken) = tree::parse(text, found);
    secrets::hide_named(&mut root, found);
    if !found.is_empty() {
        // The tree may lack what the text shows, so the text itself is searched.
        secrets::assigned(text).into_iter().for_each(|secret| found.hide(secret));
    }
    check::check(&mut root, &shape, outside, broken, found);
    broken.is_none().then_some(root)
}
