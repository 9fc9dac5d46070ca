//! `source.topic`: the messages of the embedded topic, in the order of their offsets.

use crate::database::column::AGAIN;
use crate::database::sqlite::database::Opened;
use crate::database::sqlite::topic::{self, Topic};
use crate::database::sqlite::{Statement, page, statement};
use crate::database::{Kind, Place, signed};
use arrow::array::{BinaryBuilder, RecordBatch, UInt64Array};
use operators_core::chunk::Chunk;
use operators_core::config::Context;
use operators_core::error::{Error, Problem, Result};
use operators_core::inspect::{Extent, Inspect, Seen};
use operators_core::position::{Checkpoint, Lag, Position, Span};
use operators_core::runtime::wait;
use operators_core::schema::{Column, Schema};
use operators_core::stage::{About, BuiltSource, Read, Reader, Recount, Removal, Share, Source};
use operators_core::types::ColumnType;
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, Sqlite};
use std::sync::Arc;

/// Reads the messages of an embedded topic; gives the columns `key` and `value`, both bytes.
///
/// ```toml
/// [flow.source.topic]
/// url = "sqlite:data/topic.db"
/// topic = "temperatures"
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
    /// Builds the stage; touches nothing.
    pub fn build(&self, context: &Context) -> Result<BuiltSource, Vec<Problem>> {
        let place = Place::new(Kind::Topic, &self.url, &self.topic, context)?;
        let bytes = |name| Column::new(name, ColumnType::Bytes, true);
        let schema = Schema::new(vec![bytes("key"), bytes("value")]);
        let fingerprint = vec![("url", self.url.clone()), ("topic", self.topic.clone())];
        Ok(BuiltSource {
            schema: schema.clone(),
            place: place.id(),
            about: About { summary: place.to_string(), fingerprint },
            source: Arc::new(TopicSource { place, schema }),
        })
    }
}

struct TopicSource {
    place: Place<Sqlite>,
    schema: Schema,
}

impl Inspect for TopicSource {
    fn connect(&self, _flow: &str) -> Vec<Result<Seen>> {
        let place = &self.place;
        let asked = place.database.look(async |connection| {
            topic::find(connection, place).await.map(|topic| match topic {
                Some(topic) => Seen::Fine(format!("{place} is there, partitions: {}", topic.partitions)),
                None => place.awaited(),
            })
        });
        vec![wait(asked).map(|seen| seen.unwrap_or_else(|| place.awaited()))]
    }
}

impl Source for TopicSource {
    fn open(&self, share: Share, from: &Checkpoint) -> Result<Box<dyn Reader>> {
        let (place, schema) = (self.place.clone(), self.schema.clone());
        let mut reader = TopicReader { place, schema, share, next: from.clone(), opened: None, topic: None, turn: 0 };
        wait(reader.ready())?;
        Ok(Box::new(reader))
    }

    fn identity(&self) -> Result<Option<String>> {
        let place = &self.place;
        let topic = wait(place.database.look(async |connection| topic::find(connection, place).await))?;
        Ok(topic.flatten().map(|topic| topic.id))
    }

    fn count(&self, span: &Span, _: &mut dyn FnMut(u64)) -> Result<Recount> {
        let place = &self.place;
        let counted = place.database.look(async |connection| {
            let found = topic::find(connection, place).await?;
            if found.is_none_or(|topic| topic.partitions <= span.partition) {
                return Ok(Recount::Gone);
            }
            let rows = topic::count(connection, place, span).await?;
            let first = topic::first(connection, place, span.partition).await?;
            let end = topic::end(connection, place, span.partition).await?;
            Ok(if end < span.to.0 {
                Recount::Truncated(rows, ends_early(span.partition, end, span.to.0))
            } else if first > span.from.0 {
                Recount::Partial(rows, Removal::Retention)
            } else {
                Recount::Complete(rows)
            })
        });
        Ok(wait(counted)?.unwrap_or(Recount::Gone))
    }

    fn extents(&self) -> Result<Vec<Extent>> {
        let place = &self.place;
        let asked = place.database.look(async |connection| {
            let partitions = topic::find(connection, place).await?.map_or(0, |topic| topic.partitions);
            let mut extents = Vec::new();
            for partition in 0..partitions {
                let first = Position(topic::first(connection, place, partition).await?);
                let next = Position(topic::end(connection, place, partition).await?);
                extents.push(Extent { partition, first, next, dense: true });
            }
            Ok(extents)
        });
        Ok(wait(asked)?.unwrap_or_default())
    }
}

/// What is said of a partition that ends before what was read of it.
fn ends_early(partition: u32, end: u64, read: u64) -> String {
    format!(
        "partition {partition} ends at {end}, and the flow stands at {read}: the topic was truncated, recreated or \
         restored from an old copy"
    )
}

struct TopicReader {
    place: Place<Sqlite>,
    schema: Schema,
    share: Share,
    /// Next offsets of the partitions of this share.
    next: Checkpoint,
    opened: Option<Opened>,
    /// The topic as it was first seen; it must stay the same.
    topic: Option<Topic>,
    /// The partition whose turn is next.
    turn: u32,
}

impl Reader for TopicReader {
    fn read(&mut self) -> Result<Read> {
        wait(async {
            if !self.ready().await? {
                return Ok(Read::CaughtUp(AGAIN));
            }
            self.next_page().await.map(|read| read.unwrap_or(Read::CaughtUp(AGAIN)))
        })
    }

    fn lag(&mut self) -> Result<Lag> {
        wait(async {
            if !self.ready().await? {
                return Ok(Lag::default());
            }
            let partitions = self.partitions();
            let Some(opened) = &mut self.opened else { return Ok(Lag::default()) };
            let mut lag = Lag::default();
            for partition in partitions {
                let end = topic::end(&mut opened.connection, &self.place, partition).await?;
                lag.0.insert(partition, end.saturating_sub(at(&self.next, partition)));
            }
            Ok(lag)
        })
    }
}

fn at(next: &Checkpoint, partition: u32) -> u64 {
    next.position(partition).unwrap_or_default().0
}

impl TopicReader {
    /// The partitions of this share, the one whose turn it is first.
    fn partitions(&self) -> Vec<u32> {
        let all = self.topic.as_ref().map_or(0, |topic| topic.partitions);
        let turn = self.turn;
        (turn..all).chain(0..turn.min(all)).filter(|partition| self.share.owns(*partition)).collect()
    }

    /// Whether there is a topic to read; checks it whenever it appears.
    async fn ready(&mut self) -> Result<bool> {
        let file = self.place.database.file()?;
        if self.opened.as_ref().is_some_and(|opened| Some(opened.file) != file) {
            self.opened = None;
        }
        if self.opened.is_none() {
            let Some(mut opened) = self.place.database.read().await? else { return self.nothing_there() };
            let Some(topic) = topic::find(&mut opened.connection, &self.place).await? else {
                return self.nothing_there();
            };
            self.same(&topic)?;
            if let Some((partition, next)) = self.next.0.range(topic.partitions..).next() {
                return Err(self.lost(&format!(
                    "the topic has {} partitions, and the flow stands at {next} of partition {partition}",
                    topic.partitions
                )));
            }
            self.topic = Some(topic);
            for partition in self.partitions() {
                self.check_position(&mut opened.connection, partition).await?;
            }
            self.opened = Some(opened);
        }
        Ok(true)
    }

    /// A topic that never was is another flow's to create; one that was read is lost.
    fn nothing_there(&self) -> Result<bool> {
        let read = self.topic.is_some() || self.next.0.values().any(|next| next.0 > 0);
        if read { Err(self.lost("the topic does not exist any more")) } else { Ok(false) }
    }

    /// Refuses another topic under the same name.
    fn same(&self, topic: &Topic) -> Result<()> {
        match &self.topic {
            Some(before) if before != topic => Err(self.lost("the topic was recreated while it was read")),
            _ => Ok(()),
        }
    }

    /// Refuses a partition that ends before the position.
    async fn check_position(&self, connection: &mut SqliteConnection, partition: u32) -> Result<()> {
        let next = at(&self.next, partition);
        let end = topic::end(connection, &self.place, partition).await?;
        if end < next {
            return Err(self.lost(&ends_early(partition, end, next)));
        }
        Ok(())
    }

    fn lost(&self, what: &str) -> Error {
        self.place.refused(format!(
            "{what}. Messages that were read already are gone or have other offsets. Put the old database back, or \
             start the flow anew: remove what its sink has written, and it reads from the first message"
        ))
    }

    /// The next page of the next partition that has one.
    async fn next_page(&mut self) -> Result<Option<Read>> {
        let Some(mut opened) = self.opened.take() else { return Ok(None) };
        let read = self.read_pages(&mut opened.connection).await;
        self.opened = Some(opened);
        read
    }

    async fn read_pages(&mut self, connection: &mut SqliteConnection) -> Result<Option<Read>> {
        // One view of the database: the topic is still the same one when its messages are read.
        let mut tx = connection.begin().await.map_err(self.place.failed("start reading"))?;
        match topic::find(&mut tx, &self.place).await? {
            Some(topic) => self.same(&topic)?,
            None => return self.nothing_there().map(|_| None),
        }
        for partition in self.partitions() {
            let next = at(&self.next, partition);
            let of = |query: Statement<'static>, limit: u32| {
                query.bind(self.place.name.clone()).bind(partition).bind(signed(next)).bind(limit)
            };
            let bytes = select("ifnull(octet_length(m.key), 0) + ifnull(octet_length(m.value), 0) AS bytes");
            let measured = |limit| of(page::measure(&bytes), limit);
            let rows = page::rows_that_fit(&mut tx, &self.place, measured).await?;
            if rows == 0 {
                self.check_position(&mut tx, partition).await?;
                continue;
            }
            let mut page = Page::new(&self.place, partition, next);
            let query = of(statement(select("m.\"offset\", m.key, m.value")), rows);
            page::read(&mut tx, &self.place, query, rows, |row| page.take(row)).await?;
            let to = Position(page.to);
            let chunk = page.finish(&self.schema)?;
            let span = Span { partition, from: Position(next), to, rows: chunk.len(), anchor: None };
            self.next.0.insert(partition, to);
            self.turn = partition + 1;
            return Ok(Some(Read::Rows(chunk, span)));
        }
        Ok(None)
    }
}

/// A query of the messages of a partition from an offset on.
fn select(what: &str) -> String {
    let rest = "m.topic = ? AND m.partition = ? AND m.\"offset\" >= ? ORDER BY m.\"offset\" LIMIT ?";
    format!("SELECT {what} FROM messages AS m WHERE {rest}")
}

/// Messages of one partition without a gap.
struct Page<'p> {
    place: &'p Place<Sqlite>,
    partition: u32,
    from: u64,
    to: u64,
    keys: BinaryBuilder,
    values: BinaryBuilder,
}

impl<'p> Page<'p> {
    fn new(place: &'p Place<Sqlite>, partition: u32, from: u64) -> Self {
        Self { place, partition, from, to: from, keys: BinaryBuilder::new(), values: BinaryBuilder::new() }
    }

    fn take(&mut self, row: &SqliteRow) -> Result<()> {
        let bytes = |column| row.try_get::<Option<&[u8]>, _>(column);
        let message = || Ok((row.try_get::<i64, _>(0)?, bytes(1)?, bytes(2)?));
        let (offset, key, value) = message().map_err(self.place.failed("read a message"))?;
        if offset.cast_unsigned() != self.to {
            let (partition, expected) = (self.partition, self.to);
            let place = self.place;
            return Err(place.damaged(format!("partition {partition} goes on at {offset} after a hole at {expected}")));
        }
        self.keys.append_option(key);
        self.values.append_option(value);
        self.to += 1;
        Ok(())
    }

    fn finish(mut self, schema: &Schema) -> Result<Chunk> {
        let columns = vec![Arc::new(self.keys.finish()) as _, Arc::new(self.values.finish()) as _];
        let rows = RecordBatch::try_new(Arc::clone(schema.arrow()), columns)?;
        Ok(Chunk::new(self.partition, UInt64Array::from_iter_values(self.from..self.to), rows))
    }
}
