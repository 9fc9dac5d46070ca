//! Text of others on a terminal, which prints it and obeys nothing in it.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a terminal does something with a character instead of printing it: controls, those of 8 bits too, what breaks
/// lines, and what turns the direction of others. All of them have at most four hexadecimal digits.
pub fn acts(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Text in which every character that a terminal would not just print is escaped, and nothing else changes.
pub fn printed(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return text.into();
    }
    text.chars()
        .fold(String::with_capacity(text.len()), |mut printed, c| {
            // Writing to a string cannot fail.
            let _ = if acts(c) { write!(printed, "\\u{:04x}", u32::from(c)) } else { write!(printed, "{c}") };
            printed
        })
        .into()
}
