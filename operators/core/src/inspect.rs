//! What can be asked of the places rows come from and go to. Nothing here changes anything, so that it can be asked
//! while a pipeline runs.

use crate::chunk::Chunk;
use crate::config::shown;
use crate::error::Result;
use crate::position::Position;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use serde::Serialize;
use std::io;
use std::ops::AddAssign;
use std::path::Path;
use std::time::SystemTime;

/// A place that can be asked whether a flow could use it.
pub trait Inspect {
    /// Asks for everything that a run of this flow will need: server, topic or table or directory, permissions. One
    /// entry for each thing asked: what was seen, or what is wrong; none where nothing lies outside.
    fn connect(&self, _flow: &str) -> Vec<Result<Seen>> {
        Vec::new()
    }

    /// What a run accepts and its user should know, a sentence each; asks nothing that lies outside.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What was seen of one thing, in a short sentence that names its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is as a run needs it.
    Fine(String),
    /// It is not there yet: a sink makes it, a source waits for it.
    NotYet(String),
    /// It cannot be told without changing something.
    Untold(String),
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
    /// Whether every position from the first to the next has a row; otherwise there may be fewer.
    pub dense: bool,
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

    /// A file of so many bytes.
    pub fn one(bytes: u64) -> Self {
        Self { count: 1, bytes, small: u64::from(bytes < Self::SMALL) }
    }
}

impl AddAssign for Files {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.small += other.small;
    }
}

/// A directory that files are to be made in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// It is there and may be written to.
    There,
    /// It is not there, and may be made below this one.
    Below(String),
}

/// What a directory of this machine, or the nearest there is above it, allows this process to make.
pub fn ground(directory: &Path) -> io::Result<Ground> {
    for above in directory.ancestors() {
        match above.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(named(above, &error)),
            Ok(found) if !found.is_dir() => return Err(named(above, &io::ErrorKind::NotADirectory.into())),
            Ok(_) => {
                may(above, Access::WRITE_OK | Access::EXEC_OK)?;
                return Ok(if above == directory { Ground::There } else { Ground::Below(here(above)) });
            }
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Asks whether this process may write to a file.
pub fn may_write(file: &Path) -> io::Result<()> {
    may(file, Access::WRITE_OK)
}

fn may(path: &Path, access: Access) -> io::Result<()> {
    accessat(CWD, path, access, AtFlags::EACCESS).map_err(|error| named(path, &error.into()))
}

/// The system's words say what, and not where.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", here(path)))
}

/// A directory for people; that of the process needs a name too.
fn here(path: &Path) -> String {
    let path = shown(path);
    if path.is_empty() { ".".to_owned() } else { path }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_directory_decides_and_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ground(dir.path()).unwrap(), Ground::There);
        assert_eq!(ground(&dir.path().join("a/b")).unwrap(), Ground::Below(shown(dir.path())));
        std::fs::write(dir.path().join("file"), "").unwrap();
        let error = ground(&dir.path().join("file/b")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{error}");
        assert!(error.to_string().contains("file"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
