//! Everything that knows SQL, shared by the table and topic stages.
//!
//! ```text
//! sink/table.rs, sink/topic.rs     what to create, insert and count      (`sink::Target`)
//!   sink.rs, audit.rs              open, commit, read-back, audit: one way for all
//!     transaction.rs, failpoint.rs every statement is a step; tests can stop the program around each
//!     progress.rs                  the row that holds the positions, and the fence
//!     insert.rs, stored.rs         Arrow rows to multi-row INSERTs, dead letters included
//!     inspect.rs                   what all that will need, asked without changing anything
//! source/table.rs, source/topic.rs what to read
//!   column.rs                      builds Arrow columns from SQL rows
//! scratch.rs                       a database that exists for one `[[test]]`
//! place.rs                         URLs and names
//! dialect.rs                       what a database must be able to say
//!   sqlite/                        a file: connections, values, pages of bounded size, the embedded topic
//!   mysql/                         a server: connections, time-outs, values, late commits
//! ```

mod audit;
mod column;
mod dialect;
mod failpoint;
mod insert;
mod inspect;
mod mysql;
mod need;
mod place;
mod progress;
pub mod scratch;
pub mod sink;
pub mod source;
mod sqlite;
mod stored;
#[cfg(test)]
mod tests;
mod transaction;

pub(crate) use dialect::Dialect;
pub(crate) use place::{Kind, Place};
pub(crate) use transaction::Transaction;

/// A statement with its values.
pub(crate) type Statement<'q, D> = sqlx::query::Query<'q, D, <D as sqlx::Database>::Arguments>;

/// A statement built at run time. Names in it went through [`Dialect::quoted`], values are bound.
pub(crate) fn statement<'q, D: Dialect>(sql: String, values: D::Arguments) -> Statement<'q, D> {
    sqlx::query_with(sqlx::AssertSqlSafe(sql), values)
}

/// Positions, versions and counts as columns of 64 bits have them; no database holds more than `i64::MAX` of anything
/// but ids.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
