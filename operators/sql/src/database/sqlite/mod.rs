//! SQLite: a database in a file of its own.

pub(crate) mod database;
pub(crate) mod page;
pub(crate) mod topic;
pub(crate) mod value;

use crate::database::dialect::{Column, Dialect, STATEMENT_BYTES};
use chrono::{DateTime, SecondsFormat, Utc};
use database::{Database, Opened};
use operators_core::error::{Error, Result};
use operators_core::inspect::Seen;
use operators_core::types::ColumnType;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row, Sqlite};
use std::borrow::Cow;

/// A statement for SQLite alone.
pub(crate) type Statement<'q> = crate::database::Statement<'q, Sqlite>;

/// A statement built at run time; its values are bound afterwards.
pub(crate) fn statement<'q>(sql: String) -> Statement<'q> {
    sqlx::query(sqlx::AssertSqlSafe(sql))
}

impl Dialect for Sqlite {
    type Database = Database;
    type Opened = Opened;

    const TITLE: &'static str = "SQLite";
    const INTEGER: &'static str = "INTEGER";
    const TEXT: &'static str = "TEXT";
    const BLOB: &'static str = "BLOB";
    const KEY_TEXT: &'static str = "TEXT";
    const ID: &'static str = "INTEGER PRIMARY KEY AUTOINCREMENT";
    const TABLE_END: &'static str = "";
    const KEYED_TABLE_END: &'static str = " WITHOUT ROWID";
    // Takes the write lock at once: a transaction that read first could not wait for another writer.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const CREATE_ENDS_TRANSACTION: bool = false;
    const ON_CONFLICT: &'static str = "ON CONFLICT (flow) DO UPDATE SET";
    const SAME: &'static str = "IS";
    const VALUES: usize = 32_766;
    const OR_HIDDEN: &'static str = "";
    const UNSIGNED: bool = false;

    /// In a SELECT write it behind its table (`t."name"`): SQLite takes a quoted name that is no column for a text.
    fn quoted(name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn sql_type(column_type: &ColumnType) -> Option<Cow<'static, str>> {
        value::sql_type(column_type)
    }

    fn timestamp(at: DateTime<Utc>) -> Option<String> {
        Some(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }

    fn refuses(value: f64) -> Option<&'static str> {
        value.is_nan().then_some("is not a number (NaN), which SQLite would silently store as null")
    }

    /// A file is there or it is not, and the driver itself waits for another writer; but a full disk may be given room.
    fn is_unavailable(error: &sqlx::Error) -> bool {
        database::is_full(error)
    }

    async fn snapshot(connection: &mut SqliteConnection) -> sqlx::Result<sqlx::Transaction<'_, Sqlite>> {
        connection.begin().await
    }

    async fn answer<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        work.await
    }

    async fn long_answer<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        work.await
    }

    async fn columns(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<Vec<Column>> {
        let sql = "SELECT c.name, c.type, c.\"notnull\", c.pk FROM pragma_table_xinfo(?) AS c ORDER BY c.cid";
        let rows = sqlx::query(sql).bind(table).fetch_all(connection).await?;
        rows.iter()
            .map(|row| {
                Ok(Column {
                    name: row.try_get(0)?,
                    declared: row.try_get(1)?,
                    not_null: row.try_get(2)?,
                    in_key: row.try_get::<i64, _>(3)? > 0,
                })
            })
            .collect()
    }

    async fn statement_bytes(_: &mut SqliteConnection) -> sqlx::Result<usize> {
        Ok(STATEMENT_BYTES)
    }

    async fn not_transactional(_: &mut SqliteConnection, _: &str) -> sqlx::Result<Option<String>> {
        Ok(None)
    }

    async fn write(database: &Database) -> Result<Opened> {
        database.write().await
    }

    async fn still_open(database: &Database, place: &str, opened: &mut Opened) -> Result<()> {
        if database.file()? != Some(opened.file) {
            let reason = "the database was deleted or replaced while it was open; nothing more was committed. Put it \
                          back, or start again to see where the flow stands";
            return Err(Error::Refused { place: place.to_owned(), reason: reason.to_owned() });
        }
        // Where the disk is full SQLite has rolled back by itself, and the driver, whose ROLLBACK then fails, goes on
        // taking the transaction for open.
        if opened.connection.is_in_transaction() {
            *opened = database.write().await?;
        }
        Ok(())
    }

    async fn look<T>(
        database: &Database,
        reading: impl AsyncFnMut(&mut SqliteConnection) -> Result<T>,
    ) -> Result<Option<T>> {
        database.look(reading).await
    }

    async fn greet(_: &Database, _: &mut SqliteConnection) -> Option<Result<Seen>> {
        None
    }

    fn ground(database: &Database) -> Option<Result<Seen>> {
        Some(database.ground())
    }

    /// Whoever may write to the file may do anything.
    async fn try_out(_: &mut SqliteConnection, _: String) -> sqlx::Result<()> {
        Ok(())
    }

    fn connection(opened: &mut Opened) -> &mut SqliteConnection {
        &mut opened.connection
    }

    async fn close(opened: Opened) {
        opened.close().await;
    }
}
