//! References: `{ env = "NAME", default = ... }` and `{ file = "PATH" }` where a value is expected.
//!
//! They are resolved in the parsed tree, never in the text, so whatever a variable or a file holds stays one value.

use crate::diagnostics::diagnostic::Diagnostic;
use crate::diagnostics::mask::names_a_secret;
use crate::text::tree::{Entry, Node, Origin, Value};
use operators_core::config::{Context, shown};
use std::env::VarError;
use std::ops::Range;

/// What a file may refer to beyond itself.
pub(crate) struct Outside<'a> {
    pub(crate) context: &'a Context,
    /// The environment.
    pub(crate) env: &'a dyn Fn(&str) -> Result<String, VarError>,
}

/// A reference, as written.
pub(crate) enum Reference<'a> {
    Env { name: &'a Node, default: Option<&'a Node> },
    File(&'a Node),
}

impl<'a> Reference<'a> {
    /// Reads a table that stands where a value is expected; `None` when it is no reference at all.
    pub(crate) fn read(table: &'a [Entry]) -> Option<Result<Self, Diagnostic>> {
        let get = |key: &str| table.iter().find(|entry| entry.key == key).map(|entry| &entry.node);
        let (reference, known) = match (get("env"), get("file")) {
            (Some(name), _) => (Self::Env { name, default: get("default") }, ["env", "default"].as_slice()),
            (None, Some(path)) => (Self::File(path), ["file"].as_slice()),
            (None, None) => return None,
        };
        let odd = table.iter().find(|entry| !known.contains(&entry.key.as_str()));
        Some(match odd {
            Some(odd) => {
                Err(Diagnostic::new(odd.key_span.clone(), format!("unknown key `{}` in a reference", odd.key)).help(
                    "a reference is { env = \"NAME\" }, { env = \"NAME\", default = \"...\" } or { file = \"PATH\" }",
                ))
            }
            None => Ok(reference),
        })
    }

    /// Whether the name of what it refers to is that of a secret, wherever it stands: two variables are easily swapped.
    pub(crate) fn is_secret(&self) -> bool {
        let (Self::Env { name, .. } | Self::File(name)) = self;
        matches!(&name.value, Value::Text(name) if names_a_secret(name))
    }

    /// The value it stands for, at the place where the reference stands.
    pub(crate) fn resolve(&self, span: &Range<usize>, outside: &Outside<'_>) -> Result<Node, Diagnostic> {
        match self {
            Self::Env { name, default } => {
                let (name, place) = (text(name, "env", "the name of an environment variable")?, name.span.clone());
                match ((outside.env)(name), default) {
                    (Ok(value), _) => Ok(from(Value::Text(value), span, Origin::Env(name.to_owned()))),
                    (Err(VarError::NotPresent), Some(default)) => {
                        Ok(Node { origin: Some(Origin::Default), ..(*default).clone() })
                    }
                    (Err(VarError::NotPresent), None) => {
                        Err(Diagnostic::new(place, format!("the environment variable {name} is not set"))
                            .help(format!("set it, or give a default: {{ env = \"{name}\", default = \"...\" }}")))
                    }
                    (Err(VarError::NotUnicode(_)), _) => {
                        Err(Diagnostic::new(place, format!("the environment variable {name} is not UTF-8 text")))
                    }
                }
            }
            Self::File(path) => {
                let (written, place) = (text(path, "file", "the path of a file")?, path.span.clone());
                let path = outside.context.path(written);
                match std::fs::read_to_string(&path) {
                    Ok(content) => {
                        let content = content
                            .strip_suffix('\n')
                            .map_or(content.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
                        Ok(from(Value::Text(content.to_owned()), span, Origin::File(shown(&path))))
                    }
                    Err(error) => Err(Diagnostic::new(place, format!("cannot read {}: {error}", shown(&path)))
                        .help("a path in this file is relative to the folder of this file")),
                }
            }
        }
    }
}

fn from(value: Value, span: &Range<usize>, origin: Origin) -> Node {
    Node { origin: Some(origin), ..Node::new(value, span.clone()) }
}

fn text<'a>(node: &'a Node, key: &str, what: &str) -> Result<&'a str, Diagnostic> {
    match &node.value {
        Value::Text(text) if !text.is_empty() => Ok(text),
        _ => Err(Diagnostic::new(node.span.clone(), format!("`{key}` must be {what}, as text that is not empty"))),
    }
}
