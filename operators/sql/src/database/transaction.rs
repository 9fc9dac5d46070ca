//! A write transaction of a sink. Each statement has a name, which an error shows and a test can stop at.

use crate::database::Dialect;
use crate::database::failpoint::Failpoints;
use crate::database::place::Place;
use operators_core::error::Result;
use sqlx::{AssertSqlSafe, Connection, Execute};

/// An open write transaction; dropping it rolls it back.
pub(crate) struct Transaction<'c, D: Dialect> {
    inner: sqlx::Transaction<'c, D>,
    failpoints: &'c Failpoints,
    place: &'c Place<D>,
}

impl<'c, D: Dialect> Transaction<'c, D> {
    pub(crate) async fn begin(
        step: &'static str,
        connection: &'c mut D::Connection,
        failpoints: &'c Failpoints,
        place: &'c Place<D>,
    ) -> Result<Self> {
        let begin = D::answer(connection.begin_with(D::BEGIN));
        let inner = failpoints.around(step, begin).await.map_err(place.failed(step))?;
        Ok(Self { inner, failpoints, place })
    }

    /// Executes a statement; returns the number of rows it changed.
    pub(crate) async fn execute<'q>(&mut self, step: &'static str, statement: impl Execute<'q, D> + 'q) -> Result<u64> {
        let work = D::answer(D::execute(&mut *self.inner, statement));
        self.failpoints.around(step, work).await.map_err(self.place.failed(step))
    }

    /// Executes a query for its first row.
    pub(crate) async fn first<'q>(
        &mut self,
        step: &'static str,
        statement: impl Execute<'q, D> + 'q,
    ) -> Result<Option<D::Row>> {
        let work = D::answer(D::first(&mut *self.inner, statement));
        self.failpoints.around(step, work).await.map_err(self.place.failed(step))
    }

    /// Executes a CREATE, and is an open transaction after it whatever the database makes of that.
    pub(crate) async fn create(&mut self, step: &'static str, sql: String) -> Result<()> {
        self.execute(step, sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        if D::CREATE_ENDS_TRANSACTION {
            self.execute("go on after a CREATE", sqlx::raw_sql(D::BEGIN)).await?;
        }
        Ok(())
    }

    /// Bytes after which a statement is full.
    pub(crate) async fn statement_bytes(&mut self) -> Result<usize> {
        let bytes = D::answer(D::statement_bytes(&mut self.inner)).await;
        bytes.map_err(self.place.failed("ask for the greatest statement"))
    }

    /// For questions about the schema, which change nothing.
    pub(crate) fn connection(&mut self) -> &mut D::Connection {
        &mut self.inner
    }

    /// Commits. After an error nobody knows whether it happened.
    pub(crate) async fn commit(self, step: &'static str) -> sqlx::Result<()> {
        self.failpoints.around(step, D::answer(self.inner.commit())).await
    }
}
