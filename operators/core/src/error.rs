//! What can go wrong while rows move, in words for people: what happened, where, and what to do.

use crate::position::Position;
use crate::terminal::printed;

/// Result of anything a stage does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure that ends the attempt of a flow; nothing of the open epoch is committed. A reason may quote what a row
/// holds, which no terminal may take for commands.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A second copy of the same flow has taken over.
    #[error(
        "another copy of this pipeline is writing to {place}: {reason}. Only one copy may run; this one has stopped \
         and published nothing more. Look for the other process before starting again"
    )]
    Fenced {
        /// The sink both copies write to.
        place: String,
        /// What showed it, with version and run.
        reason: String,
    },
    /// What is stored and what the file asks for do not fit together; going on would lose or double rows.
    #[error("{place}: {}", printed(reason))]
    Refused {
        /// Source or sink where it was seen.
        place: String,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// A server does not answer, or not now: the same flow, begun again from its last commit, may get through.
    #[error("{place}: {reason}")]
    Unavailable {
        /// The server, or what lies on it.
        place: String,
        /// What was asked and what it answered.
        reason: String,
    },
    /// One row cannot be processed and the stage says `on_error = "fail"`.
    #[error(
        "{stage} failed at source partition {partition}, position {position}: {}. \
         To go on without such rows set on_error = \"skip\" or \"dead_letter\" on this stage",
        printed(reason)
    )]
    Row {
        /// The stage, as the file names it: `decode.protobuf`.
        stage: &'static str,
        /// Source partition of the row.
        partition: u32,
        /// Position of the row in it.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
    /// One value cannot become what the file asks for, in a stage that has no `on_error`.
    #[error(
        "{stage} failed at source partition {partition}, position {position}, column `{column}`: {}",
        printed(reason)
    )]
    Value {
        /// The stage, as the file names it: `transform.cast`.
        stage: &'static str,
        /// Source partition of the row.
        partition: u32,
        /// Position of the row in it.
        position: Position,
        /// The column that holds the value.
        column: String,
        /// What is wrong with the value, and what to do.
        reason: String,
    },
    /// Stored data contradicts itself.
    #[error("{path} is damaged: {}", printed(reason))]
    Damaged {
        /// File or table.
        path: String,
        /// What contradicts what.
        reason: String,
    },
    /// A file operation failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// Verb: `create`, `read`, `rename`.
        action: &'static str,
        /// The path it was done to.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A database operation failed.
    #[error("cannot {action} in {place}: {source}")]
    Sql {
        /// Verb and object: `insert rows`.
        action: String,
        /// Database and table, without secrets.
        place: String,
        /// The database's answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything else, already said in words.
    #[error("{0}")]
    Other(String),
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Other(format!("columns do not fit: {error}"))
    }
}

/// One thing wrong with a stage's configuration, found by `check`, `--dry-run` and `run` alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Keys below the stage's own table that lead to the value, a number for an item of a list; empty for the table as
    /// a whole.
    pub at: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Problem {
    /// A problem of the value under one key.
    pub fn at(key: &str, message: impl Into<String>) -> Self {
        Self { at: vec![key.to_owned()], message: message.into(), help: None }
    }

    /// A problem of the stage as a whole.
    pub fn whole(message: impl Into<String>) -> Self {
        Self { at: Vec::new(), message: message.into(), help: None }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_a_reason_moves_no_cursor() {
        let reason = || "failed to parse `\u{1b}]0;title\u{7}\u{202e}` \\ \"ü\"".to_owned();
        let (stage, place, column) = ("decode.json", String::new(), String::new());
        let errors = [
            Error::Row { stage, partition: 0, position: Position(0), reason: reason() },
            Error::Value { stage, partition: 0, position: Position(0), column, reason: reason() },
            Error::Refused { place: place.clone(), reason: reason() },
            Error::Damaged { path: place, reason: reason() },
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.contains(r#"`\u001b]0;title\u0007\u202e` \ "ü""#), "{text:?}");
        }
    }
}
