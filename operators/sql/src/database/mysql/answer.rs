//! What a server's answers mean, and how long they may take.

use sqlx::Row;
use sqlx::mysql::{MySqlDatabaseError, MySqlRow};
use std::io;
use std::time::Duration;

/// How long an answer may take. Servers give up waiting for locks before that (`server::WRITING`); a stopped one never
/// answers.
pub(in crate::database::mysql) const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a question about every row of a table.
pub(in crate::database::mysql) const LONG_PATIENCE: Duration = Duration::from_secs(600);
/// How long a server may take to say good day, or good bye.
pub(in crate::database::mysql) const GREETING: Duration = Duration::from_secs(10);

/// Waits for an answer so long and no longer.
pub(in crate::database::mysql) async fn within<T>(
    patience: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
        let seconds = patience.as_secs();
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {seconds} seconds")).into())
    })
}

/// Errors that the same statement may not meet again: locks, limits, ends of connections, servers that stop, start or
/// hand over to another.
pub(in crate::database::mysql) const NOT_NOW: [u16; 23] = [
    1021, 1040, 1053, 1077, 1080, 1114, 1129, 1152, 1158, 1159, 1160, 1161, 1205, 1213, 1226, 1290, 1317, 1836, 1927,
    1969, 3024, 3169, 4031,
];

/// "Access denied; you need the PROCESS privilege".
pub(in crate::database::mysql) const NO_PRIVILEGE: u16 = 1227;
/// "You have an error in your SQL syntax".
pub(in crate::database::mysql) const NO_SUCH_STATEMENT: u16 = 1064;

/// The server's number of an error.
pub(crate) fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

/// A text of a row of the catalog, where servers differ in whether they call it text or bytes.
pub(in crate::database::mysql) fn text(row: &MySqlRow, column: usize) -> sqlx::Result<Option<String>> {
    row.try_get_unchecked(column)
}

/// A number of a row of the catalog, whatever its type.
pub(in crate::database::mysql) fn unsigned(row: &MySqlRow, column: usize) -> sqlx::Result<Option<u64>> {
    row.try_get_unchecked(column)
}
