//! Files under the Parquet sink: the few things a place must be able to do, and do reliably.
//!
//! A store has two directories, which lie next to each other or wherever the pipeline file says, on one file system: the
//! *root*, whose content readers see, and the *staging directory* for files that aren't committed yet. Paths are in parts
//! joined by `/`. A path whose first part is [`STAGING`] lies in the staging directory, every other path in the root; `""`
//! is the root itself, and a listing of the root never shows [`STAGING`].
//!
//! | store | what it is |
//! |---|---|
//! | [`local::Local`] | a directory of this machine |
//! | [`hdfs::Hdfs`] | a directory of a Hadoop cluster |
//! | [`memory::Memory`] | the same contract in memory, with crashes that lose what was not durable; for tests |
//! | [`faulty::Faulty`] | wraps another and fails as planned, call by call; for tests |

pub mod faulty;
pub mod hdfs;
pub mod local;
pub mod memory;

use bytes::Bytes;
use operators_core::inspect::Ground;
use std::io;
use std::time::SystemTime;

/// Bytes of the largest file that is read whole: a record of about 150,000 source partitions.
pub const SMALL: u64 = 32 << 20;

/// The first part of every path in the staging directory, and the path of that directory.
pub const STAGING: &str = "@staging";

/// Result of one store call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A place for files. Any call may fail without telling whether it was applied ([`Cause::Unknown`]).
pub trait Store: Send + Sync {
    /// Creates a new file and the directories above it; [`Cause::AlreadyExists`] when the name is taken. What is
    /// written counts once [`StoreFile::finish`] is done, and not before.
    fn create(&self, path: &str) -> Result<Box<dyn StoreFile>>;

    /// Reads a small file whole; [`Cause::TooLarge`] for one of more than [`SMALL`] bytes, of which nothing is read.
    fn read(&self, path: &str) -> Result<Vec<u8>>;

    /// Opens a file for reading any part of it.
    fn open(&self, path: &str) -> Result<Box<dyn StoreReader>>;

    /// What a directory holds, in no order; [`Cause::NotFound`] says that there is no such directory. A name that comes
    /// or goes meanwhile may be in it or not.
    fn list(&self, path: &str) -> Result<Vec<Entry>>;

    /// Moves a file, or a directory with all it holds, to a free name in one step, durably; the directories above the
    /// new name are made. [`Cause::AlreadyExists`] when the name is taken, be it by an empty directory.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Moves a file to a name in one step, durably, in place of the file that has it: whoever reads meanwhile finds the
    /// one or the other. For what nobody counts on; what counts is moved by [`Store::rename`].
    fn replace(&self, from: &str, to: &str) -> Result<()>;

    /// Deletes a file, or a directory with all it holds; `false` when nothing was there.
    fn delete(&self, path: &str) -> Result<bool>;

    /// Deletes a directory if it is empty, in one step; `false` when it holds something or isn't there.
    fn delete_empty(&self, path: &str) -> Result<bool>;

    /// When a file was written.
    fn modified(&self, path: &str) -> Result<SystemTime>;

    /// Asks whether files could be made here, and makes none; an error when they could not.
    fn root(&self) -> Result<Ground>;

    /// Asks the same of the staging directory, and as far as that can be told whether a rename could move files from
    /// there into the root.
    fn staging(&self) -> Result<Ground>;

    /// The staging directory's name, for people.
    fn staging_place(&self) -> String;

    /// What to do where files can't be staged there, for people, as an imperative.
    fn staging_advice(&self) -> String;

    /// What [`Store::staging`] can't tell, for people.
    fn staging_doubt(&self) -> Option<&'static str> {
        None
    }

    /// Refuses a place that would spoil the files made in it once a disk or server is lost. Leaves nothing behind.
    fn check_redundancy(&self) -> Result<()> {
        Ok(())
    }

    /// How many files are finished side by side sooner than one after the other.
    fn files_at_once(&self) -> usize {
        1
    }
}

/// A new file. Dropping it leaves garbage; after an error it is dropped and never used again.
pub trait StoreFile: io::Write + Send {
    /// Bytes it may keep in memory: collected until they are enough to be sent, or on their way.
    fn held(&self) -> u64 {
        0
    }

    /// Holds nothing any more: waits until all that was written is out of memory.
    fn free(&mut self) -> io::Result<()> {
        self.flush()
    }

    /// Makes the file and its name durable.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A file open for reading.
pub trait StoreReader: Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// Reads exactly this range; a range past the end is an error.
    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes>;
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The last part of its path.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file and its length in bytes.
    File(u64),
}

/// A store call that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {cause}")]
pub struct StoreError {
    /// Verb: `create`, `rename`.
    pub action: &'static str,
    /// Below the root of the store.
    pub path: String,
    /// What the store answered.
    pub cause: Cause,
}

/// Why a store call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Nothing has this name.
    #[error("not found")]
    NotFound,
    /// The name is taken.
    #[error("already exists")]
    AlreadyExists,
    /// No answer: the call may have been applied, or be applied later.
    #[error("no answer, and so it is unknown whether it was done: {0}")]
    Unknown(String),
    /// It was not done, and may work later: a server that is not there, or full.
    #[error("not possible now: {0}")]
    Unavailable(String),
    /// It is no small file, as every record of a commit is, and has this many bytes.
    #[error("it has {0} bytes, and a record has {SMALL} at most")]
    TooLarge(u64),
    /// It failed, and trying again would not help.
    #[error("{0}")]
    Failed(io::Error),
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::AlreadyExists => Self::AlreadyExists,
            // Whoever filled a disk may empty it again.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Unavailable(error.to_string()),
            // A cause that went through `io::Write` comes back as it was.
            _ => error.downcast::<Self>().unwrap_or_else(Self::Failed),
        }
    }
}

impl From<Cause> for io::Error {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::NotFound => io::ErrorKind::NotFound.into(),
            Cause::AlreadyExists => io::ErrorKind::AlreadyExists.into(),
            Cause::Unknown(_) | Cause::Unavailable(_) | Cause::TooLarge(_) => Self::other(cause),
            Cause::Failed(error) => error,
        }
    }
}

impl StoreError {
    fn new(action: &'static str, path: &str, cause: impl Into<Cause>) -> Self {
        Self { action, path: path.to_owned(), cause: cause.into() }
    }
}

/// Refuses to read a file whole that is too large for it.
fn check_small(length: u64) -> Result<(), Cause> {
    if length > SMALL { Err(Cause::TooLarge(length)) } else { Ok(()) }
}

/// The directory a path lies in; the root for a name without directory.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The part of a path below the staging directory, `""` for that directory itself; `None` for a path in the root.
pub fn below_staging(path: &str) -> Option<&str> {
    match path.strip_prefix(STAGING)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

/// The staging directory of a root, unless the pipeline file names another: its name, next to the root.
fn sibling(name: &str) -> String {
    format!("_staging-{name}")
}
