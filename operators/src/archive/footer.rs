//! How a Parquet file is read back: its footer alone, or every row of it.

use super::Archive;
use super::side_by_side::side_by_side;
use crate::error::Error;
use crate::store::{Cause, StoreError, StoreReader};
use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::Result;
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::{FileMetaData, FooterTail, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use std::io::{self, BufReader, Read};
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What the footer has under a key.
pub(super) fn value<'a>(metadata: &'a FileMetaData, key: &str) -> Result<&'a str, String> {
    let pairs = metadata.key_value_metadata().into_iter().flatten();
    let mut values = pairs.filter(|pair| pair.key == key).filter_map(|pair| pair.value.as_deref());
    values.next().ok_or_else(|| format!("its footer has no {key}"))
}

/// Why a data file could not be read.
pub(super) enum Unread {
    /// The store did not give it, which says nothing of the file.
    Unavailable(StoreError),
    /// It is not what it should be.
    Damaged(String),
}

/// Reads the footer alone, in two calls; `of` takes from it what is asked for.
pub(super) fn glance<F>(
    reader: &dyn StoreReader,
    of: impl Fn(&FileMetaData) -> Result<F, String>,
) -> Result<F, Unread> {
    let damaged = |reason: String| Unread::Damaged(format!("its footer cannot be read: {reason}"));
    let read = |from: Option<u64>, length| match from {
        Some(from) => reader.read_at(from, length).map_err(Unread::Unavailable),
        None => Err(damaged("the file is too short".to_owned())),
    };
    let end = reader.length().checked_sub(FOOTER_SIZE as u64);
    let tail = FooterTail::try_from(&*read(end, FOOTER_SIZE)?).map_err(|e| damaged(e.to_string()))?;
    let length = tail.metadata_length();
    let bytes = read(end.and_then(|end| end.checked_sub(length as u64)), length)?;
    guarded(|| {
        let metadata = ParquetMetaDataReader::decode_metadata(&bytes).map_err(|e| e.to_string())?;
        of(metadata.file_metadata())
    })
    .map_err(damaged)
}

/// The decoder takes some damaged bytes at their word and panics on them.
fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    decoded.unwrap_or_else(|_| Err("its bytes contradict each other".to_owned()))
}

/// What was found in a data file by reading all of it.
pub(super) struct Rows<F> {
    pub(super) footer: F,
    /// Rows that the footer claims.
    pub(super) claimed: u64,
    /// Rows that could be decoded, every column of them.
    pub(super) decoded: u64,
}

/// What reading all of a data file came to; the error is a problem for people.
pub(super) type ReadBack<F> = Result<Rows<F>, String>;

impl Archive {
    /// How many files are read side by side.
    pub(super) fn readers(&self) -> usize {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        self.store.files_at_once().max(cores)
    }

    /// Decodes every value of data files, several side by side; gives what was found in their order.
    pub(super) fn read_back<F: Send>(
        &self,
        paths: Vec<String>,
        of: impl Fn(&FileMetaData) -> Result<F, String> + Sync,
    ) -> crate::error::Result<Vec<ReadBack<F>>> {
        let read = |_, path: String| self.read_back_one(&path, &of);
        let found = side_by_side(paths.into_iter().enumerate().collect(), self.readers(), read)?;
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }

    fn read_back_one<F>(
        &self,
        path: &str,
        of: impl Fn(&FileMetaData) -> Result<F, String>,
    ) -> crate::error::Result<ReadBack<F>> {
        let reader = match self.store.open(path) {
            Err(StoreError { cause: Cause::NotFound, .. }) => {
                return Ok(Err("it went away while it was checked".to_owned()));
            }
            opened => opened.map_err(|e| self.failed(e))?,
        };
        let file = InStore::new(reader);
        match file.read(|| decode(file.clone(), of)) {
            Ok(rows) => Ok(Ok(rows)),
            Err(Unread::Unavailable(error)) => Err(self.failed(error)),
            Err(Unread::Damaged(reason)) => Ok(Err(reason)),
        }
    }

    /// What it means that a file could not be read.
    pub(super) fn unread(&self, path: &str, unread: Unread) -> Error {
        match unread {
            Unread::Unavailable(error) => self.failed(error),
            Unread::Damaged(reason) => self.damaged(path, reason),
        }
    }
}

/// A file whose rows are read a few thousand at a time.
pub(super) struct Open {
    file: InStore,
    rows: ParquetRecordBatchReader,
}

impl Open {
    pub(super) fn new(archive: &Archive, path: &str) -> crate::error::Result<Self> {
        let file = InStore::new(archive.store.open(path).map_err(|e| archive.failed(e))?);
        let opened = file.read(|| {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone()).map_err(|e| e.to_string())?;
            builder.with_batch_size(SHOWN).build().map_err(|e| e.to_string())
        });
        let rows = opened.map_err(|unread| archive.unread(path, unread))?;
        Ok(Self { file, rows })
    }

    /// The next rows; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, Unread> {
        self.file.read(|| self.rows.next().transpose().map_err(|e| e.to_string()))
    }
}

/// Rows read at a time for people, who often want to see but a few.
const SHOWN: usize = 1024;

/// Rows decoded at a time.
const DECODE: usize = 16_384;

fn decode<F>(file: InStore, of: impl Fn(&FileMetaData) -> Result<F, String>) -> Result<Rows<F>, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| e.to_string())?.with_batch_size(DECODE);
    let metadata = builder.metadata().file_metadata();
    let claimed = u64::try_from(metadata.num_rows()).map_err(|_| "its footer claims less than no rows")?;
    let footer = of(metadata)?;
    let mut decoded = 0;
    for rows in builder.build().map_err(|e| e.to_string())? {
        decoded += rows.map_err(|e| e.to_string())?.num_rows() as u64;
    }
    Ok(Rows { footer, claimed, decoded })
}

/// A file of a store, as the Parquet reader wants it.
#[derive(Clone)]
struct InStore {
    reader: Arc<dyn StoreReader>,
    /// Kept here, as the decoder tells of errors in words only.
    unavailable: Arc<Mutex<Option<StoreError>>>,
}

impl InStore {
    fn new(reader: Box<dyn StoreReader>) -> Self {
        Self { reader: reader.into(), unavailable: Arc::default() }
    }

    /// Decodes some of it, and tells a store that did not give it from a file that is not what it should be.
    fn read<T>(&self, decode: impl FnOnce() -> Result<T, String>) -> Result<T, Unread> {
        let decoded = guarded(decode);
        let unavailable = self.unavailable.lock().unwrap_or_else(PoisonError::into_inner).take();
        decoded.map_err(|reason| match unavailable {
            Some(error) => Unread::Unavailable(error),
            None => Unread::Damaged(format!("it cannot be read: {reason}")),
        })
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.reader.read_at(offset, length).map_err(|error| match error.cause {
            Cause::Unavailable(_) | Cause::Unknown(_) => {
                *self.unavailable.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                io::ErrorKind::Other.into()
            }
            cause => cause.into(),
        })
    }
}

impl Length for InStore {
    fn len(&self) -> u64 {
        self.reader.length()
    }
}

impl ChunkReader for InStore {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::new(From { file: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        Ok(self.read_at(start, length)?)
    }
}

/// Reads on from a position.
struct From {
    file: InStore,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.len().saturating_sub(self.at);
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let bytes = self.file.read_at(self.at, length)?;
        buffer[..length].copy_from_slice(&bytes);
        self.at += length as u64;
        Ok(length)
    }
}
