//! MySQL and MariaDB: a database on a server.

pub(crate) mod answer;
mod catalog;
pub(crate) mod late;
pub(crate) mod server;
pub(crate) mod value;

pub(crate) use catalog::{CursorColumn, Trace, check_cursor, identity, trace, wires};
pub(crate) use server::{Login, Server};

use crate::database::dialect::{Column, Dialect, STATEMENT_BYTES};
use answer::{GREETING, LONG_PATIENCE, NOT_NOW, PATIENCE, text, within};
use chrono::{DateTime, Datelike, Timelike, Utc};
use operators_core::error::{Error, Result};
use operators_core::inspect::Seen;
use operators_core::types::ColumnType;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, MySql, SqlSafeStr};
use std::borrow::Cow;
use std::io;

impl Dialect for MySql {
    type Database = Server;
    type Opened = MySqlConnection;

    const TITLE: &'static str = "MySQL";
    const INTEGER: &'static str = "BIGINT";
    const TEXT: &'static str = "LONGTEXT";
    const BLOB: &'static str = "LONGBLOB";
    const KEY_TEXT: &'static str = "VARCHAR(255)";
    const ID: &'static str = "BIGINT AUTO_INCREMENT PRIMARY KEY";
    // Names and values that differ in case or accents are different ones.
    const TABLE_END: &'static str = " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin";
    const KEYED_TABLE_END: &'static str = Self::TABLE_END;
    const BEGIN: &'static str = "START TRANSACTION";
    const CREATE_ENDS_TRANSACTION: bool = true;
    const ON_CONFLICT: &'static str = "ON DUPLICATE KEY UPDATE";
    const SAME: &'static str = "<=>";
    const VALUES: usize = 65_535;
    const OR_HIDDEN: &'static str = ", or this user may not see it";
    const UNSIGNED: bool = true;

    fn quoted(name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }

    fn sql_type(column_type: &ColumnType) -> Option<Cow<'static, str>> {
        value::sql_type(column_type)
    }

    /// In UTC: a DATETIME has no zone, and a TIMESTAMP takes it in the zone of the session, which is UTC.
    fn timestamp(at: DateTime<Utc>) -> Option<String> {
        let fits = (1..=9999).contains(&at.year()) && at.nanosecond().is_multiple_of(1000);
        fits.then(|| at.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
    }

    fn refuses(value: f64) -> Option<&'static str> {
        (!value.is_finite()).then_some("is infinite or not a number (NaN), which MySQL cannot store")
    }

    fn is_unavailable(error: &sqlx::Error) -> bool {
        match error {
            // What is no valid data is a certificate that the file does not allow.
            sqlx::Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
            sqlx::Error::Protocol(_) => true,
            _ => answer::number(error).is_some_and(|number| NOT_NOW.contains(&number)),
        }
    }

    async fn snapshot(connection: &mut MySqlConnection) -> sqlx::Result<sqlx::Transaction<'_, MySql>> {
        // Of the next transaction alone.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        connection.begin_with("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await
    }

    async fn answer<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        within(PATIENCE, work).await
    }

    async fn long_answer<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        within(LONG_PATIENCE, work).await
    }

    async fn columns(connection: &mut MySqlConnection, table: &str) -> sqlx::Result<Vec<Column>> {
        let sql = "SELECT c.column_name, c.column_type, c.is_nullable, c.column_key FROM information_schema.columns AS c \
                   WHERE c.table_schema = DATABASE() AND c.table_name = ? ORDER BY c.ordinal_position";
        let rows = sqlx::query(sql).bind(table).fetch_all(connection).await?;
        let text = |row, column| text(row, column).map(Option::unwrap_or_default);
        rows.iter()
            .map(|row| {
                Ok(Column {
                    name: text(row, 0)?,
                    declared: text(row, 1)?,
                    not_null: text(row, 2)? == "NO",
                    in_key: text(row, 3)? == "PRI",
                })
            })
            .collect()
    }

    async fn statement_bytes(connection: &mut MySqlConnection) -> sqlx::Result<usize> {
        let packet = sqlx::query_scalar("SELECT CAST(@@max_allowed_packet AS SIGNED)");
        let packet: i64 = packet.fetch_one(connection).await?;
        // Half of a packet: the row that fills a statement may be a good deal larger than the room that was left.
        Ok(usize::try_from(packet / 2).unwrap_or(STATEMENT_BYTES).min(STATEMENT_BYTES))
    }

    async fn not_transactional(connection: &mut MySqlConnection, table: &str) -> sqlx::Result<Option<String>> {
        let sql = "SELECT t.engine FROM information_schema.tables AS t \
                   WHERE t.table_schema = DATABASE() AND t.table_name = ?";
        let Some(row) = sqlx::query(sql).bind(table).fetch_optional(connection).await? else { return Ok(None) };
        Ok(match text(&row, 0)? {
            Some(engine) if engine.eq_ignore_ascii_case("InnoDB") => None,
            Some(engine) => {
                Some(format!("{table} is kept by the engine {engine}, which has no transactions like InnoDB's"))
            }
            None => Some(format!("{table} is no table of its own, such as a view")),
        })
    }

    async fn write(database: &Server) -> Result<MySqlConnection> {
        database.connect(server::WRITING).await
    }

    async fn still_open(database: &Server, _: &str, opened: &mut MySqlConnection) -> Result<()> {
        // Between commits the server may have ended a connection at rest; nothing was begun on it.
        if within(GREETING, opened.ping()).await.is_err() {
            *opened = database.connect(server::WRITING).await?;
        }
        Ok(())
    }

    async fn look<T>(
        database: &Server,
        mut reading: impl AsyncFnMut(&mut MySqlConnection) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut connection = database.read().await?;
        let seen = reading(&mut connection).await?;
        Self::close(connection).await;
        Ok(Some(seen))
    }

    async fn greet(database: &Server, connection: &mut MySqlConnection) -> Option<Result<Seen>> {
        let greeting = within(PATIENCE, catalog::greeting(connection)).await;
        let failed = |error: sqlx::Error| Error::Sql {
            action: "ask for the version".into(),
            place: database.to_string(),
            source: error.into(),
        };
        Some(greeting.map_err(failed).map(|(version, tls)| {
            let encrypted = tls.map_or("not encrypted".to_owned(), |tls| format!("encrypted with {tls}"));
            Seen::Fine(format!("{version} answers at {database}, {encrypted}"))
        }))
    }

    fn ground(_: &Server) -> Option<Result<Seen>> {
        None
    }

    /// The server looks names and privileges up when it prepares a statement.
    async fn try_out(connection: &mut MySqlConnection, sql: String) -> sqlx::Result<()> {
        within(PATIENCE, connection.prepare(AssertSqlSafe(sql).into_sql_str())).await.map(drop)
    }

    fn connection(opened: &mut MySqlConnection) -> &mut MySqlConnection {
        opened
    }

    async fn close(opened: MySqlConnection) {
        // An error would say that the connection is gone already, which is what is wanted.
        let _ = within(GREETING, opened.close()).await;
    }
}
