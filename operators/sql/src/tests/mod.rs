//! The SQL stages from outside, and a reader that trusts nobody.

mod audit;
mod contracts;
mod crashes;
mod inspect;
mod mysql;
mod sinks;
mod speed;
mod table_source;
mod topic_source;
mod zombies;

use super::sink::SqlSink;
use crate::database::Place;
use crate::database::failpoint::Failpoints;
use crate::sink::{table, topic};
use crate::source;
use arrow::array::{ArrayRef, BinaryArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use operators_core::chunk::Chunk;
use operators_core::config::Context;
use operators_core::error::Problem;
use operators_core::position::{Checkpoint, Position, Span};
use operators_core::progress::{Commit, Progress, Run};
use operators_core::replay::{self, PARTITIONS, run};
use operators_core::runtime::wait;
use operators_core::schema::Schema;
use operators_core::stage::{BuiltSink, BuiltSource, Inflow, Read, Reader, Recount, Removal, Share, Sink};
use sqlx::sqlite::SqliteConnection;
use std::path::Path;
use std::sync::Arc;

/// A sink as pipeline files name it.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum SinkConfig {
    Table(table::TableConfig),
    Topic(topic::TopicConfig),
}

impl SinkConfig {
    fn build(&self, input: &Schema, inflow: Inflow, context: &Context) -> Result<BuiltSink, Vec<Problem>> {
        match self {
            Self::Table(config) => config.build(input, context),
            Self::Topic(config) => config.build(input, inflow.partitions, context),
        }
    }
}

/// A source as pipeline files name it.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum SourceConfig {
    Table(source::table::TableConfig),
    Topic(source::topic::TopicConfig),
}

impl SourceConfig {
    fn build(&self, context: &Context) -> Result<BuiltSource, Vec<Problem>> {
        match self {
            Self::Table(config) => config.build(context),
            Self::Topic(config) => config.build(context),
        }
    }
}

/// What the driver writes into.
#[derive(Clone, Copy, Debug)]
enum Target {
    Table,
    Topic,
    /// A table of a MySQL or MariaDB server, in a database named after the folder.
    MySql,
}

impl Target {
    /// A sink in `weather.db` of a folder.
    fn sink(self, dir: &Path, failpoints: Failpoints) -> Box<dyn Sink> {
        let (url, context) = ("sqlite:weather.db".to_owned(), Context { dir: dir.to_owned() });
        match self {
            Self::Table => {
                let config = table::TableConfig { url, table: "temper\"atures".into(), password: None, tls: None };
                let place = Place::new(crate::database::Kind::Table, &config.url, &config.table, &context);
                Box::new(SqlSink::with_failpoints(config.table(place, &schema()).unwrap(), failpoints))
            }
            Self::Topic => {
                let config = topic::TopicConfig { url, topic: "temper\"atures".into() };
                let topic = config.topic(&schema(), Some(PARTITIONS), &context).unwrap();
                Box::new(SqlSink::with_failpoints(topic, failpoints))
            }
            Self::MySql => mysql::World::of(dir).sink(failpoints),
        }
    }

    /// All that counts in the database, in words: rows, dead letters and progress without the names of runs.
    fn dump(self, dir: &Path) -> Vec<String> {
        let rows = match self {
            Self::MySql => return mysql::World::of(dir).dump(),
            Self::Table => {
                "SELECT t.id || ' ' || t.station || ' ' || t.degrees FROM \"temper\"\"atures\" AS t ORDER BY t.id"
            }
            Self::Topic => {
                "SELECT m.topic || ' ' || m.partition || ' ' || m.\"offset\" || ' ' || hex(m.key) || ' ' || hex(m.value) \
                 FROM messages AS m ORDER BY m.topic, m.partition, m.\"offset\""
            }
        };
        let mut all = texts(dir, rows);
        let dead = "SELECT d.flow || ' ' || d.source_partition || ' ' || d.position || ' ' || d.stage || ' ' || d.reason \
                    || ' ' || quote(d.raw) FROM weatherflow_dead_letters AS d ORDER BY d.rowid";
        all.extend(texts(dir, dead));
        all.extend(texts(dir, "SELECT p.progress FROM weatherflow_progress AS p").iter().map(|json| stands(json)));
        all
    }
}

/// A progress in words, without the name of its run.
fn stands(json: &str) -> String {
    let progress: Progress = serde_json::from_str(json).unwrap();
    format!("{} {} {:?}", progress.version, progress.positions, progress.totals)
}

/// An empty folder, in memory where the machine has such a place: the crashes here are the program's, not the power's,
/// and thousands of runs need not wait for a disk.
fn folder() -> Folder {
    let memory = Path::new("/dev/shm");
    let in_memory = memory.is_dir().then(|| tempfile::tempdir_in(memory).ok()).flatten();
    Folder(in_memory.unwrap_or_else(|| tempfile::tempdir().unwrap()))
}

/// A folder that is deleted at the end, and the database on a server that was named after it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        mysql::World::drop_of(self.path());
    }
}

/// Runs one query on `weather.db` of a folder; each row is one text.
fn texts(dir: &Path, sql: &str) -> Vec<String> {
    let sql = sql.to_owned();
    with_database(dir, async move |connection| sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await)
}

/// Runs statements on `weather.db` of a folder.
fn execute(dir: &Path, sql: &str) {
    let sql = sql.to_owned();
    with_database(dir, async move |connection| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.map(drop)
    });
}

fn with_database<T>(dir: &Path, work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>) -> T {
    let place =
        Place::new(crate::database::Kind::Table, "sqlite:weather.db", "t", &Context { dir: dir.to_owned() }).unwrap();
    wait(async {
        let mut opened = place.database.write().await?;
        let done = work(&mut opened.connection).await.map_err(place.failed("test"));
        opened.close().await;
        done
    })
    .unwrap()
}

fn schema() -> Schema {
    Schema::from_arrow(rows(0, 0..1).rows.schema())
}

/// Rows of a source partition: a pure function of their positions.
fn rows(source: u32, positions: std::ops::Range<u64>) -> Chunk {
    let station: StringArray =
        positions.clone().map(|p| (p % 7 != 3).then(|| format!("s{source}-{}", p % 10))).collect();
    let degrees: Float64Array = positions.clone().map(|p| Some(p as f64 / 4.0 - 10.0)).collect();
    let key: BinaryArray = positions.clone().map(|p| (p % 5 != 2).then(|| p.to_be_bytes())).collect();
    let value: BinaryArray = positions.clone().map(|p| Some(format!("{source}:{p}"))).collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("station", Arc::new(station)),
        ("degrees", Arc::new(degrees)),
        ("key", Arc::new(key)),
        ("value", Arc::new(value)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    Chunk::new(source, UInt64Array::from_iter_values(positions), batch)
}

/// The batch that follows a commit.
fn batch(sink: &dyn Sink, run: &Run, last: Option<&Progress>, attempt: u64) -> Commit {
    replay::batch(sink, run, last, attempt, rows)
}

/// Commits one batch after the other until `batches` are there; returns how far it came.
fn drive(sink: &dyn Sink, run: &Run, batches: u64) -> operators_core::Result<Option<Progress>> {
    replay::drive(sink, run, batches, rows)
}

/// A source or sink as a pipeline file writes it, in a folder.
fn source(dir: &Path, json: &str) -> BuiltSource {
    let config: SourceConfig = serde_json::from_str(json).unwrap();
    config.build(&Context { dir: dir.to_owned() }).unwrap()
}

fn sink(dir: &Path, json: &str, input: &Schema, partitions: Option<u32>) -> BuiltSink {
    let config: SinkConfig = serde_json::from_str(json).unwrap();
    config.build(input, Inflow { partitions, ..Inflow::default() }, &Context { dir: dir.to_owned() }).unwrap()
}

/// The only worker.
const ALL: Share = Share { index: 0, of: 1 };

fn at(position: u64) -> Checkpoint {
    Checkpoint([(0, Position(position))].into())
}

/// Reads until there is nothing more for now.
fn read_all(reader: &mut dyn Reader) -> operators_core::Result<Vec<(Chunk, Span)>> {
    let mut all = Vec::new();
    loop {
        match reader.read()? {
            Read::Rows(chunk, span) => all.push((chunk, span)),
            Read::CaughtUp(_) | Read::End => return Ok(all),
            Read::Pause(_) => unreachable!("a table never pauses"),
        }
    }
}

/// What a source finds when it counts a span again.
fn recount(built: &BuiltSource, span: &Span) -> Recount {
    built.source.count(span, &mut |_| {}).unwrap()
}

/// So many rows of a table, where others may have been deleted.
fn left(rows: u64) -> Recount {
    Recount::Partial(rows, Removal::Delete)
}

/// What a refusal says.
fn refusal(result: operators_core::Result<impl Sized>) -> String {
    match result {
        Err(error @ operators_core::Error::Refused { .. }) => error.to_string(),
        Err(other) => panic!("not a refusal: {other}"),
        Ok(_) => panic!("not refused"),
    }
}
