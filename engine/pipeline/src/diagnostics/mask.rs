//! Keeps out of what is shown what must not be: values of secret fields and variables, passwords in URLs, and controls
//! that a terminal would obey.

use std::cmp::Reverse;
use std::ops::Range;

const MASK: &str = "***";

/// Stands for a control of 8 bits, in the one column that people count for it. Those of 7 bits the renderer replaces.
const CONTROL: &str = "\u{fffd}";

/// A text with its secrets replaced, line for line.
pub(crate) struct Masked {
    pub(crate) text: String,
    /// Where each replaced part was and how far behind it the text has moved.
    moved: Vec<(Range<usize>, Range<usize>)>,
    /// What no words may repeat, the longest first.
    unsaid: Vec<String>,
}

impl Masked {
    /// Masks these parts of a text, and the passwords of its URLs; in words about it, `unsaid` values too.
    pub(crate) fn new(text: &str, secrets: &[Range<usize>], unsaid: &[String]) -> Self {
        let secrets = secrets.iter().flat_map(|secret| lines(text, secret)).chain(passwords(text));
        let mut hidden: Vec<_> = secrets.map(|range| (range, MASK)).chain(controls(text)).collect();
        hidden.sort_by_key(|(range, _)| (range.start, range.end));
        let mut unsaid: Vec<_> = unsaid.iter().flat_map(|value| spellings(value)).collect();
        unsaid.sort_by_key(|value| Reverse(value.len()));
        let mut masked = Self { text: String::with_capacity(text.len()), moved: Vec::new(), unsaid };
        let mut at = 0;
        for (range, instead) in hidden {
            // A password within a secret is already hidden.
            let range = range.start.max(at)..range.end;
            if range.is_empty() {
                continue;
            }
            masked.text.push_str(&text[at..range.start]);
            let start = masked.text.len();
            masked.text.push_str(instead);
            at = range.end;
            masked.moved.push((range, start..masked.text.len()));
        }
        masked.text.push_str(&text[at..]);
        masked
    }

    /// Where a part of the original text stands now; a hidden part becomes its mask.
    pub(crate) fn span(&self, span: &Range<usize>) -> Range<usize> {
        self.byte(span.start, |mask| mask.start)..self.byte(span.end, |mask| mask.end)
    }

    fn byte(&self, byte: usize, within: fn(&Range<usize>) -> usize) -> usize {
        match self.moved.iter().rev().find(|(was, _)| was.start < byte) {
            Some((was, is)) if byte < was.end => within(is),
            Some((was, is)) => is.end + (byte - was.end),
            None => byte,
        }
    }

    /// Words without values that must not be said, and with the passwords of their URLs masked.
    pub(crate) fn words(&self, words: &str) -> String {
        let words = self.unsaid.iter().fold(words.to_owned(), |words, value| words.replace(value, MASK));
        Self::new(&words, &[], &[]).text
    }
}

/// How words may repeat a value: as it is, without the blanks around it, or with its quotes and controls escaped.
fn spellings(value: &str) -> impl Iterator<Item = String> {
    let trimmed = value.trim();
    let spelled = [value.to_owned(), trimmed.to_owned(), value.escape_debug().to_string()];
    spelled.into_iter().filter(|spelled| !spelled.trim().is_empty())
}

/// The controls of 8 bits in a text, which some terminals obey as they obey an escape.
fn controls(text: &str) -> impl Iterator<Item = (Range<usize>, &'static str)> {
    let is_control = |c: &char| ('\u{80}'..='\u{9f}').contains(c);
    let all = text.char_indices().filter(move |(_, c)| is_control(c));
    all.map(|(at, c)| (at..at + c.len_utf8(), CONTROL))
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

/// The passwords of URLs such as `mysql://user:password@host`, with a scheme or without, and of what stands behind a
/// `?`; where a URL holds what it may not, such as quotes, rather too much is masked than too little.
fn passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut begin = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let schemes = word.match_indices("://").map(|(at, separator)| at + separator.len());
        let starts: Vec<_> = if word.contains("://") { schemes.collect() } else { vec![0] };
        for start in starts {
            let url = &word[start..];
            if let Some(password) = url.find(':').map(|colon| colon + 1)
                && let Some(at) = url.rfind('@').filter(|at| *at > password)
            {
                found.push(begin + start + password..begin + start + at);
            }
        }
        for (at, _) in word.match_indices(['?', '&']) {
            let setting = &word[at + 1..];
            let end = setting.find(|c: char| c.is_whitespace() || "&\"'`".contains(c)).unwrap_or(setting.len());
            if let Some((name, _)) = setting[..end].split_once('=').filter(|(name, _)| names_a_secret(name)) {
                found.push(begin + at + 1 + name.len() + 1..begin + at + 1 + end);
            }
        }
        begin += word.len();
    }
    found
}

/// Whether a key is the name of a secret by its sound: `sasl.password`, `passwd`.
pub(crate) fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let last = key.rsplit('.').next().unwrap_or_default();
    let misspelled = [last.replace(['_', '-'], ""), last.rsplit(['_', '-']).next().unwrap_or_default().to_owned()];
    let sounds = [
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "token",
        "credential",
        "apikey",
        "api_key",
        "jaas",
        ".pem",
    ];
    sounds.iter().any(|sound| key.contains(sound))
        || misspelled.iter().any(|word| strsim::damerau_levenshtein(word, "password") <= 2)
}
