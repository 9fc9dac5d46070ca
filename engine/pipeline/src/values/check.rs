//! The tree against its shape: unknown and missing keys, wrong types, unknown words and kinds, all at once.
//!
//! References are resolved on the way, where the shape says that a value is expected, so that what they hold is read
//! by the type of its field. What is reported is taken out of the tree, so that later passes find only new mistakes.

use crate::diagnostics::diagnostic::{Diagnostic, Diagnostics};
use crate::shape::{Field, Format, Scalar, Shape, names};
use crate::text::syntax::of_a_shell;
use crate::text::tree::{Entry, Node, Origin, Value};
use crate::values::meant::{home, nearest};
use crate::values::resolve::{Outside, Reference};

/// Checks a tree, resolves its references, and takes out what is wrong. `broken` is the place of a syntax error:
/// nothing is said about what stands behind it, nor about what seems to be missing.
pub(crate) fn check(
    root: &mut Node,
    shape: &Shape,
    outside: &Outside<'_>,
    broken: Option<usize>,
    found: &mut Diagnostics,
) {
    Checker { outside, broken, found, root: shape }.value("the file", root, shape);
}

struct Checker<'a> {
    outside: &'a Outside<'a>,
    broken: Option<usize>,
    found: &'a mut Diagnostics,
    /// What the whole file may say.
    root: &'a Shape,
}

/// Whether a node may stay; otherwise it was reported.
type Stays = bool;

impl Checker<'_> {
    fn report(&mut self, error: Diagnostic) {
        if self.broken.is_none_or(|place| error.span.start < place) {
            self.found.push(error);
        }
    }

    fn value(&mut self, name: &str, node: &mut Node, shape: &Shape) -> Stays {
        match (shape, &mut node.value) {
            (Shape::Scalar(_) | Shape::Words(_), _) => self.scalar(name, node, shape),
            (Shape::Either(_, parts), Value::List(_)) => self.value(name, node, parts),
            (Shape::Either(_, parts), Value::Table(entries)) if Reference::read(entries).is_none() => {
                self.value(name, node, parts)
            }
            (Shape::Either(single, _), Value::Table(_) | Value::Text(_)) => self.value(name, node, single),
            (Shape::Either(single, _), Value::Whole(_))
                if matches!(**single, Shape::Scalar(Scalar { whole: true, .. })) =>
            {
                self.value(name, node, single)
            }
            (Shape::ListOrTable(list, _), Value::List(_)) => self.value(name, node, list),
            (Shape::ListOrTable(_, table), Value::Table(_)) => self.value(name, node, table),
            (Shape::Table { fields, .. }, Value::Table(_)) => self.table(node, fields),
            (Shape::Choice(kinds), Value::Table(_)) => self.choice(name, node, kinds),
            (Shape::Map(inner), Value::Table(entries)) => {
                let all = entries.len();
                entries.retain_mut(|entry| self.value(&entry.key, &mut entry.node, inner));
                node.flawed |= entries.len() < all;
                true
            }
            (Shape::List(inner), Value::List(items)) => {
                let all = items.len();
                items.retain_mut(|item| self.value(name, item, inner));
                node.flawed |= items.len() < all;
                true
            }
            (Shape::List(inner), Value::Table(_)) if matches!(**inner, Shape::Table { .. } | Shape::Choice(_)) => {
                let header = match name {
                    "flow" | "test" => format!("[[{name}]]"),
                    _ => format!("[[flow.{name}]]"),
                };
                self.report(
                    Diagnostic::new(node.span.clone(), format!("`{name}` must be a list, but this is one table"))
                        .help(format!("write each {name} under a header in double brackets, {header}")),
                );
                // What it holds is still checked, as the one item it was meant to be.
                self.value(name, node, inner);
                false
            }
            _ => {
                self.report(wrong_type(name, node, shape));
                false
            }
        }
    }

    fn table(&mut self, node: &mut Node, fields: &[Field]) -> Stays {
        let Value::Table(entries) = &mut node.value else { return true };
        let given: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        let absent: Vec<&Field> = fields.iter().filter(|field| !given.contains(&field.name)).collect();
        let mut misspelled = Vec::new();
        let all = entries.len();
        entries.retain_mut(|entry| {
            if let Some(field) = fields.iter().find(|field| field.name == entry.key) {
                return self.value(&entry.key, &mut entry.node, &field.shape);
            }
            // A key that is there already cannot be what was meant.
            let meant = nearest(&entry.key, absent.iter().map(|field| field.name.as_str()));
            misspelled.extend(absent.iter().map(|field| &field.name).find(|name| Some(name.as_str()) == meant));
            let known = match fields {
                [] => "this table takes no keys".to_owned(),
                _ => format!("known keys: {}", names(fields.iter().map(|field| field.name.as_str()))),
            };
            self.report(
                Diagnostic::new(entry.key_span.clone(), format!("unknown key `{}`", entry.key))
                    .help(self.help(entry, meant, &known)),
            );
            false
        });
        node.flawed |= entries.len() < all;
        let missing = absent.into_iter().filter(|field| field.required && !misspelled.contains(&&field.name));
        self.missing(node, &missing.collect::<Vec<_>>());
        true
    }

    /// What an unknown key was meant to be, or where it belongs, and what is known here.
    fn help(&self, entry: &Entry, meant: Option<&str>, known: &str) -> String {
        let table = match &entry.node.value {
            Value::Table(_) => true,
            Value::List(items) => items.iter().any(|item| matches!(item.value, Value::Table(_))),
            _ => false,
        };
        match meant.map_or_else(|| home(self.root, &entry.key, table), |_| None) {
            Some(home) => format!("{home}; {known}"),
            None => help(meant, known),
        }
    }

    fn missing(&mut self, node: &Node, missing: &[&Field]) {
        if missing.is_empty() || self.broken.is_some() {
            return;
        }
        let plural = if missing.len() == 1 { "key" } else { "keys" };
        let names = names(missing.iter().map(|field| field.name.as_str()));
        let lines = missing.iter().map(|field| format!("`{}` is {}. {}", field.name, field.shape, field.doc));
        // The file as a whole has no header to point at.
        let top = if node.span.is_empty() { " at the top of the file" } else { "" };
        self.report(
            Diagnostic::new(node.span.clone(), format!("missing {plural} {names}{top}"))
                .help(lines.collect::<Vec<_>>().join("\n")),
        );
    }

    fn choice(&mut self, name: &str, node: &mut Node, kinds: &[Field]) -> Stays {
        let span = node.span.clone();
        let Value::Table(entries) = &mut node.value else { return true };
        let all = names(kinds.iter().map(|kind| kind.name.as_str()));
        if entries.is_empty() {
            self.report(Diagnostic::new(span, format!("`{name}` has no kind")).help(format!("kinds of {name}: {all}")));
            return false;
        }
        let mut flawed = false;
        for entry in entries.iter_mut() {
            if let Some(kind) = kinds.iter().find(|kind| kind.name == entry.key) {
                flawed |= !self.value(&entry.key, &mut entry.node, &kind.shape);
                continue;
            }
            flawed = true;
            let meant = nearest(&entry.key, kinds.iter().map(|kind| kind.name.as_str()));
            self.report(
                Diagnostic::new(entry.key_span.clone(), format!("unknown kind of {name} `{}`", entry.key))
                    .help(self.help(entry, meant, &format!("kinds of {name}: {all}"))),
            );
        }
        if let [first, others @ ..] = entries.as_slice() {
            for other in others {
                let advice = match name {
                    "transform" => "each has a [[flow.transform]] of its own",
                    _ => "keep one, or move the other into a [[flow]] of its own",
                };
                flawed = true;
                self.report(
                    Diagnostic::new(
                        other.key_span.clone(),
                        format!("two kinds of {name} in one place: `{}` and `{}`", first.key, other.key),
                    )
                    .related(first.key_span.clone(), "the first")
                    .help(advice),
                );
            }
        }
        node.flawed |= flawed;
        true
    }

    fn scalar(&mut self, name: &str, node: &mut Node, shape: &Shape) -> Stays {
        let Value::Table(entries) = &node.value else {
            if shape.is_secret() {
                self.found.hide(node.span.clone());
            }
            return self.literal(name, node, shape);
        };
        let reference = match Reference::read(entries) {
            Some(Ok(reference)) => reference,
            problem => {
                if shape.is_secret() {
                    self.found.hide(node.span.clone());
                }
                let error = problem.and_then(Result::err).unwrap_or_else(|| wrong_type(name, node, shape));
                self.report(error);
                return false;
            }
        };
        let secret = reference.is_secret();
        // A default is checked even when it is not needed, so that a file does not turn wrong with its environment.
        let mut sound = true;
        if let Reference::Env { default: Some(default), .. } = reference {
            if secret || shape.is_secret() {
                self.found.hide(default.span.clone());
            }
            let mut default = Node { origin: Some(Origin::Default), secret, ..default.clone() };
            self.keep_unsaid(&default);
            sound = self.literal(name, &mut default, shape);
        }
        match reference.resolve(&node.span, self.outside) {
            Ok(value) if matches!(value.origin, Some(Origin::Default)) && !sound => false,
            Ok(value) => {
                *node = Node { secret, ..value };
                self.keep_unsaid(node);
                self.literal(name, node, shape) && sound
            }
            Err(error) => {
                self.report(error);
                false
            }
        }
    }

    /// Whatever is found wrong later, by a stage too, does not repeat a secret.
    fn keep_unsaid(&mut self, node: &Node) {
        if let (true, Value::Text(text)) = (node.secret, &node.value) {
            self.found.leave_unsaid(text);
        }
    }

    /// A value without references; text that came from elsewhere is read by the type of its field.
    fn literal(&mut self, name: &str, node: &mut Node, shape: &Shape) -> Stays {
        match (shape, &node.value) {
            (Shape::Words(words), Value::Text(text)) => {
                if words.iter().any(|(word, _)| word == text) {
                    return true;
                }
                let meant = nearest(text, words.iter().map(|(word, _)| word.as_str()));
                let known: Vec<_> = words.iter().map(|(word, doc)| explained(word, doc, words.len())).collect();
                self.report(
                    Diagnostic::new(node.span.clone(), format!("`{name}` cannot be `{text}`{}", whence(node)))
                        .help(help(meant, &format!("choices: {}", known.join(", ")))),
                );
                return false;
            }
            (Shape::Scalar(scalar), Value::Text(text)) if node.origin.is_some() => {
                if let Some(value) = read(text, scalar) {
                    node.value = value;
                }
            }
            _ => {}
        }
        let Shape::Scalar(scalar) = shape else {
            self.report(wrong_type(name, node, shape));
            return false;
        };
        if !fits(&mut node.value, scalar) {
            self.report(wrong_type(name, node, shape));
            return false;
        }
        let value = match node.value {
            Value::Whole(number) => number as f64,
            Value::Number(number) => number,
            _ => return true,
        };
        let bound = match (scalar.min, scalar.max) {
            (Some(min), _) if value < min as f64 => format!("at least {min}"),
            (_, Some(max)) if value > max as f64 => format!("at most {max}"),
            _ => return true,
        };
        self.report(Diagnostic::new(node.span.clone(), format!("`{name}` must be {bound}{}", whence(node))));
        false
    }
}

/// Text of a variable or file as the value its field asks for, when the field does not take text.
fn read(text: &str, scalar: &Scalar) -> Option<Value> {
    let text = text.trim();
    let whole = || text.parse().ok().filter(|_| scalar.whole || scalar.number).map(Value::Whole);
    let number = || text.parse().ok().filter(|_| scalar.number).map(Value::Number);
    let flag = || text.parse().ok().filter(|_| scalar.flag).map(Value::Flag);
    if scalar.text { None } else { whole().or_else(number).or_else(flag) }
}

/// Whether a value is of a type that may stand here; a date without quotes becomes text where a date is asked for.
fn fits(value: &mut Value, scalar: &Scalar) -> bool {
    if scalar.format == Some(Format::Date)
        && let Value::Text(text) | Value::Date(text) = value
    {
        let day = text.parse::<toml::value::Datetime>().is_ok_and(|date| date.date.is_some() && date.time.is_none());
        let text = std::mem::take(text);
        *value = Value::Text(text);
        return day;
    }
    match value {
        Value::Text(_) => scalar.text,
        Value::Whole(_) => scalar.whole || scalar.number,
        Value::Number(_) => scalar.number,
        Value::Flag(_) => scalar.flag,
        Value::Date(_) | Value::List(_) | Value::Table(_) => false,
    }
}

fn wrong_type(name: &str, node: &Node, shape: &Shape) -> Diagnostic {
    let is = if shape.is_secret() { "something else".to_owned() } else { node.described() };
    let is = match &node.origin {
        Some(Origin::Env(variable)) => format!("but the environment variable {variable} holds {is}"),
        Some(Origin::File(path)) => format!("but the file {path} holds {is}"),
        Some(Origin::Default) | None => format!("but this is {is}"),
    };
    let error = Diagnostic::new(node.span.clone(), format!("`{name}` must be {shape}, {is}"));
    match (&node.value, shape) {
        (Value::Date(_), Shape::Scalar(scalar)) if scalar.text => error.help("put it in quotes"),
        (Value::Text(text), Shape::Scalar(_)) => match of_a_shell(text) {
            Some(help) => error.help(help),
            None => error,
        },
        (Value::Table(_), Shape::Scalar(_) | Shape::Words(_)) => {
            error.help("a table here is a reference: { env = \"NAME\", default = \"...\" } or { file = \"PATH\" }")
        }
        (_, Shape::Choice(kinds)) => match kinds.iter().find(|kind| node.is_text(&kind.name)).or(kinds.first()) {
            Some(kind) => error.help(format!("for example [flow.{name}.{}]", kind.name)),
            None => error,
        },
        _ => error,
    }
}

/// Where a value came from, to follow a sentence about it.
pub(crate) fn whence(node: &Node) -> String {
    match &node.origin {
        Some(Origin::Env(variable)) => format!(" (from the environment variable {variable})"),
        Some(Origin::File(path)) => format!(" (from the file {path})"),
        Some(Origin::Default) | None => String::new(),
    }
}

pub(crate) fn help(meant: Option<&str>, known: &str) -> String {
    meant.map_or(known.to_owned(), |meant| format!("did you mean `{meant}`? {known}"))
}

/// A choice with its meaning, unless there are so many that they would not be read.
fn explained(word: &str, doc: &str, choices: usize) -> String {
    if doc.is_empty() || choices > 4 { format!("`{word}`") } else { format!("`{word}` ({doc})") }
}
