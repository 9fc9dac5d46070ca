//! A directory of batches of Parquet files, each published together with its positions by one rename.
//!
//! | file | what it knows |
//! |---|---|
//! | `layout` | every name and path |
//! | `manifest` | the record of a commit, `_checkpoint.json` |
//! | `footer` | what a Parquet file says about itself |
//! | `resolve` | what to conclude from what was seen; pure |
//! | `publish` | how a run takes the directory over and commits |
//! | `audit` | the proof: reads everything back, trusting nobody |

mod audit;
pub(crate) mod footer;
pub(crate) mod layout;
mod manifest;
mod publish;
mod resolve;

pub(crate) use publish::Publisher;

use crate::error::{Error, Result};
use crate::progress::{Run, Version};
use crate::store::{Cause, Store, StoreError};
use manifest::Manifest;
use resolve::Newest;
use std::sync::Arc;

/// The directory, as one flow sees it.
#[derive(Clone)]
pub(crate) struct Archive {
    pub(crate) store: Arc<dyn Store>,
    /// The directory's name, for people.
    pub(crate) place: String,
}

impl Archive {
    /// The last commit, found in a number of calls that does not grow with history; `None` before the first.
    /// Refused when the directory belongs to another flow.
    pub(crate) fn newest(&self, flow: &str) -> Result<Option<Manifest>> {
        let Some(version) = self.newest_version()? else { return Ok(None) };
        let manifest = self.manifest(version)?;
        match manifest.progress.run.flow.as_str() {
            owner if owner == flow => Ok(Some(manifest)),
            owner => Err(Error::Refused {
                place: self.place.clone(),
                reason: format!(
                    "it holds the rows of flow `{owner}`, not of `{flow}`; give this flow another directory"
                ),
            }),
        }
    }

    fn newest_version(&self) -> Result<Option<Version>> {
        let root = match self.store.list("") {
            Err(StoreError { cause: Cause::NotFound, .. }) => return Ok(None),
            listed => listed.map_err(|e| self.failed(e))?,
        };
        let mut newest = Newest::NoBatch;
        for segment in resolve::last_two_segments(&root) {
            let entries = self.store.list(&segment.name()).map_err(|e| self.failed(e))?;
            newest = newest.or_in(segment, &entries);
            if let Newest::Batch(version) = newest {
                return Ok(Some(version));
            }
        }
        match newest {
            Newest::Missing(version) => Err(self.damaged(
                &layout::batch(version),
                "a later segment exists, and so this batch must have been committed, but it is not there; restore it",
            )),
            _ => Ok(None),
        }
    }

    /// The record of a batch that is there.
    fn manifest(&self, version: Version) -> Result<Manifest> {
        match self.find_manifest(version)? {
            Some(manifest) => Ok(manifest),
            None => Err(self.damaged(
                &layout::join(&layout::batch(version), layout::CHECKPOINT),
                "the batch is there and its checkpoint is not; restore it, its positions cannot be guessed",
            )),
        }
    }

    /// The record of a batch, or `None` when it has none.
    fn find_manifest(&self, version: Version) -> Result<Option<Manifest>> {
        let path = layout::join(&layout::batch(version), layout::CHECKPOINT);
        let text = match self.store.read(&path) {
            Err(StoreError { cause: Cause::NotFound, .. }) => return Ok(None),
            read => read.map_err(|e| self.failed(e))?,
        };
        Manifest::parse(&text, version).map(Some).map_err(|reason| self.damaged(&path, reason))
    }

    /// A path below the directory, for people.
    pub(crate) fn path(&self, path: &str) -> String {
        layout::join(&self.place, path)
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
