//! What a Parquet file says about itself: whose it is, and which spans its rows came from.

use crate::archive::key_value::value;
use operators_core::position::Span;
use operators_core::progress::{Run, Version};
use parquet::file::metadata::{FileMetaData, KeyValue};

const FLOW: &str = "weatherflow.flow";
const RUN: &str = "weatherflow.run";
const BATCH: &str = "weatherflow.batch";
const PARTITION: &str = "weatherflow.partition";
const SPANS: &str = "weatherflow.spans";

/// The key-value metadata of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) run: Run,
    pub(super) batch: Version,
    /// The target partition.
    pub(super) partition: u32,
    /// Those of the batch whose source partition gave rows to this file.
    pub(super) spans: Vec<Span>,
}

impl Footer {
    /// As stored in the file.
    pub(super) fn key_values(&self) -> operators_core::Result<Vec<KeyValue>> {
        let spans = serde_json::to_string(&self.spans).map_err(|e| operators_core::Error::Other(e.to_string()))?;
        let pairs = [
            (FLOW, self.run.flow.clone()),
            (RUN, self.run.id.clone()),
            (BATCH, self.batch.to_string()),
            (PARTITION, self.partition.to_string()),
            (SPANS, spans),
        ];
        Ok(pairs.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect())
    }

    pub(super) fn of(metadata: &FileMetaData) -> Result<Self, String> {
        let number = |key: &str| value(metadata, key)?.parse::<u64>().map_err(|e| format!("{key} in its footer: {e}"));
        Ok(Self {
            run: Run { id: value(metadata, RUN)?.to_owned(), flow: value(metadata, FLOW)?.to_owned() },
            batch: Version(number(BATCH)?),
            partition: number(PARTITION)?.try_into().map_err(|e| format!("{PARTITION} in its footer: {e}"))?,
            spans: serde_json::from_str(value(metadata, SPANS)?).map_err(|e| format!("{SPANS} in its footer: {e}"))?,
        })
    }
}
