//! What a test finds in its sink, read back as its readers would.

use super::codec;
use super::place::impossible;
use crate::archive::names::{DataFile, join};
use crate::chunk::{Chunk, Kind};
use crate::config::Context;
use crate::dead_letter;
use crate::error::{Error, Result};
use crate::inspect::{FirstBatch, Which};
use crate::position::Checkpoint;
use crate::runtime::wait;
use crate::schema::Schema;
use crate::sink;
use crate::source::{self, SourceConfig};
use crate::sql::Place;
use crate::sql::insert::DEAD_LETTERS;
use crate::stage::{Read, Share, Sink};
use crate::store::memory::Memory;
use crate::store::{Cause, Entry, EntryKind, Store, StoreError};
use arrow::array::{BinaryBuilder, RecordBatch, StringBuilder, UInt32Builder, UInt64Builder};
use sqlx::{AssertSqlSafe, Row, Sqlite};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of each partition, in their order.
pub(super) type ByPartition = BTreeMap<u32, Vec<RecordBatch>>;

/// Everything that a flow has committed.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) rows: ByPartition,
    /// By source partition.
    pub(super) dead_letters: ByPartition,
    /// Names of the data files, sorted.
    pub(super) files: Vec<String>,
}

/// What a sink of files has committed; `store` has its files.
pub(super) fn in_files(sink: &dyn Sink, store: &Memory, flow: &str) -> Result<Contents> {
    let mut contents = Contents::default();
    let which = Which { from: FirstBatch::Oldest, partitions: Vec::new() };
    for stored in sink.stored(flow, &which)?.into_iter().flatten() {
        let Chunk { kind, partition, rows, .. } = stored?.chunk;
        let of_kind = match kind {
            Kind::Rows => &mut contents.rows,
            Kind::DeadLetters => &mut contents.dead_letters,
        };
        of_kind.entry(partition).or_default().push(rows);
    }
    names(store, "", &mut contents.files)?;
    contents.files.sort();
    Ok(contents)
}

/// The names of all data files that are not staged.
fn names(store: &Memory, directory: &str, found: &mut Vec<String>) -> Result<()> {
    let entries = match store.list(directory) {
        Err(StoreError { cause: Cause::NotFound, .. }) => return Ok(()),
        listed => listed.map_err(|error| Error::Other(error.to_string()))?,
    };
    for Entry { name, kind } in entries {
        match kind {
            EntryKind::Directory if name.starts_with('_') => {}
            EntryKind::Directory => names(store, &join(directory, &name), found)?,
            EntryKind::File(_) => found.extend(DataFile::parse(&name).map(|_| name)),
        }
    }
    Ok(())
}

/// The rows of a table, in the order they were inserted.
pub(super) fn in_table(table: &sink::table::TableConfig, columns: &Schema, context: &Context) -> Result<ByPartition> {
    let typed =
        |field: &arrow::datatypes::FieldRef| Some((field.name().clone(), codec::column_type(field.data_type())?));
    let config = source::table::TableConfig {
        url: table.url.clone(),
        table: table.table.clone(),
        password: None,
        tls: None,
        cursor: "id".to_owned(),
        columns: columns.0.fields().iter().filter_map(typed).collect(),
        late_commits: None,
        known_as: Vec::new(),
    };
    read_all(&SourceConfig::Table(config), context)
}

/// The messages of a topic.
pub(super) fn in_topic(topic: &sink::topic::TopicConfig, context: &Context) -> Result<ByPartition> {
    let config = source::topic::TopicConfig { url: topic.url.clone(), topic: topic.topic.clone() };
    read_all(&SourceConfig::Topic(config), context)
}

/// Everything that a source has now.
fn read_all(config: &SourceConfig, context: &Context) -> Result<ByPartition> {
    let built = config.build(context).map_err(impossible)?;
    let mut reader = built.source.open(Share { index: 0, of: 1 }, &Checkpoint::default())?;
    let mut rows = ByPartition::new();
    while let Read::Rows(chunk, _) = reader.read()? {
        rows.entry(chunk.source).or_default().push(chunk.rows);
    }
    Ok(rows)
}

/// What stages rejected, from the table beside the rows.
pub(super) fn dead_letters(place: &Place<Sqlite>, flow: &str) -> Result<ByPartition> {
    let query = format!(
        "SELECT d.source_partition, d.position, d.stage, d.reason, d.raw FROM {DEAD_LETTERS} AS d WHERE d.flow = ? \
         ORDER BY d.source_partition, d.position"
    );
    let rows = wait(place.database.look(async |connection| {
        let query = sqlx::query(AssertSqlSafe(query.as_str())).bind(flow);
        query.fetch_all(connection).await.map_err(place.failed("read the dead letters"))
    }))?;
    let mut partitions: BTreeMap<u32, Letters> = BTreeMap::new();
    for row in rows.unwrap_or_default() {
        let take = |partitions: &mut BTreeMap<u32, Letters>| -> sqlx::Result<()> {
            let letters = partitions.entry(row.try_get(0)?).or_default();
            letters.sources.append_value(row.try_get(0)?);
            letters.positions.append_value(row.try_get::<i64, _>(1)?.cast_unsigned());
            letters.stages.append_value(row.try_get::<&str, _>(2)?);
            letters.reasons.append_value(row.try_get::<&str, _>(3)?);
            letters.raw.append_option(row.try_get::<Option<&[u8]>, _>(4)?);
            Ok(())
        };
        take(&mut partitions).map_err(place.failed("read a dead letter"))?;
    }
    partitions.into_iter().map(|(partition, letters)| Ok((partition, vec![letters.finish()?]))).collect()
}

/// Dead letters being read.
#[derive(Default)]
struct Letters {
    sources: UInt32Builder,
    positions: UInt64Builder,
    stages: StringBuilder,
    reasons: StringBuilder,
    raw: BinaryBuilder,
}

impl Letters {
    fn finish(mut self) -> Result<RecordBatch> {
        let columns = vec![
            Arc::new(self.sources.finish()) as _,
            Arc::new(self.positions.finish()) as _,
            Arc::new(self.stages.finish()) as _,
            Arc::new(self.reasons.finish()) as _,
            Arc::new(self.raw.finish()) as _,
        ];
        Ok(RecordBatch::try_new(dead_letter::schema(), columns)?)
    }
}
