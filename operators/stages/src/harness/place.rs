//! The sink of a test: the flow's own, on storage that is gone with the test.
//!
//! | sink | in a test |
//! |---|---|
//! | `sink.parquet` | the same, over files in memory |
//! | `sink.table`, whatever its database | `sink.table` over a SQLite file in the system's folder for temporary files |
//! | `sink.topic`, `sink.kafka` | `sink.topic` over such a file |

use super::found::{self, Contents};
use super::life::{Life, MortalSink, MortalStore};
use crate::sink::SinkConfig;
use files::sink::{Compression, Layout, ParquetSink};
use files::store::memory::Memory;
use operators_core::error::{Error, Problem, Result};
use operators_core::schema::Schema;
use operators_core::stage::{Inflow, Sink};
use sql::scratch::{Scratch, Target};
use std::io;
use std::sync::Arc;

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

impl Movable {
    /// A sink as a flow has it; a problem where it would not do in a test.
    pub(super) fn new(config: &SinkConfig, columns: &Schema, inflow: Inflow) -> Result<Self, Vec<Problem>> {
        let form = match config {
            SinkConfig::Parquet(config) => Form::Files(config.compression, config.layout),
            SinkConfig::Table(config) => Form::Database(Target::Table(config.table.clone())),
            SinkConfig::Topic(config) => Form::Database(Target::Topic(config.topic.clone())),
            SinkConfig::Kafka(config) => Form::Database(Target::Topic(config.topic.clone())),
        };
        if let Form::Database(target) = &form {
            target.check(columns, inflow)?;
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
            Form::Database(target) => StoragePlace::Database(Scratch::new(target)?),
        };
        Ok(Storage { place, columns: self.columns.clone(), inflow: self.inflow })
    }
}

/// Where a sink of a test keeps its rows.
pub(super) struct Storage {
    place: StoragePlace,
    columns: Schema,
    inflow: Inflow,
}

enum StoragePlace {
    Files { files: Memory, compression: Compression, layout: Layout },
    Database(Scratch),
}

impl Storage {
    /// The sink over it, for one life of the program.
    pub(super) fn sink(&self, life: &Arc<Life>) -> Result<Arc<dyn Sink>> {
        let sink: Arc<dyn Sink> = match &self.place {
            StoragePlace::Files { files, compression, layout } => {
                let store = Arc::new(MortalStore { files: files.clone(), life: Arc::clone(life) });
                Arc::new(ParquetSink::new(store, "memory".to_owned(), &self.columns, *compression, *layout))
            }
            StoragePlace::Database(scratch) => {
                let dying = Arc::clone(life);
                let before_commit = move || dying.step().map_err(io::Error::other);
                scratch.sink(&self.columns, self.inflow, before_commit).map_err(impossible)?
            }
        };
        Ok(Arc::new(MortalSink { sink, life: Arc::clone(life) }))
    }

    /// The program is killed: what was not durable may be lost, as `chance` has it.
    pub(super) fn crash(&self, chance: u64) {
        match &self.place {
            StoragePlace::Files { files, .. } => files.crash(chance),
            // What was not committed ended with its connection.
            StoragePlace::Database(_) => {}
        }
    }

    /// Everything that a flow has committed through a sink over this.
    pub(super) fn contents(&self, sink: &dyn Sink, flow: &str) -> Result<Contents> {
        match &self.place {
            StoragePlace::Files { files, .. } => found::in_files(sink, files, flow),
            StoragePlace::Database(scratch) => Ok(Contents {
                rows: scratch.rows(&self.columns)?,
                dead_letters: scratch.dead_letters(flow)?,
                files: Vec::new(),
            }),
        }
    }
}

/// What `check` has accepted cannot be built any more.
pub(super) fn impossible(problems: Vec<Problem>) -> Error {
    let messages: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
    Error::Other(format!("the test cannot be set up: {}; this is a bug in weatherflow", messages.join("; ")))
}
