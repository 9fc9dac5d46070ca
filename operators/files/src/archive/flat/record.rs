//! What a Parquet file says about itself: the checkpoint of its partition.

use super::{Flat, data};
use crate::archive::digests::Digests;
use crate::archive::footer;
use crate::archive::key_value::value;
use crate::archive::resolve::Author;
use crate::store::{Cause, StoreError};
use operators_core::digest::Digest;
use operators_core::error::{Error, Result};
use operators_core::position::Span;
use operators_core::progress::{Fingerprint, Run, Tally, Version};
use parquet::file::metadata::{FileMetaData, KeyValue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The key of the footer's metadata that holds the record.
const KEY: &str = "weatherflow.checkpoint";

/// The record of one batch of a partition, in the footer of its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) run: Run,
    /// With the run it tells our commit from another's.
    pub(super) attempt: u64,
    /// The flow's number of the commit, the same in all partitions that it moved.
    pub(super) version: Version,
    /// What the positions mean.
    pub(super) fingerprint: Fingerprint,
    /// Identity of the source, where it has one.
    pub(super) source: Option<String>,
    /// What this batch moved the partition by.
    pub(super) span: Span,
    /// Rows of this batch; those that a stage left out, for whatever reason, count as filtered.
    pub(super) tally: Tally,
    pub(super) known: Known,
    /// Digests of the partition's newest batches that were known when the file was closed, by number: each batch is in
    /// the record of a later one. Files of earlier versions have none.
    #[serde(default)]
    pub(super) before: Option<BTreeMap<u64, Digest>>,
    /// Digest of the footer that holds this record, and with it of the file.
    #[serde(skip)]
    pub(super) digest: Option<Digest>,
}

/// What was committed of the partition when the file was closed; the batches from there on add their own tallies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    pub(super) batches: u64,
    /// Rows of all of them.
    pub(super) totals: Tally,
    /// How many partitions had batches, so that one is missed whose files are all gone. Older files do not say.
    #[serde(default)]
    pub(super) partitions: u64,
}

impl Record {
    /// As stored in the file.
    pub(super) fn key_value(&self) -> Result<KeyValue> {
        let text = serde_json::to_string(self).map_err(|e| Error::Other(e.to_string()))?;
        Ok(KeyValue::new(KEY.to_owned(), text))
    }

    pub(super) fn of(metadata: &FileMetaData) -> Result<Self, String> {
        let mut record: Self =
            serde_json::from_str(value(metadata, KEY)?).map_err(|e| format!("{KEY} in its footer: {e}"))?;
        record.digest = Digests::of(metadata)?.map(|digests| digests.footer);
        match record.before.is_some() == record.digest.is_some() {
            true => Ok(record),
            false => Err("its footer has digests of other files or of itself, but not both".to_owned()),
        }
    }

    pub(super) fn author(&self) -> Author {
        Author { run: self.run.id.clone(), attempt: self.attempt }
    }
}

impl Flat {
    /// The record of one batch of a partition, or `None` when there is no such file.
    pub(super) fn find(&self, partition: u32, batch: u64) -> Result<Option<Record>> {
        let path = data(partition, batch);
        let reader = match self.archive.store.open(&path) {
            Err(StoreError { cause: Cause::NotFound, .. }) => return Ok(None),
            opened => opened.map_err(|e| self.archive.failed(e))?,
        };
        let record = footer::glance(&*reader, Record::of).map_err(|unread| self.archive.unread(&path, unread))?;
        match record.span.partition {
            written if written == partition => Ok(Some(record)),
            written => Err(self.archive.damaged(&path, format!("its footer says that it is of partition {written}"))),
        }
    }
}
