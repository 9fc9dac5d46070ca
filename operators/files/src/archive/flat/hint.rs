//! `partition-N.json`: a copy of where a partition stands, for people and other tools. A restart begins to look there,
//! and believes the footers.

use super::{Flat, Standing};
use crate::store::{Cause, StoreError};
use operators_core::error::Result;
use operators_core::position::Position;
use operators_core::progress::Run;
use serde::{Deserialize, Serialize};

/// What the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hint {
    /// The newest batch.
    pub(super) batch_id: u64,
    /// The next position after it.
    pub(super) offset: Position,
}

/// Its name.
pub(super) fn name(partition: u32) -> String {
    format!("partition-{partition}.json")
}

/// The partition whose hint has this name, if it is spelled exactly as [`name`] would.
pub(in crate::archive) fn parse_name(file: &str) -> Option<u32> {
    let partition = file.strip_prefix("partition-")?.strip_suffix(".json")?.parse().ok()?;
    (name(partition) == file).then_some(partition)
}

impl Hint {
    /// `None` before the first batch.
    pub(super) fn of(standing: &Standing) -> Option<Self> {
        Some(Self { batch_id: standing.batches.checked_sub(1)?, offset: standing.next })
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(text).map_err(|e| format!("it is no batch and offset: {e}"))
    }

    fn text(self) -> String {
        format!("{{\"batch_id\": {}, \"offset\": {}}}\n", self.batch_id, self.offset)
    }
}

impl Flat {
    /// What a partition's file says; `None` when it is not there or makes no sense.
    pub(super) fn hint(&self, partition: u32) -> Result<Option<Hint>> {
        match self.archive.store.read(&name(partition)) {
            Err(StoreError { cause: Cause::NotFound | Cause::TooLarge(_), .. }) => Ok(None),
            read => Ok(Hint::parse(&read.map_err(|e| self.archive.failed(e))?).ok()),
        }
    }

    /// Writes a hint to be published; returns its length. In the staging directory a newer run takes it away with the
    /// rest, so that none goes back in time.
    pub(super) fn stage_hint(&self, run: &Run, staged: &str, standing: &Standing) -> Result<u64> {
        let text = Hint::of(standing).map(Hint::text).unwrap_or_default();
        self.archive.write(staged, text.as_bytes()).map_err(|e| self.archive.lost(run, e))?;
        Ok(text.len() as u64)
    }

    /// Puts a staged hint in the place of the one before, so that readers find the one or the other.
    pub(super) fn publish_hint(&self, run: &Run, staged: &str, partition: u32) -> Result<()> {
        self.archive.store.replace(staged, &name(partition)).map_err(|e| self.archive.lost(run, e))
    }
}
