//! The sink of a test: the flow's own, on storage that is gone with the test.
//!
//! | sink | in a test |
//! |---|---|
//! | `sink.parquet` | the same, over files in memory |
//! | `sink.table`, whatever its database | `sink.table` over a SQLite file in the system's folder for temporary files |
//! | `sink.topic`, `sink.kafka` | `sink.topic` over such a file |

use super::found::{self, Contents};
use super::life::{Life, MortalSink, MortalStore};
use crate::config::Context;
use crate::error::{Error, Problem, Result};
use crate::schema::Schema;
use crate::sink::SinkConfig;
use crate::sink::parquet::{Compression, Layout, ParquetSink};
use crate::sink::table::TableConfig;
use crate::sink::topic::TopicConfig;
use crate::sql::failpoint::{Failpoints, Moment};
use crate::sql::sink::{COMMIT, SqlSink};
use crate::sql::{Kind, Place};
use crate::stage::{Inflow, Sink};
use crate::store::memory::Memory;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// The database of a test, in the test's own folder.
const DATABASE: &str = "sqlite:trial.db";

/// A sink that can be put anywhere.
pub(super) struct Movable {
    form: Form,
    columns: Schema,
    inflow: Inflow,
}

#[derive(Clone)]
enum Form {
    Files(Compression, Layout),
    Database(Target),
}

#[derive(Clone)]
enum Target {
    Table(TableConfig),
    Topic(TopicConfig),
}

impl Movable {
    /// A sink as a flow has it; a problem where it would not do in a test.
    pub(super) fn new(config: &SinkConfig, columns: &Schema, inflow: Inflow) -> Result<Self, Vec<Problem>> {
        let url = DATABASE.to_owned();
        let topic =
            |topic: &String| Form::Database(Target::Topic(TopicConfig { url: url.clone(), topic: topic.clone() }));
        let form = match config {
            SinkConfig::Parquet(config) => Form::Files(config.compression, config.layout),
            SinkConfig::Table(config) => {
                let table = config.table.clone();
                Form::Database(Target::Table(TableConfig { url, table, password: None, tls: None }))
            }
            SinkConfig::Topic(config) => topic(&config.topic),
            SinkConfig::Kafka(config) => topic(&config.topic),
        };
        if let Form::Database(target) = &form {
            target.sink(columns, inflow, Path::new("/"), Failpoints::default())?;
        }
        Ok(Self { form, columns: columns.clone(), inflow })
    }

    pub(super) fn has_files(&self) -> bool {
        matches!(self.form, Form::Files(..))
    }

    pub(super) fn sends_messages(&self) -> bool {
        matches!(self.form, Form::Database(Target::Topic(_)))
    }

    /// Storage for it, with nothing in it.
    pub(super) fn storage(&self) -> Result<Storage> {
        let place = match &self.form {
            Form::Files(compression, layout) => {
                StoragePlace::Files { files: Memory::default(), compression: *compression, layout: *layout }
            }
            Form::Database(target) => StoragePlace::Database { folder: temporary()?, target: target.clone() },
        };
        Ok(Storage { place, columns: self.columns.clone(), inflow: self.inflow })
    }
}

fn temporary() -> Result<TempDir> {
    tempfile::Builder::new().prefix("weatherflow-test-").tempdir().map_err(|source| {
        let path = std::env::temp_dir().display().to_string();
        Error::Io { action: "create a folder in", path, source }
    })
}

/// Where a sink of a test keeps its rows.
pub(super) struct Storage {
    place: StoragePlace,
    columns: Schema,
    inflow: Inflow,
}

enum StoragePlace {
    Files {
        files: Memory,
        compression: Compression,
        layout: Layout,
    },
    /// The folder is deleted with this.
    Database {
        folder: TempDir,
        target: Target,
    },
}

impl Storage {
    /// The sink over it, for one life of the program.
    pub(super) fn sink(&self, life: &Arc<Life>) -> Result<Arc<dyn Sink>> {
        let sink: Arc<dyn Sink> = match &self.place {
            StoragePlace::Files { files, compression, layout } => {
                let store = Arc::new(MortalStore { files: files.clone(), life: Arc::clone(life) });
                Arc::new(ParquetSink::new(store, "memory".to_owned(), &self.columns, *compression, *layout))
            }
            StoragePlace::Database { folder, target } => {
                let dying = Arc::clone(life);
                let failpoints = Failpoints::new(move |moment, step| match (moment, step) {
                    (Moment::Before, COMMIT) => {
                        dying.step().map_err(|stopped| sqlx::Error::Io(io::Error::other(stopped)))
                    }
                    _ => Ok(()),
                });
                target.sink(&self.columns, self.inflow, folder.path(), failpoints).map_err(impossible)?
            }
        };
        Ok(Arc::new(MortalSink { sink, life: Arc::clone(life) }))
    }

    /// The program is killed: what was not durable may be lost, as `chance` has it.
    pub(super) fn crash(&self, chance: u64) {
        match &self.place {
            StoragePlace::Files { files, .. } => files.crash(chance),
            // What was not committed ended with its connection.
            StoragePlace::Database { .. } => {}
        }
    }

    /// Everything that a flow has committed through a sink over this.
    pub(super) fn contents(&self, sink: &dyn Sink, flow: &str) -> Result<Contents> {
        match &self.place {
            StoragePlace::Files { files, .. } => found::in_files(sink, files, flow),
            StoragePlace::Database { folder, target } => {
                let context = Context { dir: folder.path().to_owned() };
                let (rows, place) = match target {
                    Target::Table(table) => (found::in_table(table, &self.columns, &context)?, &table.table),
                    Target::Topic(topic) => (found::in_topic(topic, &context)?, &topic.topic),
                };
                let place = Place::new(Kind::Table, DATABASE, place, &context).map_err(impossible)?;
                Ok(Contents { rows, dead_letters: found::dead_letters(&place, flow)?, files: Vec::new() })
            }
        }
    }
}

impl Target {
    fn sink(
        &self,
        columns: &Schema,
        inflow: Inflow,
        folder: &Path,
        failpoints: Failpoints,
    ) -> Result<Arc<dyn Sink>, Vec<Problem>> {
        let context = Context { dir: folder.to_owned() };
        Ok(match self {
            Self::Table(config) => {
                let place = Place::new(Kind::Table, &config.url, &config.table, &context);
                Arc::new(SqlSink::with_failpoints(config.table(place, columns)?, failpoints))
            }
            Self::Topic(config) => {
                let topic = config.topic(columns, inflow.partitions, &context)?;
                Arc::new(SqlSink::with_failpoints(topic, failpoints))
            }
        })
    }
}

/// What `check` has accepted cannot be built any more.
pub(super) fn impossible(problems: Vec<Problem>) -> Error {
    let messages: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
    Error::Other(format!("the test cannot be set up: {}; this is a bug in weatherflow", messages.join("; ")))
}
