//! Keeps secrets out of what is shown: values of secret fields, and passwords in URLs.

use std::ops::Range;

const MASK: &str = "***";

/// A text with its secrets replaced, line for line.
pub(super) struct Masked {
    pub(super) text: String,
    /// Where each replaced part was and how far behind it the text has moved.
    moved: Vec<(Range<usize>, Range<usize>)>,
}

impl Masked {
    /// Masks these parts of a text, and the passwords of its URLs.
    pub(super) fn new(text: &str, secrets: &[Range<usize>]) -> Self {
        let mut hidden: Vec<_> = secrets.iter().flat_map(|secret| lines(text, secret)).chain(passwords(text)).collect();
        hidden.sort_by_key(|range| (range.start, range.end));
        let mut masked = Self { text: String::with_capacity(text.len()), moved: Vec::new() };
        let mut at = 0;
        for range in hidden {
            // A password within a secret is already hidden.
            let range = range.start.max(at)..range.end;
            if range.is_empty() {
                continue;
            }
            masked.text.push_str(&text[at..range.start]);
            let start = masked.text.len();
            masked.text.push_str(MASK);
            at = range.end;
            masked.moved.push((range, start..masked.text.len()));
        }
        masked.text.push_str(&text[at..]);
        masked
    }

    /// Where a part of the original text stands now; a hidden part becomes its mask.
    pub(super) fn span(&self, span: &Range<usize>) -> Range<usize> {
        self.byte(span.start, |mask| mask.start)..self.byte(span.end, |mask| mask.end)
    }

    fn byte(&self, byte: usize, within: fn(&Range<usize>) -> usize) -> usize {
        match self.moved.iter().rev().find(|(was, _)| was.start < byte) {
            Some((was, is)) if byte < was.end => within(is),
            Some((was, is)) => is.end + (byte - was.end),
            None => byte,
        }
    }

    /// Words with the passwords of their URLs masked.
    pub(super) fn words(&self, words: &str) -> String {
        Self::new(words, &[]).text
    }
}

/// The parts of a range that lie on one line each, so that masking keeps the number of lines.
fn lines(text: &str, range: &Range<usize>) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = range.start;
    for line in text[range.clone()].split_inclusive('\n') {
        let end = start + line.trim_end_matches(['\r', '\n']).len();
        parts.push(start..end);
        start += line.len();
    }
    parts
}

/// The passwords of URLs such as `mysql://user:password@host`; where a URL holds what it may not, such as quotes,
/// rather too much is masked than too little.
fn passwords(text: &str) -> Vec<Range<usize>> {
    text.match_indices("://")
        .filter_map(|(scheme, separator)| {
            let start = scheme + separator.len();
            let rest = &text[start..];
            let url = rest.split(char::is_whitespace).next().unwrap_or_default();
            let password = url.find(':')? + 1;
            let at = url.rfind('@').filter(|at| *at > password)?;
            Some(start + password..start + at)
        })
        .collect()
}

/// Whether a key is the name of a secret by its sound: `sasl.password`.
pub(super) fn names_a_secret(key: &str) -> bool {
    ["password", "secret", ".pem"].iter().any(|sound| key.to_lowercase().contains(sound))
}

/// What stands behind keys of these names, for text that is no TOML: up to the end of the line, or of the multi-line
/// string that begins there.
pub(super) fn assigned(text: &str, names: &[&str]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (key, name) in names.iter().flat_map(|name| text.match_indices(name)) {
        let after = key + name.len();
        let Some(equals) = text[after..].find(|c: char| !matches!(c, ' ' | '\t' | '"' | '\'')) else { continue };
        if !text[after + equals..].starts_with('=') {
            continue;
        }
        let start = after + equals + 1;
        let value = text[start..].trim_start_matches([' ', '\t']);
        let start = text.len() - value.len();
        let closing = ["\"\"\"", "\'\'\'"].into_iter().find(|quotes| value.starts_with(quotes));
        let length = match closing {
            Some(quotes) => value[quotes.len()..].find(quotes).map(|end| end + 2 * quotes.len()),
            None => value.find(['\n', '\r']),
        };
        found.push(start..start + length.unwrap_or(value.len()));
    }
    found
}
