//! A directory of Parquet files, published together with their positions by renames that never overwrite.
//!
//! | module | what it knows |
//! |---|---|
//! | `batches` | one layout: the files of a batch in a directory of their own, published by one rename |
//! | `flat` | the other: one file per source partition and batch, each published by a rename of its own |
//! | `names` | the names that both have: data files, and what is staged |
//! | `listing` | what the names in the directory stand for |
//! | `publish` | how a run takes the directory over, and the one rename |
//! | `resolve` | what to conclude from what was seen; pure |
//! | `bounds` | which least and greatest values a file may tell its readers |
//! | `end` | how a Parquet file ends: page indexes and footer |
//! | `footer` | how a Parquet file is read back |
//! | `digests` | the digests in a footer that is a record |
//! | `stored` | the rows of files, for people who want to see them |
//! | `side_by_side` | work on several files at once |
//! | `sizes` | sizes that a damaged file declares, checked before they are believed |

mod batches;
mod bounds;
mod digests;
pub(crate) mod end;
mod flat;
mod footer;
mod key_value;
mod listing;
pub mod names;
mod publish;
mod resolve;
mod side_by_side;
mod sizes;
pub(crate) mod stored;

pub(crate) use batches::{Batches, DIRECTORY_KEYS};
pub(crate) use flat::Flat;

use crate::store::{Cause, Entry, EntryKind, SMALL, Store, StoreError, below_staging};
use listing::Name;
use names::DataFile;
use operators_core::error::{Error, Result};
use operators_core::inspect::{self, FirstBatch, Holdings};
use operators_core::progress::{Progress, Run};
use operators_core::stage::{Account, Closing, Listen, Opened};
use parquet::file::metadata::KeyValue;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

/// How files lie in a directory, and which rename makes them count.
pub(crate) trait Layout: Send + Sync {
    /// Where a flow stands, read without touching anything; `None` before its first commit. Refused when the directory
    /// belongs to another flow or has another layout.
    fn progress(&self, flow: &str) -> Result<Option<Progress>>;

    /// Takes the directory over.
    fn open(&self, run: &Run) -> Result<Opened>;

    /// What a file says of itself, and its name once it is closed.
    fn seal(&self, file: &Unsealed<'_>, batch: &Closing) -> Result<Sealed>;

    /// What is there of a flow, from the names of files alone.
    fn holdings(&self) -> Result<Holdings>;

    /// The proof: reads back every file and every row, trusting nobody.
    fn audit(&self, flow: &str, listener: &mut dyn Listen) -> Result<Account>;

    /// The files a flow has committed, from a batch on, each found when it is asked for.
    fn files(&self, flow: &str, from: FirstBatch) -> Result<Files>;
}

/// Committed files, oldest batch first.
pub(crate) type Files = Box<dyn Iterator<Item = Result<CommittedFile>>>;

/// A file that counts.
pub(crate) struct CommittedFile {
    /// Below the directory.
    path: String,
    file: DataFile,
    batch: u64,
}

/// A data file that has all its rows and is about to be closed.
pub(crate) struct Unsealed<'a> {
    pub(crate) run: &'a Run,
    pub(crate) attempt: u64,
    pub(crate) file: DataFile,
    pub(crate) rows: u64,
    /// The source partitions its rows came from.
    pub(crate) sources: &'a BTreeSet<u32>,
}

/// What closes a data file.
pub(crate) struct Sealed {
    /// For its footer.
    pub(crate) says: Vec<KeyValue>,
    /// In the directory of the attempt.
    pub(crate) name: String,
    pub(crate) digest: DigestIn,
}

/// Where the digest of a data file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DigestIn {
    /// In the record of its commit.
    Commit,
    /// In its own footer, which is the record of its commit.
    Footer,
}

/// The directory, as one flow sees it.
#[derive(Clone)]
pub(crate) struct Archive {
    pub(crate) store: Arc<dyn Store>,
    /// The directory's name, for people.
    pub(crate) place: String,
}

impl Archive {
    /// A path below the directory or the staging directory, for people.
    pub(crate) fn path(&self, path: &str) -> String {
        let (directory, path) = match below_staging(path) {
            Some(below) => (self.store.staging_place(), below),
            None => (self.place.clone(), path),
        };
        if path.is_empty() { directory } else { names::join(&directory, path) }
    }

    /// When a file was written.
    fn modified(&self, path: &str) -> Result<SystemTime> {
        self.store.modified(path).map_err(|e| self.failed(e))
    }

    /// Writes a small file whole; refuses one that could not be read again.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let length = bytes.len() as u64;
        if length > SMALL {
            return Err(StoreError { action: "write", path: path.to_owned(), cause: Cause::TooLarge(length) });
        }
        let mut file = self.store.create(path)?;
        let written = file.write_all(bytes);
        written.map_err(|e| StoreError { action: "write", path: path.to_owned(), cause: e.into() })?;
        file.finish()
    }

    /// Refuses the rows of another flow.
    fn check_owner(&self, owner: &str, flow: &str) -> Result<()> {
        if owner == flow {
            return Ok(());
        }
        let reason = format!("it holds the rows of flow `{owner}`, not of `{flow}`; give this flow another directory");
        Err(self.refused(reason))
    }

    /// Refuses a directory whose names are not those of this layout.
    fn check_layout(&self, layout: &str, root: &[Entry]) -> Result<()> {
        for Entry { name, .. } in root {
            let Some(of) = Name::parse(name).layout() else { continue };
            if of != layout {
                return Err(self.refused(format!(
                    "it was written with layout = \"{of}\" ({name} is there); set that, or give this flow another \
                     directory"
                )));
            }
        }
        Ok(())
    }

    fn refused(&self, reason: String) -> Error {
        Error::Refused { place: self.place.clone(), reason }
    }

    fn damaged(&self, path: &str, reason: impl Into<String>) -> Error {
        Error::Damaged { path: self.path(path), reason: reason.into() }
    }

    /// What a failed call means, where nothing else is known. One without an answer is found out by opening anew.
    pub(crate) fn failed(&self, error: StoreError) -> Error {
        let StoreError { action, path, cause } = error;
        match cause {
            Cause::Unknown(_) | Cause::Unavailable(_) => {
                Error::Unavailable { place: self.path(&path), reason: format!("cannot {action} it: {cause}") }
            }
            cause @ Cause::TooLarge(_) => self.damaged(&path, cause.to_string()),
            cause => Error::Io { action, path: self.path(&path), source: cause.into() },
        }
    }

    /// What a failed call on something this run had staged means: nobody but a newer run takes it away.
    pub(crate) fn lost(&self, run: &Run, error: StoreError) -> Error {
        match error.cause {
            Cause::NotFound => self.fenced(format!(
                "{} of this run ({}) is gone, as when a newer copy has moved it aside",
                self.path(&error.path),
                run.id
            )),
            _ => self.failed(error),
        }
    }

    fn fenced(&self, reason: String) -> Error {
        Error::Fenced { place: self.place.clone(), reason }
    }
}

/// The data files among these names.
fn data_files(entries: &[Entry]) -> inspect::Files {
    let mut files = inspect::Files::default();
    for entry in entries {
        if let EntryKind::File(bytes) = entry.kind
            && DataFile::parse(&entry.name).is_some()
        {
            files += inspect::Files::one(bytes);
        }
    }
    files
}
