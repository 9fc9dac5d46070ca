//! Everything that knows SQL, shared by the table and topic stages; the database is SQLite.
//!
//! ```text
//! sink/table.rs, sink/topic.rs     what to create, insert and count      (`sink::Target`)
//!   sink.rs, audit.rs              open, commit, read-back, audit: one way for both
//!     transaction.rs, failpoint.rs every statement is a step; tests can stop the program around each
//!     progress.rs                  the row that holds the positions, and the fence
//!     insert.rs, stored.rs         Arrow rows to multi-row INSERTs, dead letters included
//! source/table.rs, source/topic.rs what to read
//!   column.rs, page.rs             SQL rows to Arrow, in pages of bounded size
//! topic.rs                         the tables of the embedded topic
//! place.rs, database.rs            URLs, names, connections
//! ```

mod audit;
pub(crate) mod column;
pub(crate) mod database;
mod failpoint;
pub(crate) mod insert;
pub(crate) mod page;
pub(crate) mod place;
mod progress;
pub(crate) mod sink;
pub(crate) mod stored;
#[cfg(test)]
mod tests;
pub(crate) mod topic;
mod transaction;

pub(crate) use place::{Kind, Place};
pub(crate) use transaction::Transaction;

use sqlx::Sqlite;
use sqlx::sqlite::SqliteArguments;

/// A statement with its values.
pub(crate) type Statement<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A statement built at run time. Names in it went through [`quoted`], values are bound.
pub(crate) fn statement<'q>(sql: String) -> Statement<'q> {
    sqlx::query(sqlx::AssertSqlSafe(sql))
}

/// A name as an SQL identifier. In a SELECT write it behind its table (`t."name"`): SQLite takes a quoted name that is
/// no column for a text.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Positions, versions and counts as SQLite has them; no database holds more than `i64::MAX` of anything.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
