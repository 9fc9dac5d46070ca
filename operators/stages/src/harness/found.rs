//! What a test finds in its sink, read back as its readers would.

use files::archive::names::{DataFile, join};
use files::store::memory::Memory;
use files::store::{Cause, Entry, EntryKind, Store, StoreError};
use operators_core::chunk::{Chunk, Kind};
use operators_core::error::{Error, Result};
use operators_core::inspect::{FirstBatch, Which};
use operators_core::stage::Sink;
use sql::scratch::ByPartition;

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
