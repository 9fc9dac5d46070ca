//! The embedded topic: messages in partitions, each message at a dense offset from 0.

use crate::database::dialect::has_table;
use crate::database::{Place, Transaction, signed};
use operators_core::error::Result;
use operators_core::position::Span;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, Sqlite};

/// Placeholders: the topic, the partition.
pub(crate) const LAST_OFFSET: &str =
    "SELECT m.\"offset\" FROM messages AS m WHERE m.topic = ? AND m.partition = ? ORDER BY m.\"offset\" DESC LIMIT 1";

/// What makes a topic this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    /// Random; a recreated topic has another.
    pub(crate) id: String,
    /// Number of partitions; never changes.
    pub(crate) partitions: u32,
}

/// Creates the tables of all topics of a database.
pub(crate) async fn create_tables(tx: &mut Transaction<'_, Sqlite>) -> Result<()> {
    let topics = "CREATE TABLE IF NOT EXISTS topics \
                  (name TEXT PRIMARY KEY, id TEXT NOT NULL, partitions INTEGER NOT NULL) WITHOUT ROWID";
    let messages = "CREATE TABLE IF NOT EXISTS messages \
                    (topic TEXT, partition INTEGER, \"offset\" INTEGER, timestamp INTEGER NOT NULL, key BLOB, value BLOB, \
                    PRIMARY KEY (topic, partition, \"offset\")) WITHOUT ROWID";
    tx.execute("create the table of topics", sqlx::query(topics)).await?;
    tx.execute("create the table of messages", sqlx::query(messages)).await.map(drop)
}

/// Finds a topic; `None` when it does not exist.
pub(crate) async fn find(connection: &mut SqliteConnection, place: &Place<Sqlite>) -> Result<Option<Topic>> {
    let failed = || place.failed("look for the topic");
    if !has_table::<Sqlite>(connection, "topics").await.map_err(failed())? {
        return Ok(None);
    }
    let query = sqlx::query("SELECT t.id, t.partitions FROM topics AS t WHERE t.name = ?").bind(&place.name);
    let Some(row) = query.fetch_optional(connection).await.map_err(failed())? else { return Ok(None) };
    let read = || -> sqlx::Result<Topic> { Ok(Topic { id: row.try_get(0)?, partitions: row.try_get(1)? }) };
    read().map(Some).map_err(failed())
}

/// Offset of the first message of a partition; 0 where there is none.
pub(crate) async fn first(connection: &mut SqliteConnection, place: &Place<Sqlite>, partition: u32) -> Result<u64> {
    let sql =
        "SELECT m.\"offset\" FROM messages AS m WHERE m.topic = ? AND m.partition = ? ORDER BY m.\"offset\" LIMIT 1";
    let query = sqlx::query_scalar::<_, i64>(sql).bind(&place.name).bind(partition);
    let first = query.fetch_optional(connection).await.map_err(place.failed("find the beginning of a partition"))?;
    Ok(first.map_or(0, i64::cast_unsigned))
}

/// First offset after the last message of a partition.
pub(crate) async fn end(connection: &mut SqliteConnection, place: &Place<Sqlite>, partition: u32) -> Result<u64> {
    let query = sqlx::query_scalar::<_, i64>(LAST_OFFSET).bind(&place.name).bind(partition);
    let last = query.fetch_optional(connection).await.map_err(place.failed("find the end of a partition"))?;
    Ok(last.map_or(0, |last| last.cast_unsigned() + 1))
}

/// The messages of a span.
pub(crate) async fn count(connection: &mut SqliteConnection, place: &Place<Sqlite>, span: &Span) -> Result<u64> {
    let sql = "SELECT count(*) FROM messages AS m \
               WHERE m.topic = ? AND m.partition = ? AND m.\"offset\" >= ? AND m.\"offset\" < ?";
    let query = sqlx::query_scalar::<_, i64>(sql).bind(&place.name).bind(span.partition);
    let query = query.bind(signed(span.from.0)).bind(signed(span.to.0));
    query.fetch_one(connection).await.map(i64::cast_unsigned).map_err(place.failed("count messages"))
}
