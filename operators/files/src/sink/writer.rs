//! Writes one worker's rows of one batch into staged files.

use crate::archive::end::{self, Unfinished};
use crate::archive::names::{self, DataFile};
use crate::archive::{Archive, Layout, Sealed, Unsealed};
use crate::store::{Cause, StoreError, StoreFile};
use arrow::datatypes::SchemaRef;
use operators_core::chunk::Chunk;
use operators_core::error::{Error, Result};
use operators_core::progress::{Contents, FileEntry, Receipt, Run};
use operators_core::stage::{Closing, Held, Writer};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

/// What all open files of a writer may hold before the largest is freed.
const MEMORY: u64 = 32 << 20;
/// What an open file holds beside its rows: buffers and encoders.
const OPEN_FILE: u64 = 16 << 10;

/// One file per partition, opened with its first row.
pub(super) struct ParquetWriter {
    target: Target,
    files: Files,
}

/// Where and how files are written.
pub(super) struct Target {
    pub(super) archive: Archive,
    pub(super) layout: Arc<dyn Layout>,
    pub(super) run: Run,
    pub(super) attempt: u64,
    pub(super) schema: SchemaRef,
    pub(super) properties: WriterProperties,
}

/// After the first error nothing is written any more, and the files are dropped as they are.
enum Files {
    Open { files: BTreeMap<DataFile, OpenFile>, held: u64 },
    Failed,
}

struct OpenFile {
    /// In the staging directory.
    path: String,
    parquet: ArrowWriter<Unfinished<Output>>,
    rows: u64,
    /// Memory of rows that are still with the encoder or the file.
    held: u64,
    /// The source partitions its rows came from.
    sources: BTreeSet<u32>,
}

impl ParquetWriter {
    pub(super) fn new(target: Target) -> Self {
        Self { target, files: Files::Open { files: BTreeMap::new(), held: 0 } }
    }

    /// The files, leaving the writer as it is to be after an error.
    fn take(&mut self) -> Result<(BTreeMap<DataFile, OpenFile>, u64)> {
        match std::mem::replace(&mut self.files, Files::Failed) {
            Files::Open { files, held } => Ok((files, held)),
            Files::Failed => Err(Error::Other(format!("writing to {} has failed before", self.target.archive.place))),
        }
    }
}

impl Writer for ParquetWriter {
    fn write(&mut self, chunk: Chunk) -> Result<Held> {
        let (mut files, mut held) = self.take()?;
        let key = DataFile::of(&chunk);
        let file = match files.entry(key) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(free) => free.insert(self.target.create(key, &chunk)?),
        };
        held -= file.held;
        self.target.append(file, &chunk)?;
        held += file.held;
        while held > MEMORY {
            // A row group that ends early makes a file larger: what only waits to be sent goes first.
            let Some(largest) = files.values_mut().max_by_key(|file| (file.unsent(), file.held)) else { break };
            let before = largest.held;
            self.target.free(largest)?;
            held = held - before + largest.held;
            if largest.held >= before {
                break;
            }
        }
        let bytes = held + OPEN_FILE * files.len() as u64;
        self.files = Files::Open { files, held };
        Ok(Held { bytes, until_commit: 0 })
    }

    fn close(mut self: Box<Self>, batch: &Closing) -> Result<Receipt> {
        let (files, _) = self.take()?;
        let (mut rows, mut dead_letters, mut entries) = (0, 0, Vec::new());
        let close = |key, file| self.target.close(key, file, batch);
        for (key, entry) in self.target.archive.side_by_side(files.into_iter().collect(), close)? {
            match key {
                DataFile::Rows(_) => rows += entry.rows,
                DataFile::DeadLetters(_) => dead_letters += entry.rows,
            }
            entries.push(entry);
        }
        Ok(Receipt { rows, dead_letters, contents: Contents::Files(entries) })
    }
}

impl Target {
    /// The path of a file in the directory of the attempt.
    fn staged(&self, name: &str) -> String {
        names::join(&names::attempt(&self.run, self.attempt), name)
    }

    fn create(&self, key: DataFile, first: &Chunk) -> Result<OpenFile> {
        let path = self.staged(&key.open_name());
        let file = self.archive.store.create(&path).map_err(|e| self.archive.lost(&self.run, e))?;
        let schema = match key {
            DataFile::Rows(_) => self.schema.clone(),
            DataFile::DeadLetters(_) => first.rows.schema(),
        };
        let output = Output { file: Some(file), bytes: 0 };
        let parquet = ArrowWriter::try_new(Unfinished::new(output), schema, Some(self.properties.clone()));
        let parquet = parquet.map_err(|e| self.failed(&path, e))?;
        Ok(OpenFile { path, parquet, rows: 0, held: 0, sources: BTreeSet::new() })
    }

    fn append(&self, file: &mut OpenFile, chunk: &Chunk) -> Result<()> {
        file.parquet.write(&chunk.rows).map_err(|e| self.failed(&file.path, e))?;
        file.rows += chunk.len();
        file.sources.insert(chunk.source);
        file.held = file.held();
        Ok(())
    }

    fn free(&self, file: &mut OpenFile) -> Result<()> {
        if file.unsent() == 0 {
            file.parquet.flush().map_err(|e| self.failed(&file.path, e))?;
        }
        file.parquet.inner_mut().file_mut().free().map_err(|e| self.failed(&file.path, e.into()))?;
        file.held = file.held();
        Ok(())
    }

    /// Closes a file and gives it the name that its layout asks for.
    fn close(&self, key: DataFile, file: OpenFile, batch: &Closing) -> Result<FileEntry> {
        let OpenFile { path, mut parquet, rows, sources, .. } = file;
        let unsealed = Unsealed { run: &self.run, attempt: self.attempt, file: key, rows, sources: &sources };
        let Sealed { says, name, digest } = self.layout.seal(&unsealed, batch)?;
        says.into_iter().for_each(|pair| parquet.append_key_value_metadata(pair));
        let end = end::finish(&mut parquet, digest).map_err(|e| self.failed(&path, e))?;
        let output = parquet.inner_mut().file_mut();
        output.write_all(&end.bytes).map_err(|e| self.failed(&path, e.into()))?;
        let bytes = output.bytes;
        let file = output.file.take().ok_or_else(|| self.failed(&path, failed_before().into()))?;
        file.finish().map_err(|e| self.archive.lost(&self.run, e))?;
        let closed = self.staged(&name);
        if closed != path {
            self.archive.store.rename(&path, &closed).map_err(|e| self.archive.lost(&self.run, e))?;
        }
        Ok(FileEntry { name, rows, bytes, digest: Some(end.digest) })
    }

    fn failed(&self, path: &str, error: ParquetError) -> Error {
        match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(source) => {
                    let error = StoreError { action: "write", path: path.to_owned(), cause: Cause::from(*source) };
                    self.archive.lost(&self.run, error)
                }
                Err(source) => Error::Other(format!("cannot write {}: {source}", self.archive.path(path))),
            },
            other => Error::Other(format!("cannot write {}: {other}", self.archive.path(path))),
        }
    }
}

impl OpenFile {
    fn held(&self) -> u64 {
        self.parquet.memory_size() as u64 + self.unsent()
    }

    /// Memory of what the encoder has given to the file.
    fn unsent(&self) -> u64 {
        self.parquet.inner().file().file.as_ref().map_or(0, |file| file.held())
    }
}

/// A file that is let go at its first error: whatever is written after one, its close could say that all is well.
struct Output {
    file: Option<Box<dyn StoreFile>>,
    bytes: u64,
}

impl Output {
    fn attempt<T>(&mut self, call: impl FnOnce(&mut dyn StoreFile) -> io::Result<T>) -> io::Result<T> {
        let file = self.file.as_mut().ok_or_else(failed_before)?;
        let result = call(&mut **file);
        if result.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::Interrupted) {
            self.file = None;
        }
        result
    }

    fn free(&mut self) -> io::Result<()> {
        self.attempt(|file| file.free())
    }
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.attempt(|file| file.write(data))?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.attempt(|file| file.flush())
    }
}

fn failed_before() -> io::Error {
    io::Error::other("an earlier write to this file failed")
}
