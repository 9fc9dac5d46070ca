//! The text of a file; what is no text is refused in words.

use crate::diagnostics::diagnostic::{Diagnostic, Diagnostics};
use std::path::Path;

/// How many bytes are looked at to tell a text from something else.
const LOOK: usize = 8192;

pub(crate) fn open(path: &Path) -> Result<String, Diagnostics> {
    let shown = path.display();
    if path.is_dir() {
        return Err(refused(path, format!("{shown} is a directory"), &inside(path)));
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Err(refused(path, format!("cannot read {shown}: {error}"), "")),
    };
    // Windows PowerShell writes this by default.
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(refused(path, format!("{shown} is UTF-16 text"), "save it as UTF-8"));
    }
    if bytes[..bytes.len().min(LOOK)].contains(&0) {
        return Err(refused(path, format!("{shown} is no text"), "a pipeline is a TOML file"));
    }
    // Some editors of Windows begin a file with a mark that counts for nothing.
    let bytes = bytes.strip_prefix("\u{FEFF}".as_bytes()).map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let mut found = Diagnostics::new(&shown.to_string(), text);
        let mark = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
        found.push(Diagnostic::new(mark, "this is not UTF-8 text").help("save the file as UTF-8"));
        found
    })
}

fn refused(path: &Path, message: String, help: &str) -> Diagnostics {
    let mut found = Diagnostics::new(&path.display().to_string(), String::new());
    let error = Diagnostic::new(0..0, message);
    found.push(if help.is_empty() { error } else { error.help(help) });
    found
}

/// The files in a directory that may have been meant.
fn inside(directory: &Path) -> String {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.display().to_string())
        .collect();
    files.sort();
    match files.as_slice() {
        [] => "name a pipeline file".to_owned(),
        files => format!("name a pipeline file; in there: {}", files.join(", ")),
    }
}
