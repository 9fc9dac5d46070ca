//! What a Parquet file says about itself: whose it is, and which spans its rows came from.

use crate::position::Span;
use crate::progress::{Run, Version};
use crate::store::{Cause, StoreError, StoreReader};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::Result;
use parquet::file::metadata::{FileMetaData, KeyValue};
use parquet::file::reader::{ChunkReader, Length};
use std::io::{self, BufReader, Read};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

const FLOW: &str = "weatherflow.flow";
const RUN: &str = "weatherflow.run";
const BATCH: &str = "weatherflow.batch";
const PARTITION: &str = "weatherflow.partition";
const SPANS: &str = "weatherflow.spans";

/// The key-value metadata of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) run: Run,
    pub(crate) batch: Version,
    /// The target partition.
    pub(crate) partition: u32,
    /// Those of the batch whose source partition gave rows to this file.
    pub(crate) spans: Vec<Span>,
}

impl Footer {
    /// As stored in the file.
    pub(crate) fn key_values(&self) -> crate::Result<Vec<KeyValue>> {
        let spans = serde_json::to_string(&self.spans).map_err(|e| crate::Error::Other(e.to_string()))?;
        let pairs = [
            (FLOW, self.run.flow.clone()),
            (RUN, self.run.id.clone()),
            (BATCH, self.batch.to_string()),
            (PARTITION, self.partition.to_string()),
            (SPANS, spans),
        ];
        Ok(pairs.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect())
    }

    fn of(metadata: &FileMetaData) -> Result<Self, String> {
        let value = |key: &str| {
            let pairs = metadata.key_value_metadata().into_iter().flatten();
            let mut values = pairs.filter(|pair| pair.key == key).filter_map(|pair| pair.value.as_deref());
            values.next().ok_or_else(|| format!("its footer has no {key}"))
        };
        let number = |key: &str| value(key)?.parse::<u64>().map_err(|e| format!("{key} in its footer: {e}"));
        Ok(Self {
            run: Run { id: value(RUN)?.to_owned(), flow: value(FLOW)?.to_owned() },
            batch: Version(number(BATCH)?),
            partition: number(PARTITION)?.try_into().map_err(|e| format!("{PARTITION} in its footer: {e}"))?,
            spans: serde_json::from_str(value(SPANS)?).map_err(|e| format!("{SPANS} in its footer: {e}"))?,
        })
    }
}

/// What was found in a data file by reading all of it.
pub(super) struct ReadBack {
    pub(super) footer: Footer,
    /// Rows that the footer claims.
    pub(super) claimed: u64,
    /// Rows that could be decoded, every column of them.
    pub(super) decoded: u64,
}

/// Why a data file could not be decoded.
pub(super) enum Unread {
    /// The store did not give it, which says nothing of the file.
    Unavailable(StoreError),
    /// It is not what it should be.
    Damaged(String),
}

/// Decodes every value of a data file.
pub(super) fn read_back(reader: Box<dyn StoreReader>) -> Result<ReadBack, Unread> {
    let file = InStore { reader: reader.into(), unavailable: Arc::default() };
    // The decoder takes some damaged pages at their word and panics on them.
    let decoded = panic::catch_unwind(AssertUnwindSafe(|| decode(file.clone())));
    let decoded = decoded.unwrap_or_else(|_| Err("its pages contradict each other".to_owned()));
    let unavailable = file.unavailable.lock().unwrap_or_else(PoisonError::into_inner).take();
    decoded.map_err(|reason| unavailable.map_or(Unread::Damaged(reason), Unread::Unavailable))
}

fn decode(file: InStore) -> Result<ReadBack, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| e.to_string())?;
    let metadata = builder.metadata().file_metadata();
    let claimed = u64::try_from(metadata.num_rows()).map_err(|_| "its footer claims less than no rows")?;
    let footer = Footer::of(metadata)?;
    let mut decoded = 0;
    for rows in builder.build().map_err(|e| e.to_string())? {
        decoded += rows.map_err(|e| e.to_string())?.num_rows() as u64;
    }
    Ok(ReadBack { footer, claimed, decoded })
}

/// A file of a store, as the Parquet reader wants it.
#[derive(Clone)]
struct InStore {
    reader: Arc<dyn StoreReader>,
    /// Kept here, as the decoder tells of errors in words only.
    unavailable: Arc<Mutex<Option<StoreError>>>,
}

impl InStore {
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
