//! A write transaction of a sink. Each statement has a name, which an error shows and a test can stop at.

use super::Statement;
use super::failpoint::Failpoints;
use super::place::Place;
use crate::error::Result;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Sqlite};

/// An open write transaction; dropping it rolls it back.
pub(crate) struct Transaction<'c> {
    inner: sqlx::Transaction<'c, Sqlite>,
    failpoints: &'c Failpoints,
    place: &'c Place,
}

impl<'c> Transaction<'c> {
    /// Takes the write lock at once: a transaction that read first could not wait for another writer.
    pub(crate) async fn begin(
        step: &'static str,
        connection: &'c mut SqliteConnection,
        failpoints: &'c Failpoints,
        place: &'c Place,
    ) -> Result<Self> {
        let begin = connection.begin_with("BEGIN IMMEDIATE");
        let inner = failpoints.around(step, begin).await.map_err(place.failed(step))?;
        Ok(Self { inner, failpoints, place })
    }

    /// Executes a statement; returns the number of rows it changed.
    pub(crate) async fn execute(&mut self, step: &'static str, statement: Statement<'_>) -> Result<u64> {
        let work = statement.execute(&mut *self.inner);
        let done = self.failpoints.around(step, work).await.map_err(self.place.failed(step))?;
        Ok(done.rows_affected())
    }

    /// Executes a query for its first row.
    pub(crate) async fn first(&mut self, step: &'static str, statement: Statement<'_>) -> Result<Option<SqliteRow>> {
        let work = statement.fetch_optional(&mut *self.inner);
        self.failpoints.around(step, work).await.map_err(self.place.failed(step))
    }

    /// For questions about the schema, which change nothing.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    /// Commits. After an error nobody knows whether it happened.
    pub(crate) async fn commit(self, step: &'static str) -> sqlx::Result<()> {
        self.failpoints.around(step, self.inner.commit()).await
    }
}
