//! What is no TOML, in words for those who do not know its grammar.

use crate::diagnostics::diagnostic::Diagnostic;
use std::ops::Range;

const VARIABLE: &str = "a variable is written { env = \"NAME\" }";
const QUOTES: &str = "text stands in quotes";

/// A mistake of the grammar: the parser's words, and the place they are about.
pub(crate) fn explained(message: &str, span: Range<usize>, text: &str) -> Diagnostic {
    let here = text.get(span.start..).unwrap_or_default();
    let line = line_before(&span, text);
    let (words, help) = match message.split([',', ';']).next().unwrap_or_default() {
        _ if here.starts_with(['“', '”', '„', '‘', '’', '‚']) => {
            ("these quotes are not those of a keyboard", "write \"text\" or 'text'")
        }
        "string values must be quoted" | "missing value" | "invalid boolean" => unquoted(here),
        "invalid basic string" => {
            ("this text is not closed", "its `\"` is missing; a text over several lines stands in \"\"\"...\"\"\"")
        }
        "invalid literal string" => {
            ("this text is not closed", "its `'` is missing; a text over several lines stands in '''...'''")
        }
        "missing escaped value" | "invalid escape sequence" => (
            "a `\\` in double quotes begins a sign such as `\\n`",
            "put the text in single quotes, which take it as it is, or write `\\\\`",
        ),
        "key with no value" if line.trim_end().ends_with(':') => ("this is `:` where `=` belongs", "write key = value"),
        "key with no value" if line.trim_start().starts_with('/') => {
            ("this is no comment", "a comment begins with `#`")
        }
        "key with no value" => ("there is no `=` behind this key", "write key = value"),
        "invalid unquoted key" if here.starts_with('/') => ("this is no comment", "a comment begins with `#`"),
        "invalid unquoted key" => {
            ("this is no key", "a key has letters, digits, _ and -; one with other signs stands in quotes")
        }
        "unclosed array table" => {
            ("this header is not closed", "a header of a list has two brackets on each side: [[flow]]")
        }
        "unclosed table" => {
            ("this header is not closed", "a header is [flow.source.topic], with dots and without blanks")
        }
        "unclosed array" => ("a list is not closed", "its `]` is missing"),
        "unclosed inline table" => ("a table is not closed", "its `}` is missing"),
        "missing comma between array elements" => ("a comma is missing between the items of a list", "write [1, 2]"),
        "missing comma between key-value pairs" | "missing key for inline table element" => {
            ("a comma is missing here, or the `}` of the table before", "write { a = 1, b = 2 }")
        }
        "extra comma in inline table" => ("nothing stands before this comma", "write { a = 1, b = 2 }"),
        "unexpected leading zero" | "invalid date" => {
            ("this is no number and no date", "a number has no zeros before it, and a day is 2000-01-31")
        }
        "invalid float" if here.starts_with(char::is_alphabetic) => unquoted(here),
        "unexpected key or value" => {
            ("the line should end before this", "each key has a line of its own, and `;` ends none")
        }
        _ => return Diagnostic::new(span, format!("not TOML: {message}")),
    };
    Diagnostic::new(span, format!("not TOML: {words}")).help(help)
}

/// Whether a mistake takes in the rest of the file: a list or a table that the next line finds open.
pub(crate) fn is_endless(message: &str, span: &Range<usize>, text: &str) -> bool {
    message.starts_with("missing") && line_before(span, text).trim().is_empty()
}

/// A key that its table has already, or a table that its flow has already.
pub(crate) fn doubled(span: Range<usize>, text: &str) -> Diagnostic {
    let key = text.get(span.clone()).unwrap_or_default();
    if line_before(&span, text).trim_start().starts_with('[') {
        return Diagnostic::new(span, format!("`{key}` stands here a second time"))
            .help("a table stands once in its flow; a further flow begins with [[flow]]");
    }
    Diagnostic::new(span, format!("duplicate key `{key}`")).help("a key stands once in its table")
}

/// What stands before a place on its line.
fn line_before<'a>(span: &Range<usize>, text: &'a str) -> &'a str {
    text.get(..span.start).and_then(|before| before.rsplit('\n').next()).unwrap_or_default()
}

/// What stands where a value is expected and is none.
fn unquoted(here: &str) -> (&'static str, &'static str) {
    let word: String = here.chars().take_while(|c| !c.is_whitespace() && !",]}#;".contains(*c)).collect();
    match word.as_str() {
        "" => ("there is no value behind the `=`", QUOTES),
        "None" | "null" | "nil" => ("there is no such value", "leave the key out"),
        "True" | "False" | "TRUE" | "FALSE" | "yes" | "no" | "on" | "off" => {
            ("this is no value", "yes and no are written true and false")
        }
        _ if word.starts_with('$') => ("this is no value", VARIABLE),
        _ if word.starts_with(|c: char| c.is_ascii_digit()) => {
            ("this is no number", "lengths of time and sizes stand in quotes: \"10s\", \"256MiB\"")
        }
        _ => ("this is text without quotes", QUOTES),
    }
}

/// What a text means that a shell would have replaced.
pub(crate) fn of_a_shell(text: &str) -> Option<&'static str> {
    let name = text.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(VARIABLE)
}
