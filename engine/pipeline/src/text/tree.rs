//! The file as a tree of values that know their places in the text.

use crate::diagnostics::diagnostic::Diagnostics;
use crate::text::syntax;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Longest text an error repeats in full, in characters.
const SHOWN_MAX: usize = 60;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// Bytes of the file; the header for a table that has one.
    pub(crate) span: Range<usize>,
    /// Where the value came from when it is not written there.
    pub(crate) origin: Option<Origin>,
    /// It is a secret by its name, here or where it came from.
    pub(crate) secret: bool,
    /// A part of it was reported and taken out, so it does not say any more what the file says.
    pub(crate) flawed: bool,
}

/// Where a value came from that a reference stands for.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// The environment variable of this name.
    Env(String),
    /// The file of this path.
    File(String),
    /// The `default` beside the name of an environment variable that is not set.
    Default,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Whole(i128),
    Number(f64),
    Flag(bool),
    /// A date, a time or both, as TOML spells them without quotes.
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key and its value, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

/// One step from a node to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl Node {
    pub(crate) fn new(value: Value, span: Range<usize>) -> Self {
        Self { value, span, origin: None, secret: false, flawed: false }
    }

    /// The value under a key; `None` too when this is no table.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The entries of a table; none when this is no table.
    pub(crate) fn entries(&self) -> &[Entry] {
        if let Value::Table(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a list; none when this is no list.
    pub(crate) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// Whether nothing was taken out of it or of any part of it.
    pub(crate) fn is_whole(&self) -> bool {
        !self.flawed
            && self.items().iter().all(Self::is_whole)
            && self.entries().iter().all(|entry| entry.node.is_whole())
    }

    /// The deepest part on a path that is there; a number as key leads to an item of a list.
    pub(crate) fn nearest(&self, path: &[Step]) -> &Self {
        let Some((step, rest)) = path.split_first() else { return self };
        let part = match step {
            Step::Key(key) => self.get(key).or_else(|| self.items().get(key.parse::<usize>().ok()?)),
            Step::Index(index) => self.items().get(*index),
        };
        part.map_or(self, |part| part.nearest(rest))
    }

    /// Takes out the part a path leads to and marks what it was part of.
    pub(crate) fn take_out(&mut self, path: &[Step]) {
        let [step, rest @ ..] = path else { return };
        self.flawed |= rest.is_empty();
        match (&mut self.value, step) {
            (Value::Table(entries), Step::Key(key)) if rest.is_empty() => entries.retain(|entry| entry.key != *key),
            (Value::Table(entries), Step::Key(key)) => {
                entries.iter_mut().filter(|entry| entry.key == *key).for_each(|entry| entry.node.take_out(rest));
            }
            (Value::List(items), Step::Index(index)) if rest.is_empty() && *index < items.len() => {
                items.remove(*index);
            }
            (Value::List(items), Step::Index(index)) => {
                items.iter_mut().skip(*index).take(1).for_each(|item| item.take_out(rest));
            }
            _ => {}
        }
    }

    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(&self.value, Value::Text(is) if is == text)
    }

    /// What it is, for people: `the text "ten"`, `a list`; of a secret only that it is not what it should be.
    pub(crate) fn described(&self) -> String {
        match &self.value {
            _ if self.secret => "something else".to_owned(),
            Value::Text(text) => match text.char_indices().nth(SHOWN_MAX) {
                Some((end, _)) => format!("a text that begins with {:?}", &text[..end]),
                None => format!("the text {text:?}"),
            },
            Value::Whole(number) => format!("the number {number}"),
            Value::Number(number) => format!("the number {number}"),
            Value::Flag(flag) => flag.to_string(),
            Value::Date(date) => format!("the date {date}"),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }
}

/// Reads TOML as far as it can be read. The second value is where the first syntax error stands, after which the tree
/// is guesswork; a duplicate key leaves the tree sound.
pub(crate) fn parse(text: &str, found: &mut Diagnostics) -> (Node, Option<usize>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<_> = errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    errors.sort_by_key(|(span, _)| span.start);
    let mut broken = None;
    let mut line = None;
    for (span, message) in errors {
        if message == "duplicate key" {
            // Behind a syntax error a key may stand in another table than it seems to.
            if broken.is_none() {
                found.push(syntax::doubled(span, text));
            }
            continue;
        }
        broken.get_or_insert(span.start);
        // One mistake confuses the parser for the rest of its line.
        let this = text.get(..span.start).map(|before| before.matches('\n').count());
        if line.replace(this) != Some(this) {
            found.push(syntax::explained(message, span.clone(), text));
        }
        if syntax::is_endless(message, &span, text) {
            break;
        }
    }
    (Node::new(table(root.into_inner()), 0..0), broken)
}

fn table(table: DeTable<'_>) -> Value {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| {
            let (key_span, span) = (key.span(), value.span());
            Entry { key: key.into_inner().into_owned(), key_span, node: Node::new(convert(value.into_inner()), span) }
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    Value::Table(entries)
}

fn convert(value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        // A number that even i128 cannot hold is out of the range of every field.
        DeValue::Integer(n) => Value::Whole(i128::from_str_radix(n.as_str(), n.radix()).unwrap_or(i128::MAX)),
        DeValue::Float(n) => Value::Number(n.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| {
                    let span = item.span();
                    Node::new(convert(item.into_inner()), span)
                })
                .collect(),
        ),
        DeValue::Table(entries) => table(entries),
    }
}
