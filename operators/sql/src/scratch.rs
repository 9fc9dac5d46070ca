//! A table or topic in a SQLite database that exists for one `[[test]]` of a pipeline file.

use crate::database::failpoint::{Failpoints, Moment};
use crate::database::place::{Kind, Place};
use crate::sink::insert::DEAD_LETTERS;
use crate::sink::{self, COMMIT, SqlSink};
use crate::source;
use arrow::array::{BinaryBuilder, RecordBatch, StringBuilder, UInt32Builder, UInt64Builder};
use operators_core::config::Context;
use operators_core::error::{Error, Problem, Result};
use operators_core::position::Checkpoint;
use operators_core::runtime::wait;
use operators_core::schema::Column;
use operators_core::stage::{BuiltSource, Inflow, Read, Share, Sink};
use operators_core::{DeclaredType, Schema, dead_letter};
use sqlx::{AssertSqlSafe, Row, Sqlite};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// The database, in a folder of its own.
const DATABASE: &str = "sqlite:test.db";

/// Rows of each partition, in their order.
pub type ByPartition = BTreeMap<u32, Vec<RecordBatch>>;

/// What a sink writes to, by name.
#[derive(Clone)]
pub enum Target {
    /// A table.
    Table(String),
    /// An embedded topic.
    Topic(String),
}

impl Target {
    /// Whether such a sink can take these columns.
    pub fn check(&self, columns: &Schema, inflow: Inflow) -> Result<(), Vec<Problem>> {
        self.sink(columns, inflow, Path::new("/"), Failpoints::default()).map(drop)
    }

    fn name(&self) -> &str {
        match self {
            Self::Table(name) | Self::Topic(name) => name,
        }
    }

    fn sink(
        &self,
        columns: &Schema,
        inflow: Inflow,
        folder: &Path,
        failpoints: Failpoints,
    ) -> Result<Arc<dyn Sink>, Vec<Problem>> {
        let context = Context { dir: folder.to_owned() };
        let url = DATABASE.to_owned();
        Ok(match self {
            Self::Table(table) => {
                let config = sink::table::TableConfig { url, table: table.clone(), password: None, tls: None };
                let place = Place::new(Kind::Table, &config.url, &config.table, &context);
                Arc::new(SqlSink::with_failpoints(config.table(place, columns)?, failpoints))
            }
            Self::Topic(topic) => {
                let config = sink::topic::TopicConfig { url, topic: topic.clone() };
                let topic = config.topic(columns, inflow.partitions, &context)?;
                Arc::new(SqlSink::with_failpoints(topic, failpoints))
            }
        })
    }

    fn source(&self, columns: &Schema, context: &Context) -> Result<BuiltSource, Vec<Problem>> {
        let url = DATABASE.to_owned();
        let typed = |column: &Column| Some((column.name.clone(), DeclaredType::for_reading(&column.column_type)?));
        match self {
            Self::Table(table) => {
                let config = source::table::TableConfig {
                    url,
                    table: table.clone(),
                    password: None,
                    tls: None,
                    cursor: "id".to_owned(),
                    columns: columns.columns().iter().filter_map(typed).collect(),
                    late_commits: None,
                    known_as: Vec::new(),
                };
                config.build(context)
            }
            Self::Topic(topic) => source::topic::TopicConfig { url, topic: topic.clone() }.build(context),
        }
    }
}

/// An empty database, which is deleted with this value.
pub struct Scratch {
    folder: TempDir,
    target: Target,
}

impl Scratch {
    /// Makes the folder; the sink makes the database.
    pub fn new(target: &Target) -> Result<Self> {
        let made = tempfile::Builder::new().prefix("weatherflow-test-").tempdir();
        let folder = made.map_err(|source| {
            let path = std::env::temp_dir().display().to_string();
            Error::Io { action: "create a folder in", path, source }
        })?;
        Ok(Self { folder, target: target.clone() })
    }

    /// A sink on it, for one life of the program. `before_commit` runs just before each commit; its error is what the
    /// sink gets as the database's answer.
    pub fn sink(
        &self,
        columns: &Schema,
        inflow: Inflow,
        before_commit: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    ) -> Result<Arc<dyn Sink>, Vec<Problem>> {
        let failpoints = Failpoints::new(move |moment, step| match (moment, step) {
            (Moment::Before, COMMIT) => before_commit().map_err(sqlx::Error::Io),
            _ => Ok(()),
        });
        self.target.sink(columns, inflow, self.folder.path(), failpoints)
    }

    /// All rows, read as a source reads them.
    pub fn rows(&self, columns: &Schema) -> Result<ByPartition> {
        let built = self.target.source(columns, &self.context()).map_err(refused)?;
        let mut reader = built.source.open(Share { index: 0, of: 1 }, &Checkpoint::default())?;
        let mut rows = ByPartition::new();
        while let Read::Rows(chunk, _) = reader.read()? {
            rows.entry(chunk.source).or_default().push(chunk.rows);
        }
        Ok(rows)
    }

    /// The dead letters of a flow, by source partition.
    pub fn dead_letters(&self, flow: &str) -> Result<ByPartition> {
        let place: Place<Sqlite> =
            Place::new(Kind::Table, DATABASE, self.target.name(), &self.context()).map_err(refused)?;
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

    fn context(&self) -> Context {
        Context { dir: self.folder.path().to_owned() }
    }
}

/// What [`Target::check`] accepted cannot be built any more.
fn refused(problems: Vec<Problem>) -> Error {
    Error::Other(problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("; "))
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
        Ok(RecordBatch::try_new(Arc::clone(dead_letter::schema().arrow()), columns)?)
    }
}
