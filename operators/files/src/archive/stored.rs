//! The rows of committed files, and of any Parquet file, for people who want to see them.

use super::footer::Open;
use super::names::DataFile;
use super::{Archive, CommittedFile, Files};
use crate::store::local::Local;
use arrow::array::UInt64Array;
use operators_core::chunk::{Chunk, Kind};
use operators_core::config::shown;
use operators_core::error::{Error, Result};
use operators_core::inspect::{FirstBatch, Stored, StoredRows};
use std::path::Path;
use std::sync::Arc;

impl Archive {
    /// The number of the batch to begin with, where this one is the newest.
    pub(super) fn first(&self, from: FirstBatch, newest: u64) -> Result<u64> {
        match from {
            FirstBatch::Oldest => Ok(0),
            FirstBatch::Newest => Ok(newest),
            FirstBatch::Number(batch) if batch <= newest => Ok(batch),
            FirstBatch::Number(batch) => {
                Err(self.refused(format!("there is no batch {batch} yet; the newest is {newest}")))
            }
        }
    }
}

/// The rows of committed files that were written to these partitions, or to any when none is named.
pub(crate) fn of_files(archive: Archive, files: Files, partitions: Vec<u32>) -> StoredRows {
    let is_wanted = move |file: &Result<CommittedFile>| match file {
        Ok(file) => partitions.is_empty() || partitions.contains(&file.file.partition()),
        Err(_) => true,
    };
    Box::new(files.filter(is_wanted).flat_map(move |file| {
        file.and_then(|CommittedFile { path, file, batch }| of(&archive, &path, Some((file, batch))))
            .unwrap_or_else(failed)
    }))
}

/// The rows of one file of this machine. Its name tells partition and batch where this product gave it.
pub(crate) fn of_file(path: &Path) -> Result<StoredRows> {
    let (directory, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let name = name.to_string_lossy().into_owned();
    let unreadable = |source| Error::Io { action: "read", path: shown(path), source };
    path.metadata().map_err(unreadable)?;
    let archive = Archive { store: Arc::new(Local::new(directory.to_owned())), place: shown(directory) };
    of(&archive, &name, DataFile::parse(&name))
}

fn of(archive: &Archive, path: &str, named: Option<(DataFile, u64)>) -> Result<StoredRows> {
    let (mut open, archive, path) = (Some(Open::new(archive, path)?), archive.clone(), path.to_owned());
    let (file, batch) = named.unzip();
    let partition = file.map_or(0, DataFile::partition);
    let kind = match file {
        Some(DataFile::DeadLetters(_)) => Kind::DeadLetters,
        _ => Kind::Rows,
    };
    let mut next = 0;
    Ok(Box::new(std::iter::from_fn(move || {
        let rows = open.as_mut()?.next();
        // What comes after an error means nothing.
        let rows = rows.inspect_err(|_| open = None).map_err(|unread| archive.unread(&path, unread)).transpose()?;
        Some(rows.map(|rows| {
            let to = next + rows.num_rows() as u64;
            let positions = UInt64Array::from_iter_values(next..to);
            next = to;
            Stored { batch, chunk: Chunk { kind, ..Chunk::new(partition, positions, rows) } }
        }))
    })))
}

fn failed(error: Error) -> StoredRows {
    Box::new(std::iter::once(Err(error)))
}
