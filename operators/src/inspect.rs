//! What can be asked of the places rows come from and go to. Nothing here changes anything, so that it can be asked
//! while a pipeline runs.

use crate::archive;
use crate::chunk::Chunk;
use crate::error::Result;
use crate::position::Position;
use serde::Serialize;
use std::path::Path;
use std::time::SystemTime;

/// A place that can be asked whether a flow could use it.
pub trait Inspect {
    /// Asks for everything that a run will need: server, topic or table or directory, permissions. One entry for each
    /// thing asked: what was seen, or what is wrong.
    fn connect(&self) -> Vec<Result<String>> {
        Vec::new()
    }
}

/// What one partition of a source holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// The partition.
    pub partition: u32,
    /// The oldest position that is still there.
    pub first: Position,
    /// The position that the next row will have.
    pub next: Position,
}

/// What a sink holds of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// When the last commit was made, where the sink remembers.
    pub committed_at: Option<SystemTime>,
    /// Its files, where it has files.
    pub files: Option<Files>,
}

/// Files of a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// All of them.
    pub count: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Those too small to be read well: below [`Files::SMALL`] bytes.
    pub small: u64,
}

impl Files {
    /// Below so many bytes a file costs its readers, and a NameNode, more than its rows do.
    pub const SMALL: u64 = 16 << 20;
}

/// Which committed rows are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    /// The first batch.
    pub from: FirstBatch,
    /// The partitions they were written to; all of them when none is named.
    pub partitions: Vec<u32>,
}

/// The first of the batches that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBatch {
    /// The oldest.
    Oldest,
    /// The newest, and so the last too.
    Newest,
    /// The one of this number.
    Number(u64),
}

/// Rows as they are stored.
pub struct Stored {
    /// The batch they were committed in, where the file tells.
    pub batch: Option<u64>,
    /// The rows, or dead letters; their position is their number in the file.
    pub chunk: Chunk,
}

/// Stored rows, a few thousand at a time.
pub type StoredRows = Box<dyn Iterator<Item = Result<Stored>>>;

/// The rows of a Parquet file of this machine, whoever wrote it.
pub fn parquet_file(path: &Path) -> Result<StoredRows> {
    archive::stored::of_file(path)
}
