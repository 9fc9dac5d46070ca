//! Databases as sources and sinks: a table of MySQL or SQLite, and the embedded topic.
//!
//! ```text
//! source/table, source/topic       what to read
//! sink/table, sink/topic           what to create, insert and count      (`sink::Target`)
//!   sink/mod                       open and commit: one way for all
//!   sink/progress                  the row that holds the positions, and the fence
//!   sink/insert                    rows of a batch as multi-row INSERTs, dead letters included
//!   sink/audit, sink/inspect       what was committed, counted; what a sink needs (`sink/need`), checked ahead
//! scratch                          a database that exists for one `[[test]]`
//! database/dialect, database/place what a database must be able to do; URLs and names
//!   database/transaction           every statement is a step; tests can stop the program around each (`failpoint`)
//!   database/stored, column        Arrow values into statements, and back
//!   database/sqlite                a file: connections, values, pages of bounded size, the embedded topic
//!   database/mysql                 a server: connections, time-outs, values, late commits
//! ```

mod database;
pub mod scratch;
pub mod sink;
pub mod source;
#[cfg(test)]
mod tests;
