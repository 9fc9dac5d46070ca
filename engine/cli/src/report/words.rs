//! Numbers and text of others in words.

use indicatif::HumanCount;
use operators_core::progress::Tally;
use operators_core::terminal::printed;

/// `1 row`, `3,000 rows`
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", HumanCount(number))
}

/// Rows that were read and not written, each kind behind a comma; nothing when there are none.
pub(crate) fn left_out(tally: &Tally) -> String {
    let kinds = [(tally.filtered, "filtered"), (tally.skipped, "skipped"), (tally.dead_letters, "dead letters")];
    let words = kinds.into_iter().filter(|(rows, _)| *rows > 0);
    words.map(|(rows, what)| format!(", {} {what}", HumanCount(rows))).collect()
}

/// Text of others in its lines, with nothing in it that a terminal obeys.
pub(crate) fn printed_lines(text: &str) -> String {
    text.lines().map(printed).collect::<Vec<_>>().join("\n")
}

/// JSON as it was written, or its error as JSON: what reads JSON can read both.
pub(crate) fn json_or_error(written: serde_json::Result<String>) -> String {
    written.unwrap_or_else(|error| serde_json::json!({"error": error.to_string()}).to_string())
}

#[cfg(test)]
mod tests {
    use serde::ser::Error;

    #[test]
    fn an_error_is_json_whatever_stands_in_it() {
        let error = "a \"key\" that is\nno text";
        let text = super::json_or_error(Err(serde_json::Error::custom(error)));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), serde_json::json!({"error": error}));
    }
}
