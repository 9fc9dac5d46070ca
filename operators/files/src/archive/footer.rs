//! How a Parquet file is read back: its footer alone, or every row of it.

use super::Archive;
use super::digests::Digests;
use super::side_by_side::side_by_side;
use super::sizes::{self, Chunks};
use crate::store::memory::MemoryReader;
use crate::store::{Cause, StoreError, StoreReader};
use arrow::array::RecordBatch;
use bytes::Bytes;
use operators_core::digest::{Digest, Hasher};
use operators_core::error::Error;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::{FileMetaData, FooterTail, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Read};
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Why a data file could not be read.
pub(super) enum Unread {
    /// The store did not give it, which says nothing of the file.
    Unavailable(StoreError),
    /// It is not what it should be.
    Damaged(String),
}

/// Reads the footer alone, in two calls, and checks it by its digest where it has one; `of` takes from it what is wanted.
pub(super) fn glance<F>(
    reader: &dyn StoreReader,
    of: impl Fn(&FileMetaData) -> Result<F, String>,
) -> Result<F, Unread> {
    let Footer { metadata, .. } = Footer::read(reader)?;
    guarded(|| of(metadata.file_metadata())).map_err(unreadable_footer)
}

/// The footer of a file.
struct Footer {
    metadata: ParquetMetaData,
    /// Where it begins.
    start: u64,
    digests: Option<Digests>,
}

impl Footer {
    fn read(reader: &dyn StoreReader) -> Result<Self, Unread> {
        let too_short = || unreadable_footer("the file is too short");
        let end = reader.length().checked_sub(FOOTER_SIZE as u64).ok_or_else(too_short)?;
        let tail = reader.read_at(end, FOOTER_SIZE).map_err(Unread::Unavailable)?;
        let length = FooterTail::try_from(&*tail).map_err(unreadable_footer)?.metadata_length();
        let start = end.checked_sub(length as u64).ok_or_else(too_short)?;
        if length > sizes::FOOTER {
            return Err(unreadable_footer(format!("it has {length} bytes; the limit is {}", sizes::FOOTER)));
        }
        let bytes = reader.read_at(start, length).map_err(Unread::Unavailable)?;
        let metadata = guarded(|| {
            sizes::check_footer(&bytes)?;
            ParquetMetaDataReader::decode_metadata(&bytes).map_err(|e| e.to_string())
        });
        let metadata = metadata.map_err(unreadable_footer)?;
        let digests = Digests::of(metadata.file_metadata()).map_err(unreadable_footer)?;
        if let Some(digests) = &digests {
            let checked = digests.check_footer(&[&bytes[..], &tail[..]].concat(), start);
            checked.map_err(Unread::Damaged)?;
        }
        Ok(Self { metadata, start, digests })
    }
}

fn unreadable_footer(reason: impl Display) -> Unread {
    Unread::Damaged(format!("its footer cannot be read: {reason}"))
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

/// How the bytes of a file are checked before anything in them is decoded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// Not at all: its commit was made by a version that wrote no digests.
    Nothing,
    /// By the digest in the record of its commit.
    Commit(Digest),
    /// By the digests in its own footer, where it has them.
    Footer,
}

/// A file that is read back.
pub(super) struct ToRead {
    pub(super) path: String,
    pub(super) check: Check,
}

impl Archive {
    /// How many files are read side by side.
    pub(super) fn readers(&self) -> usize {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        self.store.files_at_once().max(cores)
    }

    /// Decodes every value of data files, several side by side; gives what was found in their order.
    pub(super) fn read_back<F: Send>(
        &self,
        files: Vec<ToRead>,
        of: impl Fn(&FileMetaData) -> Result<F, String> + Sync,
    ) -> operators_core::error::Result<Vec<ReadBack<F>>> {
        let read = |_, file: ToRead| self.read_back_one(&file, &of);
        let found = side_by_side(files.into_iter().enumerate().collect(), self.readers(), read)?;
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }

    fn read_back_one<F>(
        &self,
        ToRead { path, check }: &ToRead,
        of: impl Fn(&FileMetaData) -> Result<F, String>,
    ) -> operators_core::error::Result<ReadBack<F>> {
        let reader = match self.store.open(path) {
            Err(StoreError { cause: Cause::NotFound, .. }) => {
                return Ok(Err("it went away while it was checked".to_owned()));
            }
            opened => opened.map_err(|e| self.failed(e))?,
        };
        let read_back = InStore::small_whole(path, reader).and_then(|file| {
            file.check(*check)?;
            decode(&file, of)
        });
        match read_back {
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
    pub(super) fn new(archive: &Archive, path: &str) -> operators_core::error::Result<Self> {
        let file = InStore::new(archive.store.open(path).map_err(|e| archive.failed(e))?);
        let opened = file.rows().and_then(|rows| {
            let build = || rows.with_batch_size(SHOWN).build().map_err(|e| e.to_string());
            file.read(build)
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

fn decode<F>(file: &InStore, of: impl Fn(&FileMetaData) -> Result<F, String>) -> Result<Rows<F>, Unread> {
    let rows = file.rows()?.with_batch_size(DECODE);
    file.read(|| {
        let metadata = rows.metadata().file_metadata();
        let claimed = u64::try_from(metadata.num_rows()).map_err(|_| "its footer claims less than no rows")?;
        let footer = of(metadata)?;
        let mut decoded = 0;
        for rows in rows.build().map_err(|e| e.to_string())? {
            decoded += rows.map_err(|e| e.to_string())?.num_rows() as u64;
        }
        Ok(Rows { footer, claimed, decoded })
    })
}

/// A file of a store, as the Parquet reader wants it.
#[derive(Clone)]
struct InStore {
    reader: Arc<dyn StoreReader>,
    /// Kept here, as the decoder tells of errors in words only.
    unavailable: Arc<Mutex<Option<StoreError>>>,
    /// Where its pages are, once its footer was read.
    chunks: Arc<Chunks>,
}

/// Files up to this length are read once, and both checked and decoded from memory.
const WHOLE: usize = 4 << 20;

/// How much is read at a time to compute a digest.
const BLOCK: u64 = 1 << 20;

impl InStore {
    fn new(reader: Box<dyn StoreReader>) -> Self {
        Self { reader: reader.into(), unavailable: Arc::default(), chunks: Arc::default() }
    }

    /// What reads its rows. The sizes in its footer are checked; those of a page are when the reader gets there.
    fn rows(&self) -> Result<ParquetRecordBatchReaderBuilder<Self>, Unread> {
        let Footer { metadata, start, .. } = Footer::read(&*self.reader)?;
        self.read(|| {
            let chunks = Arc::new(Chunks::check(&metadata, start)?);
            let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::default());
            let file = Self { chunks, ..self.clone() };
            Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.map_err(|e| e.to_string())?))
        })
    }

    fn small_whole(path: &str, reader: Box<dyn StoreReader>) -> Result<Self, Unread> {
        match usize::try_from(reader.length()) {
            Ok(length) if length <= WHOLE => {
                let bytes = reader.read_at(0, length).map_err(Unread::Unavailable)?;
                Ok(Self::new(Box::new(MemoryReader { bytes, path: path.to_owned() })))
            }
            _ => Ok(Self::new(reader)),
        }
    }

    /// Checks its bytes by their digests.
    fn check(&self, check: Check) -> Result<(), Unread> {
        let (digest, bytes) = match check {
            Check::Nothing => return Ok(()),
            Check::Commit(digest) => (digest, self.reader.length()),
            Check::Footer => match Footer::read(&*self.reader)?.digests {
                Some(digests) => (digests.data, digests.bytes),
                None => return Ok(()),
            },
        };
        if self.digest(bytes).map_err(Unread::Unavailable)? == digest {
            return Ok(());
        }
        Err(Unread::Damaged("its digest does not match: it was changed after it was written".to_owned()))
    }

    /// Digest of its first bytes.
    fn digest(&self, bytes: u64) -> Result<Digest, StoreError> {
        let mut hasher = Hasher::default();
        let mut at = 0;
        while at < bytes {
            let length = BLOCK.min(bytes - at);
            hasher.update(&self.reader.read_at(at, length as usize)?);
            at += length;
        }
        Ok(hasher.digest())
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
        if offset.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reader.read_at(offset, length).map_err(|error| match error.cause {
            Cause::Unavailable(_) | Cause::Unknown(_) => {
                *self.unavailable.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                io::ErrorKind::Other.into()
            }
            cause => cause.into(),
        })
    }
}

/// Bytes read of a page to begin with; almost every header is shorter.
const HEADER: usize = 8 << 10;
/// Bytes of the longest header, with statistics.
const LONGEST_HEADER: usize = 2 << 20;

impl Length for InStore {
    fn len(&self) -> u64 {
        self.reader.length()
    }
}

impl ChunkReader for InStore {
    type T = BufReader<From>;

    /// The decoder asks for it where a page begins.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut length = HEADER;
        loop {
            let mut read = BufReader::with_capacity(length, From { file: self.clone(), at: start });
            let is_whole = self.chunks.check_page(start, read.fill_buf()?).map_err(ParquetError::General)?;
            if is_whole || length >= LONGEST_HEADER {
                return Ok(read);
            }
            length *= 16;
        }
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
