//! What a test finds in its sink, read back as its readers would.

use super::codec;
use super::place::impossible;
use crate::archive::names::DataFile;
use crate::config::Context;
use crate::dead_letter;
use crate::error::{Error, Result};
use crate::position::Checkpoint;
use crate::runtime::wait;
use crate::schema::Schema;
use crate::sink;
use crate::source::{self, SourceConfig};
use crate::sql::Place;
use crate::sql::insert::DEAD_LETTERS;
use crate::stage::{Read, Share};
use crate::store::memory::Memory;
use crate::store::{Cause, EntryKind, Store, StoreError};
use arrow::array::{BinaryBuilder, RecordBatch, StringBuilder, UInt32Builder, UInt64Builder};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
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

/// The data files that a Hive-style reader would see, and those of dead letters beside them.
pub(super) fn in_files(store: &Memory) -> Result<Contents> {
    let mut files = Vec::new();
    walk(store, "", &mut files)?;
    files.sort();
    let mut contents = Contents::default();
    for (file, _, path) in files {
        let bytes = store.read(&path).map_err(|error| Error::Other(error.to_string()))?;
        let rows = read_parquet(bytes.into()).map_err(|reason| Error::Damaged { path: path.clone(), reason })?;
        match file {
            DataFile::Rows(partition) => contents.rows.entry(partition).or_default().extend(rows),
            DataFile::DeadLetters(partition) => contents.dead_letters.entry(partition).or_default().extend(rows),
        }
        contents.files.push(path.rsplit('/').next().unwrap_or_default().to_owned());
    }
    contents.files.sort();
    Ok(contents)
}

fn walk(store: &Memory, directory: &str, files: &mut Vec<(DataFile, u64, String)>) -> Result<()> {
    let entries = match store.list(directory) {
        Err(StoreError { cause: Cause::NotFound, .. }) => return Ok(()),
        listed => listed.map_err(|error| Error::Other(error.to_string()))?,
    };
    for entry in entries {
        let path = crate::archive::names::join(directory, &entry.name);
        match entry.kind {
            EntryKind::Directory if entry.name.starts_with('_') => {}
            EntryKind::Directory => walk(store, &path, files)?,
            EntryKind::File(_) => files.extend(DataFile::parse(&entry.name).map(|(file, batch)| (file, batch, path))),
        }
    }
    Ok(())
}

fn read_parquet(bytes: Bytes) -> Result<Vec<RecordBatch>, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
    reader.map_err(|error| error.to_string())?.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// The rows of a table, in the order they were inserted.
pub(super) fn in_table(table: &sink::table::TableConfig, columns: &Schema, context: &Context) -> Result<ByPartition> {
    let typed = |field: &arrow::datatypes::FieldRef| Some((field.name().clone(), codec::column_type(field.data_type())?));
    let config = source::table::TableConfig {
        url: table.url.clone(),
        table: table.table.clone(),
        password: None,
        tls: None,
        cursor: "id".to_owned(),
        columns: columns.0.fields().iter().filter_map(typed).collect(),
        late_commits: None,
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
