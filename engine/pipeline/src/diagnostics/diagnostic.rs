//! Everything wrong with a file, each mistake shown at its place.

use crate::diagnostics::mask::Masked;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use operators_core::terminal::printed;
use std::fmt;
use std::ops::Range;

/// Everything wrong with a file.
pub struct Diagnostics {
    path: String,
    text: String,
    errors: Vec<Diagnostic>,
    secrets: Vec<Range<usize>>,
    /// Values that no message repeats.
    unsaid: Vec<String>,
}

/// A part of the file is wrong or missing, and the [`Diagnostics`] have it already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported;

/// One mistake and its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    pub(crate) span: Range<usize>,
    message: String,
    related: Option<(Range<usize>, String)>,
    help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), related: None, help: None }
    }

    /// Another place that explains this one.
    pub(crate) fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }

    /// What would be right.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Diagnostics {
    /// Nothing wrong yet with this text of this file.
    pub(crate) fn new(path: &str, text: String) -> Self {
        // Whoever named the file does not speak to the terminal.
        let path = printed(path).into_owned();
        Self { path, text, errors: Vec::new(), secrets: Vec::new(), unsaid: Vec::new() }
    }

    pub(crate) fn push(&mut self, error: Diagnostic) {
        self.errors.push(error);
    }

    /// Never shows this part of the file.
    pub(crate) fn hide(&mut self, secret: Range<usize>) {
        self.secrets.push(secret);
    }

    /// Never says this value, whatever is said of it.
    pub(crate) fn leave_unsaid(&mut self, value: &str) {
        self.unsaid.push(value.to_owned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether something was found wrong at exactly this place.
    pub(crate) fn knows(&self, span: &Range<usize>) -> bool {
        self.errors.iter().any(|error| error.span == *span)
    }

    /// `file:line:column` of a byte of the file.
    pub(crate) fn place(&self, byte: usize) -> String {
        format!("{}:{}", self.path, position(&self.text, byte))
    }

    /// All mistakes in the order of the file, and their number, for a terminal of so many columns or in whole lines.
    pub fn render(&self, color: bool, columns: Option<usize>) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        match columns {
            Some(columns) => self.in_columns(&renderer.term_width(columns), columns),
            None => self.in_columns(&renderer, usize::MAX),
        }
    }

    fn in_columns(&self, renderer: &Renderer, columns: usize) -> String {
        let masked = Masked::new(&self.text, &self.secrets, &self.unsaid);
        let mut errors: Vec<_> = self.errors.iter().collect();
        errors.sort_by_key(|error| (error.span.start, error.span.end));
        let mut text = String::new();
        for error in &errors {
            let shown = renderer.render(&[self.group(error, &masked, columns)]);
            // The renderer counts columns in the masked line; people look them up in their file.
            let at = |place| format!("{}:{place}", self.path);
            let [mask, file] =
                [position(&masked.text, masked.span(&error.span).start), position(&self.text, error.span.start)];
            text.push_str(&shown.replacen(&at(mask), &at(file), 1));
            text.push_str("\n\n");
        }
        let plural = if errors.len() == 1 { "" } else { "s" };
        text.push_str(&format!("{} error{plural} in {}", errors.len(), self.path));
        text
    }

    fn group<'a>(&'a self, error: &'a Diagnostic, masked: &'a Masked, columns: usize) -> Group<'a> {
        let title = Level::ERROR.primary_title(folded(&masked.words(&error.message), columns));
        if self.text.is_empty() {
            return Self::helped(title.element(Origin::path(self.path.as_str())), error, masked, columns);
        }
        let mut snippet = Snippet::source(masked.text.as_str())
            .path(self.path.as_str())
            .annotation(AnnotationKind::Primary.span(masked.span(&error.span)));
        if let Some((span, label)) = &error.related {
            snippet = snippet.annotation(AnnotationKind::Context.span(masked.span(span)).label(masked.words(label)));
        }
        Self::helped(title.element(snippet), error, masked, columns)
    }

    fn helped<'a>(group: Group<'a>, error: &Diagnostic, masked: &Masked, columns: usize) -> Group<'a> {
        match &error.help {
            Some(help) => {
                group.element(Level::HELP.message(normalize_untrusted_str(&folded(&masked.words(help), columns))))
            }
            None => group,
        }
    }
}

/// Columns that stand before a message: the gutter and what it is, as in `    = help: `.
const BEFORE_MESSAGE: usize = 14;

/// Words of a message, broken where a terminal ends.
fn folded(words: &str, columns: usize) -> String {
    textwrap::fill(words, columns.saturating_sub(BEFORE_MESSAGE).max(20))
}

/// `line:column`, counted from 1, of a byte.
fn position(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column}")
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false, None))
    }
}

impl fmt::Debug for Diagnostics {
    /// As displayed: the text of the file may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false, None))
    }
}

impl std::error::Error for Diagnostics {}
