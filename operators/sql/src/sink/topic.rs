//! `sink.topic`: messages and progress in one SQL transaction of the embedded topic.

use crate::database::sqlite::topic::{self, LAST_OFFSET};
use crate::database::stored::Values;
use crate::database::{Kind, Place, Transaction};
use crate::sink::insert::{Insert, in_order};
use crate::sink::need::Need;
use crate::sink::{SqlSink, Target};
use arrow::array::Array;
use futures_util::TryStreamExt;
use operators_core::chunk::Chunk;
use operators_core::config::Context;
use operators_core::error::{Error, Problem, Result};
use operators_core::message::Messages;
use operators_core::progress::Progress;
use operators_core::schema::Schema;
use operators_core::stage::{About, BuiltSink, Finding};
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, Sqlite};
use std::sync::Arc;

/// Appends messages to an embedded topic: the column `value`, and `key` where there is one.
///
/// ```toml
/// [flow.sink.topic]
/// url = "sqlite:data/reports.db"
/// topic = "reports"
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    /// The database that holds the topic: `sqlite:PATH`.
    pub url: String,
    /// The topic.
    pub topic: String,
}

impl TopicConfig {
    /// Builds the stage; changes nothing.
    pub fn build(&self, input: &Schema, partitions: Option<u32>, context: &Context) -> Result<BuiltSink, Vec<Problem>> {
        let topic = self.topic(input, partitions, context)?;
        let fingerprint = vec![("topic", self.topic.clone()), ("partitions", topic.partitions.to_string())];
        Ok(BuiltSink {
            place: topic.place.id(),
            staging: None,
            about: About { summary: topic.place.to_string(), fingerprint },
            sink: Arc::new(SqlSink::new(topic)),
        })
    }

    pub(crate) fn topic(
        &self,
        input: &Schema,
        partitions: Option<u32>,
        context: &Context,
    ) -> Result<Topic, Vec<Problem>> {
        let place = Place::new(Kind::Topic, &self.url, &self.topic, context);
        let mut problems = place.as_ref().err().cloned().unwrap_or_default();
        let messages = Messages::check(input, partitions).map_err(|more| problems.extend(more));
        match (place, messages) {
            (Ok(place), Ok((messages, partitions))) => Ok(Topic { place, partitions, messages }),
            _ => Err(problems),
        }
    }
}

/// A topic that messages are appended to.
pub(crate) struct Topic {
    place: Place<Sqlite>,
    partitions: u32,
    messages: Messages,
}

impl Target for Topic {
    type Dialect = Sqlite;

    fn place(&self) -> &Place<Sqlite> {
        &self.place
    }

    async fn there(&self, connection: &mut SqliteConnection, last: Option<&Progress>) -> Result<Option<String>> {
        match topic::find(connection, &self.place).await? {
            Some(topic) if topic.partitions == self.partitions => Ok(Some(format!("{} partitions", topic.partitions))),
            Some(topic) => Err(self.place.refused(format!(
                "the topic has {} partitions, and the flow asks for {}. Another number would move keys to other \
                 partitions: set it back to {}, or name another topic",
                topic.partitions, self.partitions, topic.partitions
            ))),
            None if last.is_some_and(|last| last.totals.written > 0) => Err(self.place.refused(
                "the topic is gone, and the messages that the flow sent with it. Restore it; or, to send all rows \
                 anew, delete the flow's row from weatherflow_progress",
            )),
            None => Ok(None),
        }
    }

    /// Its tables hold all topics, in a file whose ground was asked for.
    fn need(&self) -> Option<Need> {
        None
    }

    async fn create(&self, tx: &mut Transaction<'_, Sqlite>, last: Option<&Progress>) -> Result<()> {
        topic::create_tables(tx).await?;
        match self.there(tx.connection(), last).await? {
            Some(_) => Ok(()),
            None => {
                let insert = "INSERT INTO topics (name, id, partitions) VALUES (?, lower(hex(randomblob(16))), ?)";
                let insert = sqlx::query(insert).bind(&self.place.name).bind(self.partitions);
                tx.execute("create the topic", insert).await.map(drop)
            }
        }
    }

    async fn insert(&self, tx: &mut Transaction<'_, Sqlite>, chunks: &[Chunk]) -> Result<()> {
        let columns: Vec<_> = chunks.iter().map(|chunk| self.messages.columns(&chunk.rows)).collect::<Result<_>>()?;
        let topic: Arc<str> = self.place.name.as_str().into();
        let now = chrono::Utc::now().timestamp_millis();
        let insert = Insert::<Sqlite>::into("messages", ["topic", "partition", "offset", "timestamp", "key", "value"]);
        if let Some(chunk) = chunks.iter().find(|chunk| chunk.partition >= self.partitions) {
            let (partition, partitions) = (chunk.partition, self.partitions);
            return Err(Error::Other(format!("{}: rows for partition {partition} of {partitions}", self.place)));
        }
        for partition in 0..self.partitions {
            let chunks = (0..).zip(chunks).filter(|(_, chunk)| chunk.partition == partition);
            let rows = in_order(chunks);
            if rows.is_empty() {
                continue;
            }
            let last = sqlx::query(LAST_OFFSET).bind(&self.place.name).bind(partition);
            let last = tx.first("find the end of a partition", last).await?;
            let last =
                last.map(|row| row.try_get::<i64, _>(0)).transpose().map_err(self.place.failed("read an offset"))?;
            let first = last.map_or(0, |last| last + 1);
            let put = |(offset, at): (i64, crate::sink::insert::RowRef), values: &mut Values<Sqlite>| {
                let (key, value) = &columns[at.chunk as usize];
                let row = at.row as usize;
                values.text(Arc::clone(&topic))?;
                values.integer(i64::from(partition))?;
                values.integer(offset)?;
                values.integer(now)?;
                values.blob(key.as_ref().and_then(|key| key.is_valid(row).then(|| key.value(row))))?;
                values.blob(value.is_valid(row).then(|| value.value(row)))
            };
            insert.rows("insert messages", tx, (first..).zip(rows), put).await?;
        }
        Ok(())
    }

    async fn count(&self, connection: &mut SqliteConnection, found: &mut Vec<Finding>) -> Result<Option<u64>> {
        let Some(topic) = topic::find(connection, &self.place).await? else { return Ok(None) };
        let mut problem = |problem| found.push(Finding { path: self.place.to_string(), problem });
        if topic.partitions != self.partitions {
            problem(format!("has {} partitions, and the flow asks for {}", topic.partitions, self.partitions));
        }
        let sql = "SELECT m.partition, count(*), min(m.\"offset\"), max(m.\"offset\") FROM messages AS m \
                   WHERE m.topic = ? GROUP BY m.partition";
        let mut rows = sqlx::query_as::<_, (i64, i64, i64, i64)>(sql).bind(&self.place.name).fetch(connection);
        let mut total = 0;
        while let Some((partition, count, min, max)) =
            rows.try_next().await.map_err(self.place.failed("count messages"))?
        {
            total += count.cast_unsigned();
            if min != 0 || max != count - 1 {
                problem(format!(
                    "partition {partition} has {count} messages with offsets from {min} to {max}, not [0, {count})"
                ));
            }
            if partition < 0 || partition >= i64::from(topic.partitions) {
                problem(format!("has messages in partition {partition} of {}", topic.partitions));
            }
        }
        Ok(Some(total))
    }
}
